//! Extractor for the signed-in person.

use std::fmt;

use axum::{
    extract::{FromRequestParts, OptionalFromRequestParts},
    response::{IntoResponse, Response},
};
use http::request::Parts;

use crate::{
    clock::Timestamp,
    kyc::Assurance,
    secret::Secret,
    web::{
        context::RequestContext,
        guard::{denial_response, layer::AcceptedAssurance},
        pages::problem::Problem,
        request::audience::Audience,
        session::{AccessTokenError, LiveSession, SessionId},
    },
};

/// The signed-in person.
///
/// The extractor `SignedIn` rejects a request when no one is signed in. The extractor redirects a
/// page request to the login, which later redirects back to the page. The extractor responds to any
/// other request with 401 and the URL of the login. The extractor `Option<SignedIn>` returns `None`
/// when no one is signed in. If the session store is unavailable, both extractors respond with 503.
#[derive(Clone)]
pub struct SignedIn {
    live: LiveSession,
    assurance: Assurance,
    context: RequestContext,
}

impl SignedIn {
    /// Returns the issuer. The issuer and the [`subject`](Self::subject) identify the person.
    pub fn issuer(&self) -> &str {
        &self.live.session.issuer
    }

    /// Returns the subject: the person's ID at this issuer. KYCPort's API calls this ID
    /// `person_id`.
    pub fn subject(&self) -> &str {
        &self.live.session.subject
    }

    /// Returns the email address, with the scope `email`. People change and share addresses: do not
    /// use the address as a key.
    pub fn email(&self) -> Option<&str> {
        self.live.session.email.as_deref()
    }

    /// Returns whether KYCPort has verified the email address, with the scope `email`.
    pub fn email_verified(&self) -> Option<bool> {
        self.live.session.email_verified
    }

    /// Returns the person's name, with the scope `profile`.
    pub fn name(&self) -> Option<&str> {
        self.live.session.name.as_deref()
    }

    /// Returns the latest verification result of the person. The [`Assurance`] comes from the login
    /// (with the scope `kyc`), a later status query or a webhook. If the store has no readable
    /// result, status and tier are `None`. To enforce a requirement, put a
    /// [`Guard`](crate::web::Guard) on the route. The guard queries KYCPort when the assurance is
    /// missing or too old.
    pub fn assurance(&self) -> &Assurance {
        &self.assurance
    }

    /// Returns the time at which the person authenticated at KYCPort, if KYCPort sent it.
    pub fn auth_time(&self) -> Option<Timestamp> {
        self.live.session.auth_time
    }

    /// Returns whether KYCPort granted the scope `scope`. The comparison is exact.
    pub fn has_scope(&self, scope: &str) -> bool {
        self.live.session.scopes.iter().any(|own| own == scope)
    }

    /// Returns the public ID of this session. The ID is not secret: an app can show the ID in a
    /// list of sessions or to support staff.
    pub fn session_id(&self) -> SessionId {
        self.live.id
    }

    /// Returns the time at which the person signed in.
    pub fn created_at(&self) -> Timestamp {
        self.live.session.created_at
    }

    /// Returns the time at which the session ends, even if the person uses it.
    pub fn expires_at(&self) -> Timestamp {
        self.live.session.expires_at
    }

    /// Returns the access token, for calls to KYCPort or to this tenant's own API on the person's
    /// behalf. Refreshes an expired token first if KYCPort issued a refresh token. The token is
    /// only for the server: never send it to the browser.
    ///
    /// Cancel safe: a refresh that has started continues in its own task.
    ///
    /// # Errors
    /// Returns [`AccessTokenError`] if no valid token is available. After a temporary failure, the
    /// same error is returned for a few seconds: see [`AccessTokenError::Refresh`].
    pub async fn access_token(&self) -> Result<Secret, AccessTokenError> {
        self.context.access_tokens().get(&self.live).await
    }
}

/// `Debug` hides personal data.
impl fmt::Debug for SignedIn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SignedIn")
            .field("issuer", &self.issuer())
            .field("expires_at", &self.expires_at())
            .finish_non_exhaustive()
    }
}

/// Rejection of [`SignedIn`]: no one is signed in, or the store is unavailable.
#[derive(Debug)]
pub struct SignedInRejection(Response);

impl<S: Send + Sync> FromRequestParts<S> for SignedIn {
    type Rejection = SignedInRejection;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Self::Rejection> {
        let context = context(parts, state).await?;
        let found = find(parts, &context).await?;
        found.ok_or_else(|| SignedInRejection(denial_response::signed_out(&context, parts)))
    }
}

impl<S: Send + Sync> OptionalFromRequestParts<S> for SignedIn {
    type Rejection = SignedInRejection;

    async fn from_request_parts(
        parts: &mut Parts,
        state: &S,
    ) -> Result<Option<Self>, Self::Rejection> {
        let context = context(parts, state).await?;
        find(parts, &context).await
    }
}

async fn context<S: Send + Sync>(
    parts: &mut Parts,
    state: &S,
) -> Result<RequestContext, SignedInRejection> {
    RequestContext::from_request_parts(parts, state)
        .await
        .map_err(|missing| SignedInRejection(missing.into_response()))
}

async fn find(
    parts: &Parts,
    context: &RequestContext,
) -> Result<Option<SignedIn>, SignedInRejection> {
    match context.session().await {
        Ok(Some(live)) => {
            context.touch(&live).await;
            // A guard on the route has evaluated the assurance, and may have queried KYCPort.
            let assurance = match parts.extensions.get::<AcceptedAssurance>() {
                Some(AcceptedAssurance(assurance)) => assurance.clone(),
                None => live.latest.or_unknown(live.session.created_at),
            };
            Ok(Some(SignedIn {
                assurance,
                live,
                context: context.clone(),
            }))
        }
        Ok(None) => Ok(None),
        Err(_) => {
            let audience = Audience::of(&parts.method, &parts.headers);
            let answer = Problem::StoreUnavailable.answer(audience, context);
            Err(SignedInRejection(answer))
        }
    }
}

impl IntoResponse for SignedInRejection {
    fn into_response(self) -> Response {
        self.0
    }
}
