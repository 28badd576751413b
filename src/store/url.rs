//! Stores by URL.

use std::sync::Arc;

use super::{MemoryStore, Store};
use crate::clock::Clock;

/// URL that names no store.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{problem}. {remedy}")]
pub struct InvalidStoreUrl {
    problem: &'static str,
    remedy: &'static str,
}

impl InvalidStoreUrl {
    pub(crate) fn problem(&self) -> &'static str {
        self.problem
    }

    pub(crate) fn remedy(&self) -> &'static str {
        self.remedy
    }
}

/// Makes the store that a URL names. Nothing is connected here.
pub(crate) fn from_url(
    text: &str,
    clock: Arc<dyn Clock>,
) -> Result<Arc<dyn Store>, InvalidStoreUrl> {
    match text.split_once(':') {
        Some(("memory", "")) => Ok(Arc::new(MemoryStore::new(100_000, clock))),
        _ => Err(InvalidStoreUrl {
            problem: "this is not the URL of a store",
            remedy: "Give memory:",
        }),
    }
}
