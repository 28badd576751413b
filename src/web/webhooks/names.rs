//! Names of the receivers of one relying party.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError, Weak},
};

/// Names of the receivers that exist. Two receivers of one name would share events, and the handler
/// of one of them would miss some.
#[derive(Debug, Clone, Default)]
pub(in crate::web) struct ReceiverNames(Arc<Mutex<HashMap<String, Weak<ReceiverName>>>>);

/// Name of a receiver, taken for as long as this lives.
#[derive(Debug)]
pub(super) struct ReceiverName;

impl ReceiverNames {
    /// Takes a name, unless a receiver that exists has it.
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
