//! Version of the state of a session, for scripts.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use sha2::{Digest as _, Sha256};

use super::sessions::LiveSession;
use crate::kyc::Latest;

/// Length of a version, in characters.
const CHARACTERS: usize = 12;

impl LiveSession {
    /// Returns a text that changes with each write of the session record or of the latest
    /// assurance. The text reveals nothing about the person.
    pub(in crate::web) fn state_version(&self) -> String {
        let assurance = match &self.latest {
            Latest::NothingRecorded => 0,
            Latest::Unreadable { version } | Latest::Known { version, .. } => *version,
        };
        let digest = Sha256::new()
            .chain_update(b"kycport version\0")
            .chain_update(self.version.to_be_bytes())
            .chain_update(assurance.to_be_bytes())
            .finalize();
        let mut text = URL_SAFE_NO_PAD.encode(digest);
        text.truncate(CHARACTERS);
        text
    }
}
