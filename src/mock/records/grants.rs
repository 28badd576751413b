//! Issued codes, access tokens, refresh tokens and browser sessions.

use std::{
    collections::{BTreeSet, HashMap},
    time::Duration,
};

use sha2::{Digest as _, Sha256};

use super::bounded::Bounded;
use crate::{clock::Timestamp, mock::random, wire::kyc::KycTier};

/// A person's consent to a client.
#[derive(Clone)]
pub(in crate::mock) struct Consent {
    pub(in crate::mock) client_id: String,
    pub(in crate::mock) person_id: String,
    pub(in crate::mock) scopes: Vec<String>,
    pub(in crate::mock) nonce: Option<String>,
    pub(in crate::mock) auth_time: Timestamp,
    /// The person's tier at the time of consent, or `None` if the person was not verified (K36).
    pub(in crate::mock) acr: Option<KycTier>,
}

/// A code or a refresh token. A client can redeem each code and each refresh token once. The mock
/// looks up codes and tokens by their digest.
#[derive(Clone)]
pub(in crate::mock) struct Grant<T> {
    pub(in crate::mock) consent: Consent,
    /// ID that all tokens from one code share. The mock uses the ID to revoke these tokens
    /// together.
    pub(in crate::mock) family: String,
    pub(in crate::mock) expires: Timestamp,
    pub(in crate::mock) binding: T,
    redeemed: bool,
}

/// An authorization code (K24).
pub(in crate::mock) type Code = Grant<CodeBinding>;

/// A refresh token.
pub(in crate::mock) type Refresh = Grant<()>;

/// The values that a client must repeat to redeem a code (K24).
#[derive(Clone)]
pub(in crate::mock) struct CodeBinding {
    pub(in crate::mock) redirect_uri: String,
    pub(in crate::mock) challenge: String,
}

/// An access token that the mock issued. The mock looks up tokens by their digest.
#[derive(Clone)]
pub(in crate::mock) struct Access {
    pub(in crate::mock) consent: Consent,
    pub(in crate::mock) expires: Timestamp,
    family: String,
}

/// Result when a client redeems a code or a refresh token.
pub(in crate::mock) enum Redemption<T> {
    Valid(T),
    /// The client has already redeemed the code or refresh token. The mock has revoked every token
    /// of this family.
    Reused(String),
    /// The mock did not issue this value to the client, or has removed the value.
    Unknown,
}

/// The last 20,000 codes, access tokens, refresh tokens and sessions, counted separately.
#[derive(Default)]
pub(in crate::mock) struct Grants {
    codes: Bounded<Code>,
    access: Bounded<Access>,
    refresh: Bounded<Refresh>,
    sessions: Bounded<(String, Timestamp)>,
    /// All scopes that a person has allowed a client. The map key is the person and the client.
    allowed: HashMap<(String, String), BTreeSet<String>>,
}

impl Grants {
    pub(in crate::mock) fn issue_code(
        &mut self,
        now: Timestamp,
        lifetime: Duration,
        consent: Consent,
        binding: CodeBinding,
    ) -> String {
        let family = random::name("family_");
        self.codes.issue(now, lifetime, consent, family, binding)
    }

    /// Returns the scopes of a refresh token.
    pub(in crate::mock) fn scopes_of_refresh(&mut self, token: &str) -> Option<Vec<String>> {
        let known = self.refresh.get_mut(&digest(token))?;
        Some(known.consent.scopes.clone())
    }

    /// Redeems a code. A request of another client does not invalidate the code. Otherwise any
    /// client could break the login of another client (K28).
    pub(in crate::mock) fn take_code(&mut self, code: &str, client_id: &str) -> Redemption<Code> {
        let redemption = self.codes.redeem(code, client_id);
        self.revoke_reused(redemption)
    }

    pub(in crate::mock) fn note_access(
        &mut self,
        now: Timestamp,
        token: &str,
        consent: Consent,
        family: String,
        expires: Timestamp,
    ) {
        if is_prune_due(self.access.len()) {
            self.access.retain(|access| access.expires > now);
        }
        let access = Access {
            consent,
            expires,
            family,
        };
        self.access.insert(digest(token), access);
    }

    /// Returns an access token. Returns `None` if the mock did not issue the token or has revoked
    /// the token.
    pub(in crate::mock) fn access(&self, token: &str) -> Option<Access> {
        self.access.get(&digest(token)).cloned()
    }

    pub(in crate::mock) fn issue_refresh(
        &mut self,
        now: Timestamp,
        consent: Consent,
        family: String,
    ) -> String {
        self.refresh
            .issue(now, REFRESH_TOKEN_LIFETIME, consent, family, ())
    }

    /// Redeems a refresh token. Each refresh token works once. If a client uses a refresh token
    /// again, the mock revokes all tokens of its family (K37).
    pub(in crate::mock) fn take_refresh(
        &mut self,
        token: &str,
        client_id: &str,
    ) -> Redemption<Refresh> {
        let redemption = self.refresh.redeem(token, client_id);
        self.revoke_reused(redemption)
    }

    /// Opens a browser session for the person at the issuer, for `prompt=none` (K17).
    pub(in crate::mock) fn open_session(&mut self, person_id: &str, now: Timestamp) -> String {
        if is_prune_due(self.sessions.len()) {
            self.sessions
                .retain(|(_, since)| !can_be_removed(*since, now));
        }
        let id = random::token();
        self.sessions
            .insert(digest(&id), (person_id.to_owned(), now));
        id
    }

    pub(in crate::mock) fn session(&self, id: &str) -> Option<(String, Timestamp)> {
        self.sessions.get(&digest(id)).cloned()
    }

    pub(in crate::mock) fn close_sessions(&mut self) {
        self.sessions.clear();
    }

    /// Stores the person's consent to a client, for `prompt=none` (K92).
    pub(in crate::mock) fn remember_allowed(&mut self, consent: &Consent) {
        let who = (consent.person_id.clone(), consent.client_id.clone());
        let scopes = consent.scopes.iter().cloned();
        self.allowed.entry(who).or_default().extend(scopes);
    }

    /// Returns whether the person has already allowed the client all scopes in `scopes`.
    pub(in crate::mock) fn has_allowed(
        &self,
        person: &str,
        client: &str,
        scopes: &[String],
    ) -> bool {
        let who = (person.to_owned(), client.to_owned());
        let known = self.allowed.get(&who);
        known.is_some_and(|known| scopes.iter().all(|scope| known.contains(scope)))
    }

    fn revoke_reused<T>(&mut self, redemption: Redemption<T>) -> Redemption<T> {
        if let Redemption::Reused(family) = &redemption {
            self.revoke(family);
        }
        redemption
    }

    fn revoke(&mut self, family: &str) {
        self.access.retain(|access| access.family != family);
        for refresh in self.refresh.values_mut() {
            if refresh.family == family {
                refresh.redeemed = true;
            }
        }
    }
}

impl<T: Clone> Bounded<Grant<T>> {
    fn issue(
        &mut self,
        now: Timestamp,
        lifetime: Duration,
        consent: Consent,
        family: String,
        binding: T,
    ) -> String {
        if is_prune_due(self.len()) {
            self.retain(|grant| !can_be_removed(grant.expires, now));
        }
        let token = random::token();
        let grant = Grant {
            consent,
            family,
            expires: now.saturating_add(lifetime),
            binding,
            redeemed: false,
        };
        self.insert(digest(&token), grant);
        token
    }

    fn redeem(&mut self, token: &str, client_id: &str) -> Redemption<Grant<T>> {
        let known = self.get_mut(&digest(token));
        let Some(grant) = known.filter(|grant| grant.consent.client_id == client_id) else {
            return Redemption::Unknown;
        };
        if std::mem::replace(&mut grant.redeemed, true) {
            return Redemption::Reused(grant.family.clone());
        }
        Redemption::Valid(grant.clone())
    }
}

/// Computes the digest of a secret. The maps use digests as keys. The time of a lookup therefore
/// does not depend on the secret.
fn digest(secret: &str) -> String {
    random::hex("", &Sha256::digest(secret.as_bytes()))
}

/// Returns whether the mock removes expired entries now. The mock removes expired entries once per
/// 1,024 entries, and not at every login.
fn is_prune_due(len: usize) -> bool {
    len.is_multiple_of(1024)
}

/// Returns whether the mock can remove an entry. The mock keeps an expired code for an hour. In
/// this hour, the mock can detect a reuse and revoke the tokens of the code.
fn can_be_removed(expired: Timestamp, now: Timestamp) -> bool {
    now.since(expired) > RETENTION
}

const RETENTION: Duration = Duration::from_secs(60 * 60);

const REFRESH_TOKEN_LIFETIME: Duration = Duration::from_secs(30 * 24 * 3600);
