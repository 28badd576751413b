//! Claims on logins: of several callbacks with the same `state` one completes the login.

use std::time::Duration;

use bytes::Bytes;

use crate::{
    secret::Secret,
    store::{Acquired, LeaseFamily, LeaseKey, LeaseToken, Mark, Settlement, StoreError},
    web::context::RequestContext,
};

/// Time between two looks at the claim of another callback for the same login.
const POLL_INTERVAL: Duration = Duration::from_millis(200);
/// Maximum number of looks: a repeated callback waits for five seconds.
const POLLS: u32 = 25;
/// Time for which a login is remembered whose code KYCPort rejected. Any client can cause such logins
/// with an invented code, so they are forgotten long before the login would expire.
const REJECTED_FOR: Duration = Duration::from_secs(60);

/// Result of a login that has created a session. Any other result means that none was created.
const SIGNED_IN: &[u8] = b"signed_in";

/// Result of taking a lock.
pub(super) enum LockOutcome {
    /// This callback completes the login.
    Acquired(Mark),
    /// Another callback has completed the login, and its response carries the session.
    SignedIn,
    /// The login has been used in vain, or another callback takes too long.
    Used,
}

impl LockOutcome {
    fn by_another(result: &[u8]) -> Self {
        if result == SIGNED_IN {
            Self::SignedIn
        } else {
            Self::Used
        }
    }
}

/// LoginLock of one callback on its login.
pub(super) struct LoginLock {
    key: LeaseKey,
    token: LeaseToken,
    /// Fixed, and longer than the login can last by any clock.
    length: Duration,
}

impl LoginLock {
    pub(super) fn new(context: &RequestContext, state: &Secret) -> Self {
        let settings = context.settings();
        let namespace = context.state().namespace().bytes();
        Self {
            key: LeaseKey::of(namespace, LeaseFamily::Login, &[state.expose().as_bytes()]),
            token: LeaseToken::random(),
            length: settings
                .transaction_lifetime
                .saturating_add(settings.skew.saturating_mul(2)),
        }
    }

    pub(super) fn done(&self, is_signed_in: bool) -> Settlement {
        let result = if is_signed_in { SIGNED_IN } else { &[] };
        done_for(result, self.length)
    }

    /// The login is over, because KYCPort rejected its code. Repeated callbacks of the same login,
    /// such as a double click, do not send the code again.
    pub(super) fn rejected(&self) -> Settlement {
        done_for(&[], REJECTED_FOR.min(self.length))
    }

    /// Takes the lock. While another callback holds it, this one waits, if not too many do and for
    /// as long as its browser `is_there`.
    pub(super) async fn acquire(
        &self,
        context: &RequestContext,
        is_there: impl Fn() -> bool,
    ) -> Result<LockOutcome, StoreError> {
        match self.try_acquire(context).await? {
            Acquired::Granted { mark } => Ok(LockOutcome::Acquired(mark)),
            Acquired::Done(result) => Ok(LockOutcome::by_another(&result)),
            Acquired::Held(_) => match context.waiting_turn() {
                Some(_turn) => self.wait(context, is_there).await,
                None => Ok(LockOutcome::Used),
            },
        }
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "no store tells when another callback has finished"
    )]
    async fn wait(
        &self,
        context: &RequestContext,
        is_there: impl Fn() -> bool,
    ) -> Result<LockOutcome, StoreError> {
        for _ in 0..POLLS {
            tokio::time::sleep(POLL_INTERVAL).await;
            if !is_there() {
                break;
            }
            match self.try_acquire(context).await? {
                Acquired::Granted { mark } => return Ok(LockOutcome::Acquired(mark)),
                Acquired::Done(result) => return Ok(LockOutcome::by_another(&result)),
                Acquired::Held(_) => {}
            }
        }
        Ok(LockOutcome::Used)
    }

    async fn try_acquire(&self, context: &RequestContext) -> Result<Acquired, StoreError> {
        let acquire = context.state().acquire(&self.key, self.token, self.length);
        acquire.await
    }

    /// A claim that cannot be settled ends by itself. Until then the login counts as used.
    pub(super) async fn settle(&self, context: &RequestContext, settlement: Settlement) {
        let settle = context.state().settle(&self.key, self.token, settlement);
        let _ = settle.await;
    }
}

fn done_for(result: &'static [u8], keep_for: Duration) -> Settlement {
    Settlement::Done {
        result: Bytes::from_static(result),
        keep_for,
    }
}
