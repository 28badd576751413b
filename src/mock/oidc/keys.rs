//! The signing keys, and their rotation in steps (K6, K22).

use std::{
    fmt::{self, Debug},
    sync::Arc,
};

use crate::mock::core::Core;

/// The issuer's keys. Every start has fresh ones (case 135).
///
/// A rotation goes in three steps, so that a test can stop between them: the next key is
/// published, then it signs, then the old one leaves the set.
#[derive(Clone)]
pub struct Keys {
    core: Arc<Core>,
}

impl Keys {
    pub(in crate::mock) fn new(core: Arc<Core>) -> Self {
        Self { core }
    }

    /// Publishes a fresh key beside the active one and gives its `kid`. It does not sign yet.
    pub fn publish_next(&self) -> String {
        self.core.keys().publish_next()
    }

    /// From here the published next key signs; gives its `kid`.
    ///
    /// If none was published, a fresh one is published and signs at once, as an issuer does that
    /// rotates just before signing (case 10).
    pub fn promote(&self) -> String {
        self.core.keys().promote()
    }

    /// Takes every key that signed before out of the set.
    pub fn retire_old(&self) {
        self.core.keys().retire_old();
    }

    /// All three steps at once; gives the `kid` that signs from here.
    pub fn rotate(&self) -> String {
        let mut keys = self.core.keys();
        keys.publish_next();
        let kid = keys.promote();
        keys.retire_old();
        kid
    }

    /// The `kid` of the key that signs.
    pub fn active_kid(&self) -> String {
        self.core.keys().active().kid
    }

    /// The `kid`s in the served set.
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
