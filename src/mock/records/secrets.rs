//! By what a tenant's deliveries are signed.

use crate::mock::random;

/// A tenant's secrets.
#[derive(Clone)]
pub(in crate::mock) struct Secrets {
    pub(in crate::mock) current: String,
    pub(in crate::mock) previous: Option<String>,
}

impl Secrets {
    /// Fresh at every start.
    pub(in crate::mock) fn generate() -> Self {
        Self {
            current: fresh(),
            previous: None,
        }
    }

    pub(in crate::mock) fn rotate(&mut self) {
        let old = std::mem::replace(&mut self.current, fresh());
        self.previous = Some(old);
    }
}

/// A secret like those that tenants have.
pub(in crate::mock) fn fresh() -> String {
    format!("hook_{}", random::token())
}
