//! Locks on logins. If several callbacks have one `state`, exactly one of them completes the login.

use std::time::Duration;

use bytes::Bytes;

use crate::{
    secret::Secret,
    store::{Acquired, LeaseFamily, LeaseKey, LeaseToken, RevocationMark, Settlement, StoreError},
    web::context::RequestContext,
};

/// Time between two attempts to acquire a lock that another callback holds.
const POLL_INTERVAL: Duration = Duration::from_millis(200);
/// Maximum number of attempts to acquire the lock. A repeated callback waits up to five seconds.
const POLLS: u32 = 25;
/// Time for which the store keeps a login after KYCPort rejected its token request. This time is
/// much shorter than the lifetime of a login, because any client can send an invented code.
const REJECTED_FOR: Duration = Duration::from_secs(60);

/// Stored result of a login that created a session. All other results mean that no session was
/// created.
const SIGNED_IN: &[u8] = b"signed_in";

/// Result of acquiring the lock.
pub(super) enum LockOutcome {
    /// This callback completes the login.
    Acquired(RevocationMark),
    /// Another callback has completed the login. The response to that callback sets the session
    /// cookie.
    SignedIn,
    /// The login has failed, or another callback takes too long.
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

/// Lock of one callback on its login.
pub(super) struct LoginLock {
    key: LeaseKey,
    token: LeaseToken,
    /// Duration of the lock. This duration exceeds the maximum duration of a login, including the
    /// clock skew.
    length: Duration,
}

impl LoginLock {
    /// Creates the lock of a login with this maximum duration.
    pub(super) fn new(context: &RequestContext, state: &Secret, lifetime: Duration) -> Self {
        let skew = context.settings().skew;
        let namespace = context.state().namespace().bytes();
        Self {
            key: LeaseKey::of(namespace, LeaseFamily::Login, &[state.expose().as_bytes()]),
            token: LeaseToken::random(),
            length: lifetime.saturating_add(skew.saturating_mul(2)),
        }
    }

    pub(super) fn done(&self, is_signed_in: bool) -> Settlement {
        let result = if is_signed_in { SIGNED_IN } else { &[] };
        done_for(result, self.length)
    }

    /// Returns the settlement after KYCPort rejected the token request. A repeated callback of the
    /// login, for example after a double click, does not send the code again.
    pub(super) fn rejected(&self) -> Settlement {
        done_for(&[], REJECTED_FOR.min(self.length))
    }

    /// Acquires the lock. If another callback holds the lock, this callback polls while its browser
    /// is connected (`is_there`). If too many callbacks wait, returns [`LockOutcome::Used`].
    pub(super) async fn acquire(
        &self,
        context: &RequestContext,
        is_there: impl Fn() -> bool,
    ) -> Result<LockOutcome, StoreError> {
        match self.try_acquire(context).await? {
            Acquired::Granted { mark } => Ok(LockOutcome::Acquired(mark)),
            Acquired::Done(result) => Ok(LockOutcome::by_another(&result)),
            Acquired::Held(_) => match context.waiting_turn(self.key) {
                Some(_turn) => self.wait(context, is_there).await,
                None => Ok(LockOutcome::Used),
            },
        }
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "the store has no notification that another callback has finished"
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

    /// Completes or releases the lock. If the store fails, the lock stays until it expires, and
    /// repeated callbacks cannot complete the login.
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
