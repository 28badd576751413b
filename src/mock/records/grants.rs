//! What was handed out: codes, access tokens, refresh tokens, and the browser's session here.

use std::{
    collections::{BTreeSet, HashMap},
    time::Duration,
};

use sha2::{Digest as _, Sha256};

use super::bounded::Bounded;
use crate::{clock::Timestamp, mock::random, wire::kyc::KycTier};

/// What a person allowed a client.
#[derive(Clone)]
pub(in crate::mock) struct Consent {
    pub(in crate::mock) client_id: String,
    pub(in crate::mock) person_id: String,
    pub(in crate::mock) scopes: Vec<String>,
    pub(in crate::mock) nonce: Option<String>,
    pub(in crate::mock) auth_time: Timestamp,
    /// The tier the person had when they allowed it, if verified (K36).
    pub(in crate::mock) acr: Option<KycTier>,
}

/// A code, and what it is bound to (K24).
#[derive(Clone)]
pub(in crate::mock) struct Code {
    pub(in crate::mock) consent: Consent,
    pub(in crate::mock) redirect_uri: String,
    pub(in crate::mock) challenge: String,
    pub(in crate::mock) expires: Timestamp,
    /// All that came of it, to be revoked together.
    pub(in crate::mock) family: String,
    spent: bool,
}

/// An access token, known by its digest.
#[derive(Clone)]
pub(in crate::mock) struct Access {
    pub(in crate::mock) consent: Consent,
    pub(in crate::mock) expires: Timestamp,
    family: String,
}

/// A refresh token, known by its digest.
#[derive(Clone)]
pub(in crate::mock) struct Refresh {
    pub(in crate::mock) consent: Consent,
    pub(in crate::mock) family: String,
    spent: bool,
    issued: Timestamp,
}

/// What a code or a refresh token is worth when it is presented.
pub(in crate::mock) enum Presented<T> {
    Good(T),
    /// It was presented before; what it gave is revoked.
    Again,
    /// Never issued, issued to another client, or long forgotten.
    Unknown,
}

/// The last 20,000 of each.
#[derive(Default)]
pub(in crate::mock) struct Grants {
    codes: Bounded<Code>,
    access: Bounded<Access>,
    refresh: Bounded<Refresh>,
    sessions: Bounded<(String, Timestamp)>,
    /// By person and client, the scopes that were ever allowed.
    allowed: HashMap<(String, String), BTreeSet<String>>,
}

impl Grants {
    pub(in crate::mock) fn issue_code(
        &mut self,
        now: Timestamp,
        lifetime: Duration,
        consent: Consent,
        redirect_uri: String,
        challenge: String,
    ) -> String {
        if prune(self.codes.len()) {
            self.codes.retain(|code| !forgotten(code.expires, now));
        }
        let code = random::token();
        self.codes.insert(
            digest(&code),
            Code {
                consent,
                redirect_uri,
                challenge,
                expires: now.saturating_add(lifetime),
                family: random::name("family_"),
                spent: false,
            },
        );
        code
    }

    /// The scopes that a refresh token is for.
    pub(in crate::mock) fn scopes_of_refresh(&mut self, token: &str) -> Option<Vec<String>> {
        let known = self.refresh.get_mut(&digest(token))?;
        Some(known.consent.scopes.clone())
    }

    /// Spends a code. Another client's attempt does not touch it, or anyone could spoil a login
    /// (K28).
    pub(in crate::mock) fn take_code(&mut self, code: &str, client_id: &str) -> Presented<Code> {
        let Some(known) = self.codes.get_mut(&digest(code)) else {
            return Presented::Unknown;
        };
        if known.consent.client_id != client_id {
            return Presented::Unknown;
        }
        let code = known.clone();
        known.spent = true;
        if code.spent {
            self.revoke(&code.family);
            return Presented::Again;
        }
        Presented::Good(code)
    }

    pub(in crate::mock) fn note_access(
        &mut self,
        now: Timestamp,
        token: &str,
        consent: Consent,
        family: String,
        expires: Timestamp,
    ) {
        if prune(self.access.len()) {
            self.access.retain(|access| access.expires > now);
        }
        let access = Access {
            consent,
            expires,
            family,
        };
        self.access.insert(digest(token), access);
    }

    /// None for a token that was never issued, or that was revoked.
    pub(in crate::mock) fn access(&self, token: &str) -> Option<Access> {
        self.access.get(&digest(token)).cloned()
    }

    pub(in crate::mock) fn issue_refresh(
        &mut self,
        now: Timestamp,
        consent: Consent,
        family: String,
    ) -> String {
        if prune(self.refresh.len()) {
            self.refresh
                .retain(|refresh| !forgotten(refresh.issued.saturating_add(REFRESH_FOR), now));
        }
        let token = random::token();
        let refresh = Refresh {
            consent,
            family,
            spent: false,
            issued: now,
        };
        self.refresh.insert(digest(&token), refresh);
        token
    }

    /// Spends a refresh token: each works once, and a second use ends its family
    /// (K37).
    pub(in crate::mock) fn take_refresh(
        &mut self,
        token: &str,
        client_id: &str,
    ) -> Presented<Refresh> {
        let Some(known) = self.refresh.get_mut(&digest(token)) else {
            return Presented::Unknown;
        };
        if known.consent.client_id != client_id {
            return Presented::Unknown;
        }
        let refresh = known.clone();
        known.spent = true;
        if refresh.spent {
            self.revoke(&refresh.family);
            return Presented::Again;
        }
        Presented::Good(refresh)
    }

    /// Remembers who is signed in here with this browser, for `prompt=none` (K17).
    pub(in crate::mock) fn open_session(&mut self, person_id: &str, now: Timestamp) -> String {
        if prune(self.sessions.len()) {
            self.sessions.retain(|(_, since)| !forgotten(*since, now));
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

    /// Remembers what a person allowed a client, for `prompt=none` (K92).
    pub(in crate::mock) fn remember_allowed(&mut self, consent: &Consent) {
        let who = (consent.person_id.clone(), consent.client_id.clone());
        let scopes = consent.scopes.iter().cloned();
        self.allowed.entry(who).or_default().extend(scopes);
    }

    /// Whether the person has allowed the client all these scopes before.
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

    fn revoke(&mut self, family: &str) {
        self.access.retain(|access| access.family != family);
        for refresh in self.refresh.values_mut() {
            if refresh.family == family {
                refresh.spent = true;
            }
        }
    }
}

/// Secrets are looked up by their digest, so that the time it takes tells nothing about them.
fn digest(secret: &str) -> String {
    random::hex("", &Sha256::digest(secret.as_bytes()))
}

/// Looks for what is over now and then, not at every login.
fn prune(len: usize) -> bool {
    len.is_multiple_of(1024)
}

/// A spent code is remembered for an hour, to revoke what it gave.
fn forgotten(expired: Timestamp, now: Timestamp) -> bool {
    now.since(expired) > REMEMBERED
}

const REMEMBERED: Duration = Duration::from_secs(60 * 60);

const REFRESH_FOR: Duration = Duration::from_secs(30 * 24 * 3600);
