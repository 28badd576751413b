//! Pending logins in the store: one record each, found by `state`, tied to the browser that began,
//! and taken once.

use std::{sync::Arc, time::Duration};

use serde::{Deserialize, Serialize};

use super::{
    claims::Claims,
    records::{Created, Place, Records, StoreUnavailable, Stored},
    return_to::ReturnTo,
};
use crate::{
    clock::{Clock, Timestamp},
    oidc::Transaction,
    secret::{Secret, at_rest},
    wire::kyc::KycTier,
};

/// One browser may have so many logins pending; a further one pushes the oldest out.
const MOST_PER_BROWSER: usize = 8;

/// So long after its end a login is still remembered, to say "too late" or "already done" and not
/// "never heard of it".
pub(super) const REMEMBERED: Duration = Duration::from_secs(600);

/// A login that has begun and not come back.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct PendingLogin {
    pub(super) transaction: Transaction,
    pub(super) return_to: ReturnTo,
    /// If it is for somebody who is signed in already.
    #[serde(default)]
    pub(super) step_up: Option<StepUp>,
    /// The key of the browser that began.
    #[serde(with = "at_rest")]
    pub(super) browser: Secret,
}

/// Who is to come back from being verified, and how far.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct StepUp {
    pub(super) issuer: String,
    pub(super) subject: String,
    pub(super) tier: KycTier,
}

impl Stored for PendingLogin {
    const KIND: &'static str = "login";
}

/// Stands where a login was taken.
#[derive(Clone, Serialize, Deserialize)]
struct TakenLogin {
    return_to: ReturnTo,
    #[serde(with = "at_rest")]
    browser: Secret,
}

impl Stored for TakenLogin {
    const KIND: &'static str = "login-taken";
}

/// The states of a browser's pending logins, oldest first.
#[derive(Clone, Default, Serialize, Deserialize)]
struct BrowserLogins {
    states: Vec<String>,
}

impl Stored for BrowserLogins {
    const KIND: &'static str = "browser-logins";
}

/// What became of the attempt to take a login.
pub(super) enum Take {
    /// It is ours, and nobody else's any more.
    Taken(Box<PendingLogin>),
    /// It has been taken before, in this browser.
    AlreadyTaken(ReturnTo),
    /// Its time is over.
    Expired,
    /// Another browser began it, or this one lost the cookie. It is left where it is.
    OtherBrowser,
    /// There is none of that state.
    Unknown,
}

#[derive(Debug, Clone)]
pub(super) struct PendingLogins {
    records: Records,
    claims: Claims,
    clock: Arc<dyn Clock>,
}

impl PendingLogins {
    pub(super) fn new(records: Records, claims: Claims, clock: Arc<dyn Clock>) -> Self {
        Self {
            records,
            claims,
            clock,
        }
    }

    /// The same, where `claims` takes logins.
    pub(super) fn claimed_by(self, claims: Claims) -> Self {
        Self { claims, ..self }
    }

    pub(super) async fn add(&self, login: PendingLogin) -> Result<(), StoreUnavailable> {
        // Nobody is sent to KYCPort who could not come back.
        self.claims.check().await?;
        let forgotten_at = login.transaction.expires_at().saturating_add(REMEMBERED);
        let state = login.transaction.state().clone();
        self.records
            .put(Place::Empty, &state, &login, forgotten_at)
            .await?;
        self.bound(&login.browser, &state, forgotten_at).await
    }

    /// Takes the login of `state`, for the browser that holds `browser`.
    pub(super) async fn take(
        &self,
        state: &Secret,
        browser: Option<&Secret>,
    ) -> Result<Take, StoreUnavailable> {
        let Some(login) = self.records.get::<PendingLogin>(state).await? else {
            return self.taken_before(state, browser).await;
        };
        if browser != Some(&login.browser) {
            return Ok(Take::OtherBrowser);
        }
        if self.clock.now() >= login.transaction.expires_at() {
            return Ok(Take::Expired);
        }
        // Reading and deleting are two steps, between which another request may read. Claiming is
        // one, in which only the first of them succeeds.
        let mark = TakenLogin {
            return_to: login.return_to.clone(),
            browser: login.browser.clone(),
        };
        let forgotten_at = login.transaction.expires_at().saturating_add(REMEMBERED);
        match self.claims.claim(state, &mark, forgotten_at).await? {
            Created::Taken => Ok(Take::AlreadyTaken(login.return_to)),
            Created::New => {
                // The mark has taken it. What cannot be deleted is not taken again, and expires.
                let _ = self.records.delete::<PendingLogin>(state).await;
                Ok(Take::Taken(Box::new(login)))
            }
        }
    }

    async fn taken_before(
        &self,
        state: &Secret,
        browser: Option<&Secret>,
    ) -> Result<Take, StoreUnavailable> {
        let mark = self.records.get::<TakenLogin>(state).await?;
        Ok(match mark {
            Some(mark) if browser == Some(&mark.browser) => Take::AlreadyTaken(mark.return_to),
            Some(_) => Take::OtherBrowser,
            None => Take::Unknown,
        })
    }

    /// Keeps the number of a browser's pending logins down. Two that begin in the same instant may
    /// miss each other here; that costs a record until it expires and nothing else.
    async fn bound(
        &self,
        browser: &Secret,
        state: &Secret,
        forgotten_at: Timestamp,
    ) -> Result<(), StoreUnavailable> {
        let kept = self.records.get::<BrowserLogins>(browser).await?;
        let place = kept.as_ref().map_or(Place::Empty, |_| Place::Filled);
        let mut logins = kept.unwrap_or_default();
        logins.states.push(state.expose().to_owned());
        while logins.states.len() > MOST_PER_BROWSER {
            let oldest = Secret::new(logins.states.remove(0));
            self.records.delete::<PendingLogin>(&oldest).await?;
        }
        self.records
            .put(place, browser, &logins, forgotten_at)
            .await
    }
}
