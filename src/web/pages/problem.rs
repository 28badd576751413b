//! What a person or a program is updates when something does not go on: what happened, and what to do
//! next. Pages for navigations, problem JSON (RFC 9457) for everything else.

use std::time::Duration;

use axum::response::Response;
use http::{
    HeaderValue, StatusCode,
    header::{RETRY_AFTER, WWW_AUTHENTICATE},
};

use super::{page, problem_json::ProblemJson};
use crate::{
    kyc::RequirementError,
    observe,
    store::StoreError,
    web::{
        context::RequestContext,
        request::{audience::Audience, headers},
    },
};

/// One way in which something does not go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::web) enum Problem {
    /// Nobody is signed in.
    SignedOut,
    /// An unsafe request from another site.
    CrossSite,
    /// The form cannot be read.
    MalformedForm,
    /// The route has another method.
    MethodNotAllowed,
    /// The session store does not work.
    StoreUnavailable,
    /// KYCPort cannot be asked.
    IssuerUnavailable { retry_after: Option<Duration> },
    /// The browser asked for the login ahead of the person.
    Prefetch,
    /// The callback's query is no authorization response.
    MalformedCallback,
    /// This browser has no login with that `state`: it was completed, was started in another browser,
    /// or has been forgotten.
    UnknownLogin,
    /// The login came back too late.
    ExpiredLogin,
    /// The login has been completed by another request.
    FinishedLogin,
    /// The sessions of the person were revoked while they were signing in.
    RevokedLogin,
    /// Too many logins are being completed at this moment.
    TooManyLogins,
    /// The person, or KYCPort for them, declined.
    Declined,
    /// KYCPort answered the login with an error.
    IssuerRejected,
    /// What KYCPort answered is not believed.
    InvalidIssuerResponse,
    /// A step-up asks for a tier that there is not.
    UnknownTier,
    /// A step-up came back with another person than it left with.
    SubjectMismatch,
    /// Verified, but not far enough.
    TierTooLow,
    /// The verification is under way.
    Pending,
    /// The verification was rejected.
    Rejected,
    /// The verification has expired.
    Expired,
    /// There is no verification.
    Unverified,
    /// AML is not clear.
    AmlNotClear,
    /// What is known is too old, and only signing in again brings newer.
    Stale,
    /// It cannot be known.
    Unknown { retry_after: Option<Duration> },
}

pub(in crate::web) struct Text {
    pub(in crate::web) status: StatusCode,
    pub(in crate::web) code: &'static str,
    pub(in crate::web) title: &'static str,
    pub(in crate::web) detail: &'static str,
    next: Next,
}

/// What to do next, besides going home.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Next {
    Nothing,
    SignIn,
    StepUp,
    /// Requests the same page again, by a link with this label. The page has no timer: it would
    /// cause requests to KYCPort for as long as a tab is open.
    Again(&'static str),
}

/// Addresses at which a person can go on.
#[derive(Debug, Clone, Copy, Default)]
pub(in crate::web) struct Links<'a> {
    /// Start of a step-up.
    pub(in crate::web) step_up: Option<&'a str>,
    /// The page that the person asked for, or was on.
    pub(in crate::web) page: Option<&'a str>,
}

/// `Retry-After` of a pending verification, in seconds. It can stay pending for days.
const PENDING_RETRY_SECONDS: u64 = 30;

impl From<StoreError> for Problem {
    fn from(_: StoreError) -> Self {
        Self::StoreUnavailable
    }
}

impl Problem {
    /// How a person who falls short is updates.
    pub(in crate::web) fn of_requirement(
        error: &RequirementError,
        retry_after: Option<Duration>,
    ) -> Self {
        match error {
            RequirementError::TierTooLow { .. } => Self::TierTooLow,
            RequirementError::Pending => Self::Pending,
            RequirementError::Rejected => Self::Rejected,
            RequirementError::Expired => Self::Expired,
            RequirementError::Unverified => Self::Unverified,
            RequirementError::AmlNotClear => Self::AmlNotClear,
            RequirementError::Stale => Self::Stale,
            RequirementError::Unknown => Self::Unknown { retry_after },
        }
    }

    /// Whether being verified further would help.
    pub(in crate::web) fn is_about_the_tier(self) -> bool {
        self.text().next == Next::StepUp
    }

    /// What it is called in answers, in the log and in metrics.
    pub(in crate::web) fn code(self) -> &'static str {
        self.text().code
    }

    /// Answers, and says so in the log. The request's reference is on both sides.
    pub(in crate::web) fn answer(self, audience: Audience, context: &RequestContext) -> Response {
        self.answer_with(audience, context, Links::default())
    }

    /// As [`answer`](Self::answer), with the addresses at which the person can go on.
    pub(in crate::web) fn answer_with(
        self,
        audience: Audience,
        context: &RequestContext,
        links: Links<'_>,
    ) -> Response {
        let text = self.text();
        let reference = context.reference().as_str();
        if text.status.is_server_error() {
            observe::request_failed(text.code, &reference);
        } else {
            observe::request_rejected(text.code, &reference);
        }
        let login = context.settings().login_path();
        let next = match text.next {
            Next::SignIn => Some(("Sign in", Some("login_url"), login.as_str())),
            Next::StepUp => links
                .step_up
                .map(|path| ("Continue with KYCPort", Some("step_up_url"), path)),
            // A program knows what it asked for.
            Next::Again(label) => links.page.map(|path| (label, None, path)),
            Next::Nothing => None,
        };
        let mut response = match audience {
            Audience::Page => page::problem(&page::Problem {
                status: text.status,
                title: text.title,
                detail: text.detail,
                next: next.map(|(label, _, path)| (label, path)),
                reference,
            }),
            Audience::Fetch => ProblemJson {
                status: text.status,
                title: text.title,
                detail: text.detail,
                code: text.code,
                reference,
                more: next.and_then(|(_, name, path)| Some((name?, path))),
            }
            .answer(),
        };
        if text.status == StatusCode::UNAUTHORIZED {
            // RFC 9110 section 15.5.2 requires a challenge. Browsers ignore an unknown scheme.
            let challenge = HeaderValue::from_static("Cookie");
            response.headers_mut().insert(WWW_AUTHENTICATE, challenge);
        }
        if let Some(seconds) = self.retry_after() {
            response
                .headers_mut()
                .insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        headers::keep_private(response.headers_mut());
        response
    }

    pub(in crate::web) fn retry_after(self) -> Option<u64> {
        match self {
            Self::StoreUnavailable | Self::TooManyLogins => Some(1),
            Self::Pending => Some(PENDING_RETRY_SECONDS),
            Self::IssuerUnavailable { retry_after } | Self::Unknown { retry_after } => {
                Some(retry_after.map_or(5, |after| after.as_secs().max(1)))
            }
            _ => None,
        }
    }

    #[expect(clippy::too_many_lines, reason = "a table")]
    pub(in crate::web) fn text(self) -> Text {
        let text = |status, code, title, detail, next| Text {
            status,
            code,
            title,
            detail,
            next,
        };
        match self {
            Self::SignedOut => text(
                StatusCode::UNAUTHORIZED,
                "signed_out",
                "You are not signed in",
                "Sign in and try again.",
                Next::SignIn,
            ),
            Self::CrossSite => text(
                StatusCode::FORBIDDEN,
                "cross_site",
                "This request came from another site",
                "Go to the page itself and try again there.",
                Next::Nothing,
            ),
            Self::MalformedForm => text(
                StatusCode::BAD_REQUEST,
                "malformed_form",
                "The form could not be read",
                "Nothing was done. Go back to the page and try again there.",
                Next::Nothing,
            ),
            Self::MethodNotAllowed => text(
                StatusCode::METHOD_NOT_ALLOWED,
                "method_not_allowed",
                "This address cannot be opened like this",
                "Nothing was done. Go back to the page and use its link or button.",
                Next::Nothing,
            ),
            Self::StoreUnavailable => text(
                StatusCode::SERVICE_UNAVAILABLE,
                "store_unavailable",
                "Sign-in is not available for the moment",
                "Try again in a moment.",
                Next::Nothing,
            ),
            Self::IssuerUnavailable { .. } => text(
                StatusCode::SERVICE_UNAVAILABLE,
                "issuer_unavailable",
                "KYCPort cannot be reached for the moment",
                "Try again in a moment.",
                Next::SignIn,
            ),
            Self::Prefetch => text(
                StatusCode::FORBIDDEN,
                "prefetch",
                "Sign-in starts with a click",
                "Open the link to sign in.",
                Next::SignIn,
            ),
            Self::MalformedCallback => text(
                StatusCode::BAD_REQUEST,
                "malformed_callback",
                "This is not an answer from KYCPort",
                "Sign in from the start.",
                Next::SignIn,
            ),
            Self::UnknownLogin => text(
                StatusCode::BAD_REQUEST,
                "unknown_login",
                "This sign-in cannot be completed here",
                "It may be complete already, too old, or from another browser. Sign in from the \
                 start. If that does not help, allow cookies for this site.",
                Next::SignIn,
            ),
            Self::ExpiredLogin => text(
                StatusCode::BAD_REQUEST,
                "expired_login",
                "This sign-in took too long",
                "Sign in from the start.",
                Next::SignIn,
            ),
            Self::FinishedLogin => text(
                StatusCode::BAD_REQUEST,
                "finished_login",
                "This sign-in has been used already",
                "Sign in from the start if you are not signed in.",
                Next::SignIn,
            ),
            Self::RevokedLogin => text(
                StatusCode::UNAUTHORIZED,
                "revoked_login",
                "You were signed out everywhere",
                "That happened while you were signing in. Sign in from the start.",
                Next::SignIn,
            ),
            Self::TooManyLogins => text(
                StatusCode::SERVICE_UNAVAILABLE,
                "too_many_logins",
                "Too many people are signing in at the moment",
                "Reload this page in a moment.",
                Next::Nothing,
            ),
            Self::Declined => text(
                StatusCode::FORBIDDEN,
                "declined",
                "You did not sign in",
                "KYCPort has updates us nothing about you. You can sign in whenever you like.",
                Next::SignIn,
            ),
            Self::IssuerRejected => text(
                StatusCode::BAD_GATEWAY,
                "issuer_rejected",
                "KYCPort could not sign you in",
                "Sign in from the start. If it happens again, tell us the reference below.",
                Next::SignIn,
            ),
            Self::InvalidIssuerResponse => text(
                StatusCode::BAD_GATEWAY,
                "invalid_issuer_response",
                "The answer from KYCPort could not be verified",
                "You are not signed in. Sign in from the start. If it happens again, tell us the \
                 reference below.",
                Next::SignIn,
            ),
            Self::UnknownTier => text(
                StatusCode::BAD_REQUEST,
                "unknown_tier",
                "There is no such tier",
                "Go back to the page you came from and try again there.",
                Next::Nothing,
            ),
            Self::SubjectMismatch => text(
                StatusCode::FORBIDDEN,
                "subject_mismatch",
                "That was somebody else",
                "You were asked to be verified as the person who is signed in here. Nothing has \
                 changed. To go on as somebody else, sign out first.",
                Next::Nothing,
            ),
            Self::TierTooLow => text(
                StatusCode::UNAUTHORIZED,
                "tier_too_low",
                "A further verification is needed",
                "You are verified, but not as far as this needs.",
                Next::StepUp,
            ),
            Self::Pending => text(
                StatusCode::FORBIDDEN,
                "pending",
                "Your verification is under way",
                "KYCPort has not decided yet. That can take minutes or days. You may close this \
                 page and come back later.",
                Next::Again("Check again"),
            ),
            Self::Rejected => text(
                StatusCode::UNAUTHORIZED,
                "rejected",
                "KYCPort could not verify you",
                "What you want to do needs a verification, and yours was rejected.",
                Next::StepUp,
            ),
            Self::Expired => text(
                StatusCode::UNAUTHORIZED,
                "expired",
                "Your verification has expired",
                "Verify yourself once more to go on.",
                Next::StepUp,
            ),
            Self::Unverified => text(
                StatusCode::UNAUTHORIZED,
                "unverified",
                "You are not verified yet",
                "What you want to do needs a verification by KYCPort.",
                Next::StepUp,
            ),
            Self::AmlNotClear => text(
                StatusCode::FORBIDDEN,
                "aml_not_clear",
                "This is not possible for you",
                "If you think that this is a mistake, tell us the reference below.",
                Next::Nothing,
            ),
            Self::Stale => text(
                StatusCode::UNAUTHORIZED,
                "stale",
                "A newer result from KYCPort is needed",
                "The last one is too old for what you want to do. Continue with KYCPort to get a \
                 new one.",
                Next::StepUp,
            ),
            Self::Unknown { .. } => text(
                StatusCode::SERVICE_UNAVAILABLE,
                "unknown",
                "Your verification cannot be checked for the moment",
                "Try again in a moment.",
                Next::Again("Try again"),
            ),
        }
    }
}
