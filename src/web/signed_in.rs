//! Who is signed in, for handlers.

use std::{fmt, sync::Arc};

use axum::{
    extract::{FromRequestParts, OptionalFromRequestParts, OriginalUri},
    response::{IntoResponse, Response},
};
use http::{Method, request::Parts};

use super::{
    context::{LayerMissing, RequestContext},
    problem::{Audience, Problem},
    redirect::see_other,
    return_to::ReturnTo,
    sessions::{LiveSession, Use},
    tokens::AccessTokenError,
};
use crate::{clock::Timestamp, kyc::Assurance, secret::Secret};

/// The person who is signed in.
///
/// As an extractor, it answers for the handler if nobody is: a page request is sent to sign in and
/// brought back, any other request gets 401 with the address to sign in at. `Option<SignedIn>` is
/// `None` then. Either answers 503 if the session store is down: nobody is let in, and nobody is
/// taken for signed out.
#[derive(Clone)]
pub struct SignedIn {
    live: LiveSession,
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

    /// What KYCPort said of the person's verification when they signed in, with the scope `kyc`.
    pub fn assurance(&self) -> &Assurance {
        &self.live.session.assurance
    }

    /// When the person authenticated at KYCPort, if it said.
    pub fn auth_time(&self) -> Option<Timestamp> {
        self.live.session.auth_time
    }

    /// Whether `scope` was granted: the whole word.
    pub fn has_scope(&self, scope: &str) -> bool {
        self.live.session.scopes.iter().any(|own| own == scope)
    }

    /// When the session began.
    pub fn began_at(&self) -> Timestamp {
        self.live.session.began_at
    }

    /// When the session ends, however much it is used.
    pub fn ends_at(&self) -> Timestamp {
        self.live.session.ends_at
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
            .field("ends_at", &self.ends_at())
            .finish_non_exhaustive()
    }
}

/// Why a handler does not learn who is signed in: answers for it.
#[derive(Debug)]
pub struct SignedInRejection(Rejection);

#[derive(Debug)]
enum Rejection {
    LayerMissing(LayerMissing),
    Problem {
        problem: Problem,
        audience: Audience,
        context: RequestContext,
        return_to: Arc<ReturnTo>,
    },
}

impl<S: Send + Sync> FromRequestParts<S> for SignedIn {
    type Rejection = SignedInRejection;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Self::Rejection> {
        let (context, found) = find(parts, state).await?;
        found.ok_or_else(|| reject(parts, context, Problem::SignedOut))
    }
}

impl<S: Send + Sync> OptionalFromRequestParts<S> for SignedIn {
    type Rejection = SignedInRejection;

    async fn from_request_parts(
        parts: &mut Parts,
        state: &S,
    ) -> Result<Option<Self>, Self::Rejection> {
        Ok(find(parts, state).await?.1)
    }
}

async fn find<S: Send + Sync>(
    parts: &mut Parts,
    state: &S,
) -> Result<(RequestContext, Option<SignedIn>), SignedInRejection> {
    let context = RequestContext::from_request_parts(parts, state)
        .await
        .map_err(|missing| SignedInRejection(Rejection::LayerMissing(missing)))?;
    match context.session(Use::Counts).await {
        Ok(live) => {
            let found = live.map(|live| SignedIn {
                live,
                context: context.clone(),
            });
            Ok((context, found))
        }
        Err(_) => Err(reject(parts, context, Problem::StoreUnavailable)),
    }
}

fn reject(parts: &Parts, context: RequestContext, problem: Problem) -> SignedInRejection {
    // A person is brought back to a page they were looking at, never to a form they were sending.
    let uri = parts
        .extensions
        .get::<OriginalUri>()
        .map_or(&parts.uri, |original| &original.0);
    let return_to = match (parts.method == Method::GET, uri.path_and_query()) {
        (true, Some(path)) => context.settings().return_to(path.as_str()),
        _ => ReturnTo::home(),
    };
    SignedInRejection(Rejection::Problem {
        problem,
        audience: Audience::of(&parts.method, &parts.headers),
        context,
        return_to: Arc::new(return_to),
    })
}

impl IntoResponse for SignedInRejection {
    fn into_response(self) -> Response {
        match self.0 {
            Rejection::LayerMissing(missing) => missing.into_response(),
            Rejection::Problem {
                problem,
                audience,
                context,
                return_to,
            } => {
                let settings = context.settings();
                if problem == Problem::SignedOut && audience == Audience::Page {
                    see_other(&settings.login_path_back_to(&return_to))
                } else {
                    problem.answer(audience, settings)
                }
            }
        }
    }
}
