//! Handle to the signing keys and their rotation (K6, K22).

use std::{
    fmt::{self, Debug},
    sync::Arc,
};

use crate::mock::core::Core;

/// Handle to the issuer's signing keys. The mock generates new keys at every start (case 135).
///
/// A rotation has three steps, and a test can stop after each step. The mock publishes the next
/// key, signs with the next key, and removes the old key from the key set.
#[derive(Clone)]
pub struct Keys {
    core: Arc<Core>,
}

impl Keys {
    pub(in crate::mock) fn new(core: Arc<Core>) -> Self {
        Self { core }
    }

    /// Publishes a new key in addition to the signing key and returns the `kid` of the new key. The
    /// mock does not sign with the new key yet.
    pub fn publish_next(&self) -> String {
        self.core.keys().publish_next()
    }

    /// Makes the next key the signing key. Returns the `kid` of the new signing key.
    ///
    /// If no next key is published, publishes a new key and signs with it immediately. The test
    /// then simulates an issuer that rotates its key just before it signs a token (case 10).
    pub fn promote(&self) -> String {
        self.core.keys().promote()
    }

    /// Removes all previous signing keys from the key set.
    pub fn retire_old(&self) {
        self.core.keys().retire_old();
    }

    /// Performs all three steps of a rotation and returns the `kid` of the new signing key.
    pub fn rotate(&self) -> String {
        let mut keys = self.core.keys();
        keys.publish_next();
        let kid = keys.promote();
        keys.retire_old();
        kid
    }

    /// Returns the `kid` of the signing key.
    pub fn active_kid(&self) -> String {
        self.core.keys().active().kid
    }

    /// Returns the `kid`s in the published key set.
    pub fn published_kids(&self) -> Vec<String> {
        self.core
            .keys()
            .published()
            .map(|k| k.kid.clone())
            .collect()
    }
}

impl Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Keys").field(&self.published_kids()).finish()
    }
}
