//! What is known of who is signed in, and asking KYCPort for what is not.

use std::{sync::Arc, time::Duration};

use futures_util::FutureExt as _;

use super::question_budget::{Purpose, QuestionBudgets};
use crate::{
    clock::{Clock, Timestamp},
    kyc::{
        Asked, Assurance, AssuranceSource, Assurances, Latest, NoAnswer, Question, Requirement,
        RequirementError, StatusClient,
    },
    observe,
    oidc::{OidcClient, UserinfoError},
    web::session::{AccessTokenError, AccessTokens, LiveSession},
};

/// Whoever signed in no longer ago is not asked to sign in again.
const JUST_NOW: Duration = Duration::from_secs(60);

/// Time for which a negative answer of KYCPort is used without another request, unless a newer result
/// is recorded. A person who reloads a page causes one request in this time.
const NEGATIVE_RESULT_MAX_AGE: Duration = Duration::from_secs(10);

/// Time after a 429 of KYCPort in which guards leave its quota to webhooks, cases and sensitive
/// actions.
const QUOTA_IS_SCARCE_FOR: Duration = Duration::from_secs(60);

/// How lately an assurance must have been asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::web) enum Freshness {
    /// What is known will do while it is not too old.
    Cached,
    /// As [`Cached`](Self::Cached) for a positive result. The person has just signed in again, so a
    /// negative result from before the sign-in does not count.
    AfterSignIn,
    /// Asked for this very request.
    Now,
}

/// How a person falls short, and when to try again if that is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::web) struct Lack {
    pub(in crate::web) shortfall: RequirementError,
    pub(in crate::web) retry_after: Option<Duration>,
}

impl From<RequirementError> for Lack {
    fn from(shortfall: RequirementError) -> Self {
        Self {
            shortfall,
            retry_after: None,
        }
    }
}

/// Knows what is known of people, and asks.
#[derive(Debug, Clone)]
pub(in crate::web) struct Assessor {
    oidc: OidcClient,
    status: StatusClient,
    access_tokens: AccessTokens,
    assurances: Assurances,
    max_age: Duration,
    budgets: QuestionBudgets,
    clock: Arc<dyn Clock>,
}

impl Assessor {
    pub(in crate::web) fn new(
        oidc: OidcClient,
        status: StatusClient,
        access_tokens: AccessTokens,
        assurances: Assurances,
        max_age: Duration,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self {
            oidc,
            status,
            access_tokens,
            assurances,
            max_age,
            budgets: QuestionBudgets::new(Arc::clone(&clock)),
            clock,
        }
    }

    /// Evaluates a requirement: by the latest assurance if that suffices, by asking KYCPort if not.
    /// A negative result is used for ten seconds, a positive one up to the maximum age.
    pub(in crate::web) async fn assess(
        &self,
        live: &LiveSession,
        requirement: &Requirement,
        freshness: Freshness,
    ) -> Result<Assurance, Lack> {
        let arrived = self.clock.now();
        let max_age = requirement.required_max_age().unwrap_or(self.max_age);
        if freshness != Freshness::Now
            && let Some(known) = live.latest.known()
            && known.is_verified()
            && !known.is_older_than(max_age, arrived)
            && requirement.check(known, arrived).is_ok()
        {
            return Ok(known.clone());
        }
        if freshness == Freshness::Cached
            && let Some(shortfall) = recent_shortfall(live, requirement, arrived)
        {
            return Err(shortfall.into());
        }
        // In an allocation of its own: each guarded request makes the future of this function, and
        // few of them ask.
        self.ask(live, requirement, freshness, arrived, max_age)
            .boxed()
            .await
    }

    async fn ask(
        &self,
        live: &LiveSession,
        requirement: &Requirement,
        freshness: Freshness,
        arrived: Timestamp,
        max_age: Duration,
    ) -> Result<Assurance, Lack> {
        let person = self.assurances.person(&live.session.subject);
        let mut asked = match freshness {
            Freshness::Cached | Freshness::AfterSignIn => {
                self.assurances
                    .ask_or_share(&person, self.question(live, freshness), &live.latest)
                    .await
            }
            Freshness::Now => {
                self.assurances
                    .ask(&person, self.question(live, freshness))
                    .await
            }
        };
        if matches!(&asked, Ok(answer) if self.judge(requirement, answer, arrived) == Err(RequirementError::Stale))
        {
            // The answer belongs to a question that began long before this request came.
            asked = self
                .assurances
                .ask(&person, self.question(live, freshness))
                .await;
        }
        let assurance = match asked {
            Ok(answer) => answer,
            Err(NoAnswer::NoSource) => self.recorded(live, max_age, freshness)?,
            Err(NoAnswer::Failed { retry_after }) => {
                return Err(Lack {
                    shortfall: RequirementError::Unknown,
                    retry_after,
                });
            }
            Err(NoAnswer::Rejected | NoAnswer::Store(_)) => {
                return Err(RequirementError::Unknown.into());
            }
        };
        self.judge(requirement, &assurance, arrived)?;
        Ok(assurance)
    }

    /// The recorded assurance, where there is nothing to ask KYCPort with. It is not acted on for
    /// longer because of that. One that cannot be read may be a negative result.
    fn recorded(
        &self,
        live: &LiveSession,
        max_age: Duration,
        freshness: Freshness,
    ) -> Result<Assurance, RequirementError> {
        match &live.latest {
            Latest::Known { assurance, .. } => {
                let now = self.clock.now();
                // A clock that is ahead must not turn a negative result into an outdated one.
                if !assurance.is_verified() && assurance.checked_at > now {
                    return Ok((**assurance).clone());
                }
                if freshness == Freshness::Now || assurance.is_older_than(max_age, now) {
                    return Err(RequirementError::Stale);
                }
                Ok((**assurance).clone())
            }
            Latest::NothingRecorded => Err(RequirementError::Stale),
            Latest::Unreadable { .. } => Err(RequirementError::Unknown),
        }
    }

    /// Judges for a request that came when it `arrived`. What was asked since is new to it, however
    /// long the answer took: or a slow KYCPort would send people round and round.
    fn judge(
        &self,
        requirement: &Requirement,
        assurance: &Assurance,
        arrived: Timestamp,
    ) -> Result<(), RequirementError> {
        let at = arrived.max(assurance.checked_at).min(self.clock.now());
        requirement.check(assurance, at)
    }

    /// The question about a person, within that person's budget: to the status endpoint if there is
    /// a tenant key, otherwise to userinfo with the person's own token.
    fn question(&self, live: &LiveSession, freshness: Freshness) -> Question {
        let purpose = match freshness {
            Freshness::Cached => Purpose::Ordinary,
            Freshness::AfterSignIn | Freshness::Now => Purpose::Sensitive,
        };
        let (own, live) = (self.clone(), live.clone());
        Arc::new(move || {
            let (own, live) = (own.clone(), live.clone());
            async move {
                let subject = live.session.subject.as_str();
                let is_scarce = own.status.was_rate_limited_within(QUOTA_IS_SCARCE_FOR);
                if let Err(wait) = own.budgets.take(&live.owner, purpose, is_scarce) {
                    return Err(NoAnswer::Failed {
                        retry_after: Some(wait),
                    });
                }
                if own.status.is_configured() {
                    own.status.status(subject).await.map_err(NoAnswer::from)
                } else {
                    own.ask_userinfo(&live).await
                }
            }
            .boxed()
        })
    }

    /// Signing in again brings a token, unless that is what was just done: then another would fare
    /// no better, and the person would go round in circles.
    fn no_token(&self, live: &LiveSession) -> NoAnswer {
        if self.clock.now().since(live.session.created_at) < JUST_NOW {
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
                UserinfoError::TokenRejected => self.no_token(live),
                _ => NoAnswer::Failed { retry_after: None },
            })?;
        Ok(Assurance::new(
            said.kyc_status,
            said.kyc_tier,
            said.aml_clear,
            said.requested_at,
            AssuranceSource::Userinfo,
        ))
    }
}

/// How the person falls short by a result that KYCPort was asked for a moment ago. What was heard
/// otherwise, at a sign-in or from an event, is a reason to ask.
fn recent_shortfall(
    live: &LiveSession,
    requirement: &Requirement,
    arrived: Timestamp,
) -> Option<RequirementError> {
    let known = live.latest.known()?;
    let was_asked = matches!(
        known.source,
        AssuranceSource::Status | AssuranceSource::Userinfo
    );
    // The clock of another instance may be ahead, by as much and no more.
    let is_recent = known.checked_at < arrived.saturating_add(NEGATIVE_RESULT_MAX_AGE)
        && arrived < known.checked_at.saturating_add(NEGATIVE_RESULT_MAX_AGE);
    if !was_asked || !is_recent {
        return None;
    }
    let shortfall = requirement
        .check(known, arrived.max(known.checked_at))
        .err()?;
    (shortfall != RequirementError::Stale).then_some(shortfall)
}
