//! Problems: what happened, and what the person or the program can do next.

use std::time::Duration;

use http::StatusCode;

use crate::{kyc::RequirementError, store::StoreError};

/// Problem of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::web) enum Problem {
    /// No one is signed in.
    SignedOut,
    /// Another site sent an unsafe request.
    CrossSite,
    /// The form is malformed.
    MalformedForm,
    /// The route does not support the method.
    MethodNotAllowed,
    /// The session store is unavailable.
    StoreUnavailable,
    /// KYCPort is unavailable.
    IssuerUnavailable { retry_after: Option<Duration> },
    /// The browser prefetched the login.
    Prefetch,
    /// The query of the callback is not an authorization response.
    MalformedCallback,
    /// This browser has no login with the `state` of the callback. The login is complete, another
    /// browser started the login, or the login's cookie has expired.
    UnknownLogin,
    /// The callback arrived after the login expired.
    ExpiredLogin,
    /// The callback of a step-up arrived after the step-up expired.
    ExpiredStepUp,
    /// The login has been completed by another request.
    FinishedLogin,
    /// The app revoked the sessions of the person during the login.
    RevokedLogin,
    /// The app is completing the maximum number of logins.
    TooManyLogins,
    /// The person or KYCPort declined the login.
    Declined,
    /// KYCPort responded with an error to the login.
    IssuerRejected,
    /// KYCPort rejected the redirect URI of this app.
    RedirectUriMismatch,
    /// KYCPort rejected this tenant: the tenant is not active, or the client secret is wrong.
    TenantRejected,
    /// The response of KYCPort is not valid.
    InvalidIssuerResponse,
    /// The tier of a step-up does not exist.
    UnknownTier,
    /// Another person completed the step-up.
    SubjectMismatch,
    /// KYCPort has sent the person back twice without the required result.
    StepUpLoop,
    /// The tier of the person is too low.
    TierTooLow,
    /// The verification is pending.
    Pending,
    /// The verification was rejected.
    Rejected,
    /// The verification has expired.
    Expired,
    /// The person is not verified.
    Unverified,
    /// The AML check did not pass.
    AmlNotClear,
    /// The stored verification result is too old, and only a new login can renew the result.
    Stale,
    /// The verification status of the person is unknown.
    Unknown { retry_after: Option<Duration> },
    /// The person has not authenticated at KYCPort recently enough.
    AuthenticationTooOld,
}

pub(in crate::web) struct Text {
    pub(in crate::web) status: StatusCode,
    pub(in crate::web) code: &'static str,
    pub(in crate::web) title: &'static str,
    pub(in crate::web) detail: &'static str,
    pub(super) next: Next,
}

/// Next step that the page offers in addition to the link to the home page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Next {
    Nothing,
    SignIn,
    StepUp,
    /// Link with this label, which requests the page again. The page does not reload itself,
    /// because each reload while a tab is open would query KYCPort.
    Again(&'static str),
}

/// `Retry-After` of a pending verification, in seconds. A verification can stay pending for days.
const PENDING_RETRY_SECONDS: u64 = 30;

impl From<StoreError> for Problem {
    fn from(_: StoreError) -> Self {
        Self::StoreUnavailable
    }
}

impl Problem {
    /// Converts an unmet requirement to a [`Problem`].
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
            RequirementError::AuthenticationTooOld => Self::AuthenticationTooOld,
        }
    }

    /// Returns whether a step-up can help.
    pub(in crate::web) fn step_up_helps(self) -> bool {
        self.text().next == Next::StepUp
    }

    /// Returns whether the response also offers a step-up, although a step-up cannot change the
    /// result itself. A person can use the step-up to finish an interrupted verification.
    pub(super) fn also_offers_step_up(self) -> bool {
        matches!(self, Self::Pending)
    }

    /// Returns whether the response links to a step-up.
    pub(in crate::web) fn offers_step_up(self) -> bool {
        self.step_up_helps() || self.also_offers_step_up()
    }

    /// Returns the code in responses, in the log and in metrics.
    pub(in crate::web) fn code(self) -> &'static str {
        self.text().code
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
                "For your safety it was blocked. Open this site directly and try again.",
                Next::Nothing,
            ),
            Self::MalformedForm => text(
                StatusCode::BAD_REQUEST,
                "malformed_form",
                "The form could not be read",
                "Nothing was changed. Go back to the page and try again.",
                Next::Nothing,
            ),
            Self::MethodNotAllowed => text(
                StatusCode::METHOD_NOT_ALLOWED,
                "method_not_allowed",
                "This address cannot be opened directly",
                "Nothing was changed. Go back to the page and use its link or button.",
                Next::Nothing,
            ),
            Self::StoreUnavailable => text(
                StatusCode::SERVICE_UNAVAILABLE,
                "store_unavailable",
                "Sign-in is temporarily unavailable",
                "Try again in a moment.",
                Next::Nothing,
            ),
            Self::IssuerUnavailable { .. } => text(
                StatusCode::SERVICE_UNAVAILABLE,
                "issuer_unavailable",
                "KYCPort is temporarily unavailable",
                "Try again in a moment.",
                Next::SignIn,
            ),
            Self::Prefetch => text(
                StatusCode::FORBIDDEN,
                "prefetch",
                "Sign-in starts with a click",
                "Click the link to sign in.",
                Next::SignIn,
            ),
            Self::MalformedCallback => text(
                StatusCode::BAD_REQUEST,
                "malformed_callback",
                "This sign-in link is not valid",
                "Please sign in again.",
                Next::SignIn,
            ),
            Self::UnknownLogin => text(
                StatusCode::BAD_REQUEST,
                "unknown_login",
                "This sign-in cannot be completed here",
                "It may be complete, it may have expired, or it was started in another browser. \
                 Please sign in again. If that does not help, allow cookies for this site.",
                Next::SignIn,
            ),
            Self::ExpiredLogin => text(
                StatusCode::BAD_REQUEST,
                "expired_login",
                "This sign-in took too long",
                "Please sign in again.",
                Next::SignIn,
            ),
            Self::ExpiredStepUp => text(
                StatusCode::BAD_REQUEST,
                "expired_login",
                "This verification took too long",
                "Nothing is lost at KYCPort. Please continue with KYCPort again.",
                Next::StepUp,
            ),
            Self::FinishedLogin => text(
                StatusCode::BAD_REQUEST,
                "finished_login",
                "This sign-in was already used",
                "If you are not signed in, please sign in again.",
                Next::SignIn,
            ),
            Self::RevokedLogin => text(
                StatusCode::UNAUTHORIZED,
                "revoked_login",
                "You were signed out",
                "That happened while you were signing in. Please sign in again.",
                Next::SignIn,
            ),
            Self::TooManyLogins => text(
                StatusCode::SERVICE_UNAVAILABLE,
                "too_many_logins",
                "Many people are signing in right now",
                "Reload this page in a moment.",
                Next::Nothing,
            ),
            Self::Declined => text(
                StatusCode::FORBIDDEN,
                "declined",
                "You did not sign in",
                "KYCPort did not share any information about you. You can sign in at any time.",
                Next::SignIn,
            ),
            Self::IssuerRejected => text(
                StatusCode::BAD_GATEWAY,
                "issuer_rejected",
                "KYCPort could not sign you in",
                "Please sign in again. If it happens again, contact us and give the reference \
                 below.",
                Next::SignIn,
            ),
            Self::RedirectUriMismatch => text(
                StatusCode::BAD_GATEWAY,
                "redirect_uri_mismatch",
                "This site is not registered correctly at KYCPort",
                "Contact us and give the reference below. You are not signed in.",
                Next::Nothing,
            ),
            Self::TenantRejected => text(
                StatusCode::BAD_GATEWAY,
                "tenant_rejected",
                "This site is not registered correctly at KYCPort",
                "Contact us and give the reference below. You are not signed in.",
                Next::Nothing,
            ),
            Self::InvalidIssuerResponse => text(
                StatusCode::BAD_GATEWAY,
                "invalid_issuer_response",
                "The response from KYCPort could not be verified",
                "You are not signed in. Please sign in again. If it happens again, contact us and \
                 give the reference below.",
                Next::SignIn,
            ),
            Self::UnknownTier => text(
                StatusCode::BAD_REQUEST,
                "unknown_tier",
                "This verification level does not exist",
                "Go back to the previous page and try again.",
                Next::Nothing,
            ),
            Self::SubjectMismatch => text(
                StatusCode::FORBIDDEN,
                "subject_mismatch",
                "You signed in as another person",
                "Please verify the person who is signed in here. Nothing was changed. To continue \
                 as another person, sign out first.",
                Next::Nothing,
            ),
            Self::StepUpLoop => text(
                StatusCode::FORBIDDEN,
                "step_up_loop",
                "KYCPort sent you back twice without the required result",
                "You can try again now. If it happens again, contact us and give the reference \
                 below.",
                Next::StepUp,
            ),
            Self::TierTooLow => text(
                StatusCode::UNAUTHORIZED,
                "tier_too_low",
                "A further verification is needed",
                "You are verified, but this page needs a higher level of verification.",
                Next::StepUp,
            ),
            Self::Pending => text(
                StatusCode::FORBIDDEN,
                "pending",
                "Your verification is under way",
                "KYCPort has not decided yet. This can take minutes or days. You can close this \
                 page and come back later.",
                Next::Again("Check again"),
            ),
            Self::Rejected => text(
                StatusCode::UNAUTHORIZED,
                "rejected",
                "KYCPort could not verify you",
                "This page needs a verification, and yours was rejected. You can try again with \
                 KYCPort.",
                Next::StepUp,
            ),
            Self::Expired => text(
                StatusCode::UNAUTHORIZED,
                "expired",
                "Your verification has expired",
                "Please verify your identity again to continue.",
                Next::StepUp,
            ),
            Self::Unverified => text(
                StatusCode::UNAUTHORIZED,
                "unverified",
                "You are not verified yet",
                "This page needs a verification of your identity by KYCPort.",
                Next::StepUp,
            ),
            Self::AmlNotClear => text(
                StatusCode::FORBIDDEN,
                "aml_not_clear",
                "This is not available to you",
                "If you think that this is a mistake, contact us and give the reference below.",
                Next::Nothing,
            ),
            Self::Stale => text(
                StatusCode::UNAUTHORIZED,
                "stale",
                "We need a new result from KYCPort",
                "The last result is too old for this page. Continue with KYCPort to get a new \
                 result.",
                Next::StepUp,
            ),
            Self::Unknown { .. } => text(
                StatusCode::SERVICE_UNAVAILABLE,
                "unknown",
                "We cannot check your verification right now",
                "Try again in a moment.",
                Next::Again("Try again"),
            ),
            Self::AuthenticationTooOld => text(
                StatusCode::UNAUTHORIZED,
                "authentication_too_old",
                "Please confirm that it is you",
                "This page needs a recent sign-in at KYCPort.",
                Next::StepUp,
            ),
        }
    }
}
