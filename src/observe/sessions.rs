//! Sessions, and the store they are kept in.

use std::future::Future;

use tracing::{Instrument as _, field::Empty, info_span};

use super::{Reason, Stopwatch, count, log_key::Pseudonym, time};

/// Why a session ends before its time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cause {
    /// The person signed out.
    Logout,
    /// The person signed out everywhere.
    LogoutEverywhere,
    /// Somebody signed in where it was.
    Replaced,
    /// KYCPort refuses to refresh its tokens.
    Revoked,
    /// The app ended it.
    App,
    /// The app ended all of a person's.
    AppAll,
}

impl Cause {
    fn code(self) -> &'static str {
        match self {
            Self::Logout => "logout",
            Self::LogoutEverywhere => "logout_everywhere",
            Self::Replaced => "replaced",
            Self::Revoked => "revoked",
            Self::App => "app",
            Self::AppAll => "app_all",
        }
    }
}

/// One session was ended.
pub(crate) fn session_ended(cause: Cause, session: Pseudonym<'_>) {
    let cause = cause.code();
    tracing::info!(
        name: "kycport.session.ended", target: "kycport::session",
        cause, %session, "a session was ended"
    );
    count!(SESSIONS_ENDED, cause);
}

/// All sessions of a person were ended.
pub(crate) fn all_sessions_ended(cause: Cause, person: Pseudonym<'_>) {
    let cause = cause.code();
    tracing::info!(
        name: "kycport.session.all_ended", target: "kycport::session",
        cause, %person, "all sessions of a person were ended"
    );
    count!(SESSIONS_ENDED, cause);
}

/// A sign-in is missing from the list of a person's sessions.
pub(crate) fn sign_in_not_listed() {
    tracing::warn!(
        name: "kycport.session.not_listed", target: "kycport::session",
        "a sign-in could not be put on the person's list"
    );
}

/// The use of a session is not written down, which may end it sooner.
pub(crate) fn use_not_written() {
    tracing::warn!(
        name: "kycport.session.use_not_written", target: "kycport::session",
        "the last use of a session could not be written down"
    );
}

/// Refreshes an access token.
pub(crate) async fn refresh<T, E: Reason>(
    session: Pseudonym<'_>,
    what: impl Future<Output = Result<T, E>>,
) -> Result<T, E> {
    let span = info_span!(
        target: "kycport::session", "kycport.refresh",
        %session, result = Empty
    );
    let refreshed = what.instrument(span.clone()).await;
    let result = refreshed.as_ref().map_or_else(Reason::reason, |_| "ok");
    span.record("result", result);
    if let Err(error) = &refreshed {
        let _entered = span.enter();
        let reason = error.reason();
        tracing::info!(
            name: "kycport.session.not_refreshed", target: "kycport::session",
            reason, %error, %session, "an access token was not refreshed"
        );
    }
    count!(REFRESHES, result);
    refreshed
}

/// An operation of the session store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum StoreOperation {
    Create,
    Save,
    Load,
    Delete,
}

impl StoreOperation {
    fn code(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Save => "save",
            Self::Load => "load",
            Self::Delete => "delete",
        }
    }
}

/// How an operation of the session store ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum StoreResult {
    Ok,
    Error,
    Timeout,
}

/// The session store did what it was asked, or not.
pub(crate) fn store_answered(operation: StoreOperation, result: StoreResult, since: Stopwatch) {
    let operation = operation.code();
    let code = match result {
        StoreResult::Ok => "ok",
        StoreResult::Error => "error",
        StoreResult::Timeout => "timeout",
    };
    time!(STORE_TIME, since, operation, code);
    if result != StoreResult::Ok {
        tracing::error!(
            name: "kycport.store.failed", target: "kycport::store",
            operation, result = code, "the session store does not work"
        );
    }
}

/// A record was met that cannot be read. `said` is whether the log has it already: while a new
/// version is rolled out, that would be every request.
pub(crate) fn record_unreadable(kind: &'static str, said: Said) {
    if said == Said::NotYet {
        tracing::warn!(
            name: "kycport.store.record_unreadable", target: "kycport::store",
            kind,
            "a stored record is not understood, perhaps one of a newer version; it is left \
             alone and reads as absent, and this is said once"
        );
    }
    count!(RECORDS_UNREADABLE, kind);
}

/// Whether something was said before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Said {
    NotYet,
    Before,
}

/// A record that should be sealed does not open.
pub(crate) fn record_not_opened(why: &'static str) {
    tracing::warn!(
        name: "kycport.store.record_not_opened", target: "kycport::store",
        why, "a stored record does not open: it is no session. This is said once"
    );
}
