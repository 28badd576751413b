//! Encoding of pending logins in the cookie.

use std::time::Duration;

use rand::Rng as _;
use zeroize::Zeroizing;

use crate::{
    clock::Timestamp,
    oidc::{PendingAuthorization, SEED_BYTES},
    web::request::return_to::ReturnTo,
    wire::kyc::KycTier,
};

/// First byte of the encoding: its version.
const FORM: u8 = 1;

/// Maximum length of the path to return to, in bytes. The limit is small, because the browser sends
/// all login cookies with every request.
const MAX_RETURN_TO: usize = 512;

/// Tiers of a step-up. The encoding contains the index of the tier.
const TIERS: [KycTier; 4] = [KycTier::T0, KycTier::T1, KycTier::T2, KycTier::T3];

/// Login that has started and whose callback has not arrived.
pub(in crate::web) struct PendingLogin {
    /// State, nonce and code verifier are derived from the seed.
    seed: Zeroizing<[u8; SEED_BYTES]>,
    pub(in crate::web) started_at: Timestamp,
    pub(in crate::web) return_to: ReturnTo,
    pub(in crate::web) step_up: Option<StepUp>,
}

/// Step-up: the tier, and the person who must complete the step-up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::web) struct StepUp {
    pub(in crate::web) owner_id: [u8; 16],
    pub(in crate::web) tier: KycTier,
}

impl PendingLogin {
    /// Creates a login with a random seed. If `return_to` is longer than 512 bytes, removes the
    /// query. If the path alone is too long, uses the home page.
    pub(in crate::web) fn start(
        now: Timestamp,
        return_to: &ReturnTo,
        step_up: Option<StepUp>,
    ) -> Self {
        let mut seed = Zeroizing::new([0; SEED_BYTES]);
        rand::rng().fill_bytes(&mut *seed);
        Self {
            seed,
            started_at: now,
            return_to: return_to.shortened(MAX_RETURN_TO),
            step_up,
        }
    }

    fn expires_at(&self, lifetime: Duration) -> Timestamp {
        self.started_at.saturating_add(lifetime)
    }

    pub(in crate::web) fn transaction(&self, lifetime: Duration) -> PendingAuthorization {
        PendingAuthorization::from_seed(&self.seed, self.expires_at(lifetime))
    }

    /// Encodes the login: version, seed, start in ms, tier and owner of a step-up, and the path.
    pub(super) fn encode(&self) -> Zeroizing<Vec<u8>> {
        let mut bytes = Zeroizing::new(vec![FORM]);
        bytes.extend_from_slice(&*self.seed);
        bytes.extend_from_slice(&self.started_at.as_unix_millis().to_be_bytes());
        match &self.step_up {
            None => bytes.push(0),
            Some(StepUp { owner_id, tier }) => {
                let number = TIERS.iter().position(|it| it == tier);
                let number = number.and_then(|it| u8::try_from(it).ok());
                bytes.push(number.unwrap_or(0).saturating_add(1));
                bytes.extend_from_slice(owner_id);
            }
        }
        bytes.extend_from_slice(self.return_to.as_str().as_bytes());
        bytes
    }

    /// Decodes the result of [`encode`](Self::encode). Returns `None` for bytes that are not an
    /// encoded login.
    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let (form, rest) = bytes.split_first()?;
        if *form != FORM {
            return None;
        }
        let (seed, rest) = rest.split_first_chunk()?;
        let (started_at, rest) = rest.split_first_chunk()?;
        let (tier, rest) = rest.split_first()?;
        let (step_up, rest) = match tier.checked_sub(1) {
            None => (None, rest),
            Some(number) => {
                let tier = TIERS.get(usize::from(number))?.clone();
                let (owner_id, rest) = rest.split_first_chunk()?;
                let owner_id = *owner_id;
                (Some(StepUp { owner_id, tier }), rest)
            }
        };
        Some(Self {
            seed: Zeroizing::new(*seed),
            started_at: Timestamp::from_unix_millis(i64::from_be_bytes(*started_at)),
            return_to: ReturnTo::parse_or_home(std::str::from_utf8(rest).ok()?),
            step_up,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{MAX_RETURN_TO, PendingLogin, StepUp, TIERS};
    use crate::{clock::Timestamp, web::request::return_to::ReturnTo};

    #[test]
    fn a_login_is_decoded_and_a_shorter_encoding_is_rejected() {
        let now = Timestamp::from_unix_millis(1_700_000_000_123);
        let step_ups = TIERS.into_iter().map(|tier| {
            let owner_id = [7; 16];
            Some(StepUp { owner_id, tier })
        });
        for step_up in std::iter::once(None).chain(step_ups) {
            let login = PendingLogin::start(now, &ReturnTo::parse_or_home("/a?b=c"), step_up);
            let encoded = login.encode();
            let read = PendingLogin::decode(&encoded).unwrap();
            assert_eq!(read.started_at, now);
            assert_eq!(read.return_to.as_str(), "/a?b=c");
            assert_eq!(read.step_up, login.step_up);
            let lifetime = Duration::from_secs(600);
            let (one, other) = (read.transaction(lifetime), login.transaction(lifetime));
            assert_eq!(one.state(), other.state());
            let fixed = encoded.len() - "/a?b=c".len();
            for length in 0..fixed {
                assert!(PendingLogin::decode(&encoded[..length]).is_none());
            }
            let mut newer = encoded.to_vec();
            newer[0] = 2;
            assert!(PendingLogin::decode(&newer).is_none());
        }
    }

    #[test]
    fn a_path_in_a_cookie_is_validated_again() {
        // case 106
        let start = Timestamp::from_unix(0);
        let encoded = PendingLogin::start(start, &ReturnTo::home(), None).encode();
        let without_path = encoded.strip_suffix(b"/").unwrap();
        for evil in ["https://evil.example/", "//evil.example", "/\\evil.example"] {
            let forged = [without_path, evil.as_bytes()].concat();
            let read = PendingLogin::decode(&forged).unwrap();
            assert_eq!(read.return_to.as_str(), "/", "{evil}");
        }
    }

    #[test]
    fn a_long_path_is_shortened_or_replaced_by_the_home_page() {
        let now = Timestamp::from_unix(0);
        for (path, kept) in [
            (format!("/a?{}", "b".repeat(509)), None),
            (format!("/a?{}", "b".repeat(510)), Some("/a")),
            (format!("/{}?b", "a".repeat(512)), Some("/")),
        ] {
            let login = PendingLogin::start(now, &ReturnTo::parse_or_home(&path), None);
            assert_eq!(login.return_to.as_str(), kept.unwrap_or(&path));
            assert!(login.return_to.as_str().len() <= MAX_RETURN_TO);
        }
    }
}
