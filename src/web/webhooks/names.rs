//! Names of the webhook receivers within one relying party.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError, Weak},
};

/// Names of the existing receivers. If two receivers had equal names, only one of the two receivers
/// would handle an event.
#[derive(Debug, Clone, Default)]
pub(in crate::web) struct ReceiverNames(Arc<Mutex<HashMap<String, Weak<ReceiverName>>>>);

/// Name of a receiver, reserved until this value is dropped.
#[derive(Debug)]
pub(super) struct ReceiverName;

impl ReceiverNames {
    /// Reserves a name. Returns `None` if an existing receiver has this name.
    pub(super) fn take(&self, name: &str) -> Option<Arc<ReceiverName>> {
        let mut names = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        names.retain(|_, taken| taken.strong_count() > 0);
        if names.contains_key(name) {
            return None;
        }
        let taken = Arc::new(ReceiverName);
        names.insert(name.to_owned(), Arc::downgrade(&taken));
        Some(taken)
    }
}
