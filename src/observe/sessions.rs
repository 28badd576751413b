//! Sessions, and the store they are kept in.

use std::future::Future;

use tracing::{Instrument as _, field::Empty, info_span};

use super::{Reason, count, log_key::Pseudonym};

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
    /// The person had too many sessions.
    TooMany,
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
            Self::TooMany => "too_many",
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

/// The use of a session is not written down, which may end it sooner.
pub(crate) fn use_not_written() {
    tracing::warn!(
        name: "kycport.session.use_not_recorded", target: "kycport::session",
        "the last use of a session could not be written down"
    );
}

/// A refresh brought new tokens, and the session had ended meanwhile.
pub(crate) fn refreshed_in_vain(session: Pseudonym<'_>) {
    tracing::info!(
        name: "kycport.session.refreshed_after_end", target: "kycport::session",
        %session, "new tokens were dropped, because their session had ended"
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
