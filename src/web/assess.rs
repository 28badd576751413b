//! What is known of who is signed in, and asking KYCPort for what is not.

use std::{sync::Arc, time::Duration};

use futures_util::{FutureExt as _, future::BoxFuture};

use super::{
    session_records::Session,
    sessions::LiveSession,
    tokens::{AccessTokenError, AccessTokens},
};
use crate::{
    clock::{Clock, Timestamp},
    kyc::{
        Asked, Assurance, AssuranceSource, Assurances, NoAnswer, PersonKey, Requirement, Shortfall,
        StatusClient,
    },
    observe,
    oidc::{OidcClient, UserinfoError},
};

/// Whoever signed in no longer ago is not asked to sign in again.
const JUST_NOW: Duration = Duration::from_secs(60);

/// How lately an assurance must have been asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Freshness {
    /// What is known will do while it is not too old.
    Cached,
    /// Asked for this very request.
    Now,
}

/// How a person falls short, and when to try again if that is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Lack {
    pub(super) shortfall: Shortfall,
    pub(super) retry_after: Option<Duration>,
}

impl From<Shortfall> for Lack {
    fn from(shortfall: Shortfall) -> Self {
        Self {
            shortfall,
            retry_after: None,
        }
    }
}

/// Knows what is known of people, and asks.
#[derive(Debug, Clone)]
pub(super) struct Assessor {
    oidc: OidcClient,
    status: StatusClient,
    access_tokens: AccessTokens,
    assurances: Assurances,
    client_id: String,
    max_age: Duration,
    clock: Arc<dyn Clock>,
}

impl Assessor {
    pub(super) fn new(
        oidc: OidcClient,
        status: StatusClient,
        access_tokens: AccessTokens,
        assurances: Assurances,
        max_age: Duration,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self {
            client_id: oidc.client_id().to_owned(),
            oidc,
            status,
            access_tokens,
            assurances,
            max_age,
            clock,
        }
    }

    /// The same, where access tokens come from `access_tokens`.
    pub(super) fn asking_with(self, access_tokens: AccessTokens) -> Self {
        Self {
            access_tokens,
            ..self
        }
    }

    /// Judges who is signed in by `requirement`: from what is known if that will do, by asking
    /// KYCPort if it will not. Nobody is turned away on old news.
    pub(super) async fn assess(
        &self,
        live: &LiveSession,
        requirement: &Requirement,
        freshness: Freshness,
    ) -> Result<Assurance, Lack> {
        let person = self.person(&live.session);
        let arrived = self.clock.now();
        let max_age = requirement.max_age().unwrap_or(self.max_age);
        if freshness == Freshness::Cached
            && let Some(known) = self.assurances.known(&person, max_age).await
            && requirement.check(&known, self.clock.now()).is_ok()
        {
            return Ok(known);
        }
        let ask = || self.question(live);
        let mut asked = match freshness {
            Freshness::Cached => self.assurances.ask_or_share(&person, ask).await,
            Freshness::Now => self.assurances.ask(&person, ask).await,
        };
        if matches!(&asked, Ok(answer) if self.judge(requirement, answer, arrived) == Err(Shortfall::TooOld))
        {
            // Shared with somebody who had asked long before this request came.
            asked = self.assurances.ask(&person, ask).await;
        }
        let assurance = match asked {
            // What was heard meanwhile from elsewhere may be newer.
            Ok(answer) => self.with_latest(&person, answer).await,
            Err(NoAnswer::NoSource) => {
                let own = self
                    .with_latest(&person, live.session.assurance.clone())
                    .await;
                // Nor is it acted on for longer because there is nothing to ask with.
                let is_too_old = own.is_older_than(max_age, self.clock.now());
                if freshness == Freshness::Now || is_too_old {
                    return Err(Shortfall::TooOld.into());
                }
                own
            }
            Err(NoAnswer::Failed { retry_after }) => {
                return Err(Lack {
                    shortfall: Shortfall::NotKnown,
                    retry_after,
                });
            }
            Err(NoAnswer::Refused) => return Err(Shortfall::NotKnown.into()),
        };
        self.judge(requirement, &assurance, arrived)?;
        Ok(assurance)
    }

    /// Judges for a request that came when it `arrived`. What was asked since is new to it, however
    /// long the answer took: or a slow KYCPort would send people round and round.
    fn judge(
        &self,
        requirement: &Requirement,
        assurance: &Assurance,
        arrived: Timestamp,
    ) -> Result<(), Shortfall> {
        let at = arrived.max(assurance.checked_at).min(self.clock.now());
        requirement.check(assurance, at)
    }

    /// The newest that is known of who is signed in, without asking.
    pub(super) async fn newest(&self, session: &Session) -> Assurance {
        let person = self.person(session);
        self.with_latest(&person, session.assurance.clone()).await
    }

    /// Remembers what KYCPort said at a sign-in.
    pub(super) async fn note_sign_in(&self, session: &Session) {
        let person = self.person(session);
        // Of a token that says nothing of it there is nothing to remember.
        if session.assurance.kyc_status.is_some() {
            let note = self.assurances.note(&person, session.assurance.clone());
            // What is not remembered is in the session all the same, or asked for again.
            let _ = note.await;
        }
    }

    async fn with_latest(&self, person: &PersonKey, assurance: Assurance) -> Assurance {
        match self.assurances.latest(person).await {
            // From before a clock was set back: it only looks newer.
            Some(latest) if assurance.checked_at > self.clock.now() => latest,
            Some(latest) => assurance.or_newer(latest),
            None => assurance,
        }
    }

    fn person(&self, session: &Session) -> PersonKey {
        PersonKey {
            issuer: session.issuer.clone(),
            client_id: self.client_id.clone(),
            subject: session.subject.clone(),
        }
    }

    /// The status endpoint if there is a tenant key; if not, userinfo with the person's own token.
    fn question(&self, live: &LiveSession) -> BoxFuture<'static, Asked> {
        let (own, live) = (self.clone(), live.clone());
        async move {
            let subject = live.session.subject.as_str();
            if own.status.is_configured() {
                own.status.status(subject).await.map_err(NoAnswer::from)
            } else {
                own.ask_userinfo(&live).await
            }
        }
        .boxed()
    }

    /// Signing in again brings a token, unless that is what was just done: then another would fare
    /// no better, and the person would go round in circles.
    fn no_token(&self, live: &LiveSession) -> NoAnswer {
        if self.clock.now().since(live.session.began_at) < JUST_NOW {
            NoAnswer::Failed { retry_after: None }
        } else {
            NoAnswer::NoSource
        }
    }

    async fn ask_userinfo(&self, live: &LiveSession) -> Asked {
        let token = self.access_tokens.get(live).await.map_err(|error| {
            observe::no_access_token(&error);
            match error {
                AccessTokenError::Expired | AccessTokenError::Revoked => self.no_token(live),
                _ => NoAnswer::Failed { retry_after: None },
            }
        })?;
        let said = self
            .oidc
            .userinfo(&token, &live.session.subject)
            .await
            .map_err(|error| match error {
                UserinfoError::TokenRefused => self.no_token(live),
                _ => NoAnswer::Failed { retry_after: None },
            })?;
        Ok(Assurance::new(
            said.kyc_status,
            said.kyc_tier,
            said.aml_clear,
            said.asked_at,
            AssuranceSource::Userinfo,
        ))
    }
}
