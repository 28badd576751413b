//! Who is signed in, for handlers.

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
        guard::{denial_response, layer::Assured},
        pages::problem::Problem,
        request::audience::Audience,
        session::{AccessTokenError, LiveSession, SessionId},
    },
};

/// The person who is signed in.
///
/// As an extractor, it answers for the handler if nobody is: a page request is sent to sign in and
/// brought back, any other request gets 401 with the address to sign in at. `Option<SignedIn>` is
/// `None` then. Either answers 503 if the session store is down: nobody is let in, and nobody is
/// taken for signed out.
#[derive(Clone)]
pub struct SignedIn {
    live: LiveSession,
    assurance: Assurance,
    context: RequestContext,
}

impl SignedIn {
    /// The issuer. With [`subject`](Self::subject) it says who this is, and nothing else does.
    pub fn issuer(&self) -> &str {
        &self.live.session.issuer
    }

    /// The person, for this issuer: the `person_id` of KYCPort's API.
    pub fn subject(&self) -> &str {
        &self.live.session.subject
    }

    /// The address of the person, with the scope `email`. People change it and share it: it is no
    /// key.
    pub fn email(&self) -> Option<&str> {
        self.live.session.email.as_deref()
    }

    /// Whether KYCPort knows the address to be the person's, with the scope `email`.
    pub fn email_verified(&self) -> Option<bool> {
        self.live.session.email_verified
    }

    /// The person's name, with the scope `profile`.
    pub fn name(&self) -> Option<&str> {
        self.live.session.name.as_deref()
    }

    /// The latest result about the person's verification: from the sign-in, with the scope `kyc`, or
    /// from a later answer or event. If none is recorded, or if the record cannot be read, status
    /// and tier are `None`. To act on it, put a [`Guard`](super::Guard) on the route: the guard asks
    /// KYCPort when the result is missing or too old.
    pub fn assurance(&self) -> &Assurance {
        &self.assurance
    }

    /// When the person authenticated at KYCPort, if it said.
    pub fn auth_time(&self) -> Option<Timestamp> {
        self.live.session.auth_time
    }

    /// Whether `scope` was granted: the whole word.
    pub fn has_scope(&self, scope: &str) -> bool {
        self.live.session.scopes.iter().any(|own| own == scope)
    }

    /// Public id of this session, for support and for lists. It is not secret.
    pub fn session_id(&self) -> SessionId {
        self.live.id
    }

    /// Time at which the person signed in.
    pub fn created_at(&self) -> Timestamp {
        self.live.session.created_at
    }

    /// End of the session, however much it is used.
    pub fn expires_at(&self) -> Timestamp {
        self.live.session.expires_at
    }

    /// The access token, for calls to KYCPort or to this tenant's own API on the person's behalf.
    /// It is refreshed first if it has run out and KYCPort gave a refresh token. It is for the
    /// server alone: never send it to the browser.
    ///
    /// # Errors
    /// [`AccessTokenError`].
    pub async fn access_token(&self) -> Result<Secret, AccessTokenError> {
        self.context.access_tokens().get(&self.live).await
    }
}

/// Shows no personal data.
impl fmt::Debug for SignedIn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SignedIn")
            .field("issuer", &self.issuer())
            .field("expires_at", &self.expires_at())
            .finish_non_exhaustive()
    }
}

/// Answers for a handler that wants to know who is signed in, if nobody is or if it cannot be known.
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
            // A guard on the route has looked already, and asked if need be.
            let assurance = match parts.extensions.get::<Assured>() {
                Some(Assured(assurance)) => assurance.clone(),
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
