//! Spans, log events and metrics of sessions.

use std::future::Future;

use tracing::{Instrument as _, field::Empty, info_span};

use super::{Reason, count, log_key::Pseudonym};

/// Reason why a session ends before its expiry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cause {
    /// The person signed out.
    Logout,
    /// The person signed out everywhere.
    LogoutEverywhere,
    /// Another login in the browser replaced the session.
    Replaced,
    /// KYCPort rejected the refresh of the session's tokens.
    Revoked,
    /// The person exceeded the maximum number of sessions.
    TooMany,
    /// The app revoked the session.
    App,
    /// The app revoked all sessions of the person.
    AppAll,
}

impl Cause {
    fn code(self) -> &'static str {
        match self {
            Self::Logout => "logout",
            Self::LogoutEverywhere => "logout_everywhere",
            Self::Replaced => "replaced",
            Self::Revoked => "revoked",
            Self::TooMany => "too_many",
            Self::App => "app",
            Self::AppAll => "app_all",
        }
    }
}

/// Logs that a step-up has given a session a new key.
pub(crate) fn session_rotated(session: Pseudonym<'_>) {
    tracing::info!(
        name: "kycport.session.rotated", target: "kycport::session",
        %session, "a step-up replaced the key of a session"
    );
}

/// Reports that one session ended.
pub(crate) fn session_ended(cause: Cause, session: Pseudonym<'_>) {
    let cause = cause.code();
    tracing::info!(
        name: "kycport.session.ended", target: "kycport::session",
        cause, %session, "a session ended"
    );
    count!(SESSIONS_ENDED, cause);
}

/// Reports that all sessions of a person ended.
pub(crate) fn all_sessions_ended(cause: Cause, person: Pseudonym<'_>) {
    let cause = cause.code();
    tracing::info!(
        name: "kycport.session.all_ended", target: "kycport::session",
        cause, %person, "all sessions of a person ended"
    );
    count!(SESSIONS_ENDED, cause);
}

/// Logs that the last use of a session could not be stored. The session may therefore expire early.
pub(crate) fn use_not_recorded() {
    tracing::warn!(
        name: "kycport.session.use_not_recorded", target: "kycport::session",
        "could not store the last use of a session; it may expire early"
    );
}

/// Logs that a refresh returned tokens for a session that had ended in the meantime.
pub(crate) fn refreshed_after_end(session: Pseudonym<'_>) {
    tracing::info!(
        name: "kycport.session.refreshed_after_end", target: "kycport::session",
        %session, "dropped refreshed tokens, because their session had ended"
    );
}

/// Refreshes an access token in a span, and reports the result.
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
            reason, %error, %session, "an access token could not be refreshed"
        );
    }
    count!(REFRESHES, result);
    refreshed
}
