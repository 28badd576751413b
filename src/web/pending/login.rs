//! Encoding of pending logins in the cookie.

use std::time::Duration;

use rand::Rng as _;
use zeroize::Zeroizing;

use crate::{
    clock::Timestamp,
    oidc::{PendingAuthorization, SEED_BYTES},
    web::{request::return_to::ReturnTo, settings::Settings},
    wire::kyc::KycTier,
};

/// First byte of the encoding: its version. Form 1 encodes logins. Earlier releases also encoded
/// step-ups in form 1.
const FORM_1: u8 = 1;
/// Version of the encoding of step-ups. After the owner follow the number of restarts, the flags
/// and the members that the flags announce.
const FORM_2: u8 = 2;

/// Flag of form 2: the ID of the attempt follows. This release does not write the ID, and ignores
/// it.
const ATTEMPT: u8 = 1;
/// Length of the ID of an attempt, in bytes.
const ATTEMPT_BYTES: usize = 16;
/// Flag of form 2: the maximum time since the authentication follows, in seconds, as four bytes.
const MAX_AGE: u8 = 2;

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
    /// Number of automatic restarts of this step-up.
    pub(in crate::web) restarts: u8,
    /// Maximum time since the person authenticated, in seconds.
    pub(in crate::web) max_age: Option<u32>,
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

    /// Returns the maximum duration of this login or step-up.
    pub(in crate::web) fn lifetime(&self, settings: &Settings) -> Duration {
        match self.step_up {
            Some(_) => settings.step_up_lifetime,
            None => settings.transaction_lifetime,
        }
    }

    fn expires_at(&self, lifetime: Duration) -> Timestamp {
        self.started_at.saturating_add(lifetime)
    }

    pub(in crate::web) fn transaction(&self, lifetime: Duration) -> PendingAuthorization {
        PendingAuthorization::from_seed(&self.seed, self.expires_at(lifetime))
    }

    /// Encodes the login: version, seed, start in ms, tier, and the path. Between tier and path, a
    /// step-up has its owner, restarts, flags and `max_age`.
    pub(super) fn encode(&self) -> Zeroizing<Vec<u8>> {
        let form = self.step_up.as_ref().map_or(FORM_1, |_| FORM_2);
        let mut bytes = Zeroizing::new(vec![form]);
        bytes.extend_from_slice(&*self.seed);
        bytes.extend_from_slice(&self.started_at.as_unix_millis().to_be_bytes());
        match &self.step_up {
            None => bytes.push(0),
            Some(StepUp {
                owner_id,
                tier,
                restarts,
                max_age,
            }) => {
                let number = TIERS.iter().position(|it| it == tier);
                let number = number.and_then(|it| u8::try_from(it).ok());
                bytes.push(number.unwrap_or(0).saturating_add(1));
                bytes.extend_from_slice(owner_id);
                let flags = max_age.map_or(0, |_| MAX_AGE);
                bytes.extend_from_slice(&[*restarts, flags]);
                if let Some(seconds) = max_age {
                    bytes.extend_from_slice(&seconds.to_be_bytes());
                }
            }
        }
        bytes.extend_from_slice(self.return_to.as_str().as_bytes());
        bytes
    }

    /// Decodes the result of [`encode`](Self::encode). Returns `None` for bytes that are not an
    /// encoded login.
    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let (form, rest) = bytes.split_first()?;
        if ![FORM_1, FORM_2].contains(form) {
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
                let (restarts, max_age, rest) = match *form {
                    FORM_2 => members_of_form_2(rest)?,
                    _ => (0, None, rest),
                };
                let step_up = StepUp {
                    owner_id: *owner_id,
                    tier,
                    restarts,
                    max_age,
                };
                (Some(step_up), rest)
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

/// Decodes the restarts and the `max_age` of a step-up in form 2, and skips the ID of an attempt.
/// Returns `None` for an unknown flag.
fn members_of_form_2(bytes: &[u8]) -> Option<(u8, Option<u32>, &[u8])> {
    let (restarts, rest) = bytes.split_first()?;
    let (flags, mut rest) = rest.split_first()?;
    if flags & !(ATTEMPT | MAX_AGE) != 0 {
        return None;
    }
    if flags & ATTEMPT != 0 {
        (_, rest) = rest.split_at_checked(ATTEMPT_BYTES)?;
    }
    let mut max_age = None;
    if flags & MAX_AGE != 0 {
        let (seconds, after) = rest.split_first_chunk()?;
        (max_age, rest) = (Some(u32::from_be_bytes(*seconds)), after);
    }
    Some((*restarts, max_age, rest))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{MAX_RETURN_TO, PendingLogin, StepUp, TIERS};
    use crate::{clock::Timestamp, web::request::return_to::ReturnTo, wire::kyc::KycTier};

    #[test]
    fn a_login_is_decoded_and_a_shorter_encoding_is_rejected() {
        let now = Timestamp::from_unix_millis(1_700_000_000_123);
        let ages = [None, Some(0), Some(86_400)];
        let step_ups = TIERS.into_iter().flat_map(|tier| {
            ages.map(|max_age| {
                Some(StepUp {
                    owner_id: [7; 16],
                    tier: tier.clone(),
                    restarts: 1,
                    max_age,
                })
            })
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
            newer[0] = 3;
            assert!(PendingLogin::decode(&newer).is_none());
        }
    }

    #[test]
    fn step_ups_of_earlier_and_later_releases_are_read() {
        let step_up = StepUp {
            owner_id: [7; 16],
            tier: KycTier::T2,
            restarts: 1,
            max_age: None,
        };
        let now = Timestamp::from_unix(0);
        let login = PendingLogin::start(now, &ReturnTo::parse_or_home("/a"), Some(step_up));
        let encoded = login.encode();
        let (head, path) = encoded.split_at(1 + 32 + 8 + 1 + 16);
        let path = &path[2..];

        let mut first = [head, path].concat();
        first[0] = 1;
        let read = PendingLogin::decode(&first).unwrap();
        assert_eq!(read.step_up.unwrap().restarts, 0);
        assert_eq!(read.return_to.as_str(), "/a");

        for (flags, members) in [(1, 16), (2, 4), (3, 20)] {
            let later = [head, &[0, flags], &vec![0x2f; members], path].concat();
            let read = PendingLogin::decode(&later).unwrap();
            assert_eq!(read.return_to.as_str(), "/a", "{flags}");
            let short = later.len() - path.len() - 1;
            assert!(PendingLogin::decode(&later[..short]).is_none(), "{flags}");
        }
        for flags in [4, 5, 0x80] {
            let later = [head, &[0, flags], path].concat();
            assert!(PendingLogin::decode(&later).is_none(), "{flags}");
        }
    }

    #[test]
    fn a_path_in_a_cookie_is_validated_again() {
        // Covers threat case 106.
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
