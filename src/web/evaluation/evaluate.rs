//! Evaluation of a requirement against the latest assurance, with status queries to KYCPort.

use std::{sync::Arc, time::Duration};

use futures_util::FutureExt as _;

use super::query_budget::{Purpose, QueryBudgets};
use crate::{
    clock::{Clock, Timestamp},
    kyc::{
        Assurance, AssuranceSource, Assurances, Latest, QueryError, Requirement, RequirementError,
        StatusClient, StatusQuery, StatusQueryResult,
    },
    observe,
    oidc::{OidcClient, UserinfoError},
    store::StoreError,
    web::session::{AccessTokenError, AccessTokens, LiveSession},
};

/// Time after a login or step-up during which the guard does not ask the person to sign in again.
const RECENT_LOGIN: Duration = Duration::from_secs(60);

/// Time for which the guard uses a negative result of KYCPort without another query. A newer result
/// replaces the negative result earlier. A person who keeps reloading a page causes one query in
/// this time.
pub(in crate::web) const NEGATIVE_RESULT_MAX_AGE: Duration = Duration::from_secs(10);

/// Time after a 429 from KYCPort during which guards query less often. Webhooks, cases and
/// sensitive actions then have priority in the quota.
const SCARCE_QUOTA_PERIOD: Duration = Duration::from_secs(60);

/// Required freshness of a stored verification result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::web) enum Freshness {
    /// The stored result suffices if it is not older than the maximum age.
    Cached,
    /// A positive result suffices if it is not older than the maximum age. The person has just
    /// signed in again, so the guard ignores a negative result from before the login.
    AfterSignIn,
    /// The guard queries KYCPort for this request.
    Now,
}

impl Freshness {
    fn purpose(self) -> Purpose {
        match self {
            Self::Cached => Purpose::Ordinary,
            Self::AfterSignIn | Self::Now => Purpose::Sensitive,
        }
    }
}

/// Reason why the person does not meet a requirement, and the time to wait before a retry, if
/// known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::web) struct Denial {
    pub(in crate::web) reason: RequirementError,
    pub(in crate::web) retry_after: Option<Duration>,
}

impl From<RequirementError> for Denial {
    fn from(reason: RequirementError) -> Self {
        Self {
            reason,
            retry_after: None,
        }
    }
}

/// Evaluates requirements. Queries KYCPort if the stored verification result does not suffice.
#[derive(Debug, Clone)]
pub(in crate::web) struct Evaluator {
    oidc: OidcClient,
    status: StatusClient,
    access_tokens: AccessTokens,
    assurances: Assurances,
    max_age: Duration,
    budgets: QueryBudgets,
    clock: Arc<dyn Clock>,
}

impl Evaluator {
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
            budgets: QueryBudgets::new(Arc::clone(&clock)),
            clock,
        }
    }

    /// Evaluates a requirement. Uses the latest assurance if it suffices, and queries KYCPort
    /// otherwise. The guard uses a negative result for ten seconds, and a positive result up to the
    /// maximum age.
    pub(in crate::web) async fn evaluate(
        &self,
        live: &LiveSession,
        requirement: &Requirement,
        freshness: Freshness,
    ) -> Result<Assurance, Denial> {
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
            && let Some(reason) = recent_denial(live, requirement, arrived)
        {
            return Err(reason.into());
        }
        // This future is boxed, because few guarded requests query KYCPort.
        self.query(live, requirement, freshness, arrived, max_age)
            .boxed()
            .await
    }

    /// Queries KYCPort for a person who returned to the page, and records the answer. Sends no
    /// query if any instance recorded an answer in the last ten seconds, or if the person's budget
    /// is used up. Requests that wait for an answer about the person share one query.
    pub(in crate::web) async fn query_on_return(
        &self,
        live: &LiveSession,
    ) -> Result<(), QueryError> {
        let now = self.clock.now();
        if let Some(known) = recent_answer(live, now) {
            let next = known.checked_at.saturating_add(NEGATIVE_RESULT_MAX_AGE);
            return Err(QueryError::Failed {
                retry_after: Some(next.since(now).min(NEGATIVE_RESULT_MAX_AGE)),
            });
        }
        let person = self.assurances.person(&live.session.subject);
        let query = self.status_query(live, Purpose::Return);
        let answer = self.assurances.query_or_share(&person, query, &live.latest);
        answer.await.map(drop)
    }

    /// Reads the latest assurance of a person again.
    pub(in crate::web) async fn latest(&self, live: &LiveSession) -> Result<Latest, StoreError> {
        let person = self.assurances.person(&live.session.subject);
        self.assurances.latest(&person).await
    }

    async fn query(
        &self,
        live: &LiveSession,
        requirement: &Requirement,
        freshness: Freshness,
        arrived: Timestamp,
        max_age: Duration,
    ) -> Result<Assurance, Denial> {
        let person = self.assurances.person(&live.session.subject);
        let mut answer = match freshness {
            Freshness::Cached | Freshness::AfterSignIn => {
                self.assurances
                    .query_or_share(
                        &person,
                        self.status_query(live, freshness.purpose()),
                        &live.latest,
                    )
                    .await
            }
            Freshness::Now => {
                self.assurances
                    .query(&person, self.status_query(live, freshness.purpose()))
                    .await
            }
        };
        let is_stale = answer.as_ref().is_ok_and(|answer| {
            self.check(requirement, answer, arrived) == Err(RequirementError::Stale)
        });
        if is_stale {
            // The result is stale if the shared query began long before this request arrived.
            answer = self
                .assurances
                .query(&person, self.status_query(live, freshness.purpose()))
                .await;
        }
        let assurance = match answer {
            Ok(answer) => answer,
            Err(QueryError::NoSource) => self.recorded(live, max_age, freshness)?,
            Err(QueryError::Failed { retry_after }) => {
                return Err(Denial {
                    reason: RequirementError::Unknown,
                    retry_after,
                });
            }
            Err(QueryError::Rejected | QueryError::Store(_)) => {
                return Err(RequirementError::Unknown.into());
            }
        };
        self.check(requirement, &assurance, arrived)?;
        Ok(assurance)
    }

    /// Returns the stored [`Assurance`] when this instance cannot query KYCPort. The assurance must
    /// not be older than `max_age`. An unreadable record is an error, because the result in it may
    /// be negative.
    fn recorded(
        &self,
        live: &LiveSession,
        max_age: Duration,
        freshness: Freshness,
    ) -> Result<Assurance, RequirementError> {
        match &live.latest {
            Latest::Known { assurance, .. } => {
                let now = self.clock.now();
                // If another instance's clock is ahead, a negative result must not be treated as
                // stale.
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

    /// Checks the assurance at the time the request `arrived`. A result that was requested after
    /// that time is current, even if KYCPort responded slowly. If the guard treated this result as
    /// stale, slow responses of KYCPort would cause endless redirects.
    fn check(
        &self,
        requirement: &Requirement,
        assurance: &Assurance,
        arrived: Timestamp,
    ) -> Result<(), RequirementError> {
        let at = arrived.max(assurance.checked_at).min(self.clock.now());
        requirement.check(assurance, at)
    }

    /// Returns the query about a person, limited by the person's budget. With a tenant key, the
    /// query calls the status endpoint. Without a tenant key, the query calls the userinfo endpoint
    /// with the person's access token.
    fn status_query(&self, live: &LiveSession, purpose: Purpose) -> StatusQuery {
        let (limiter, owner) = (self.clone(), live.owner);
        let (own, live) = (self.clone(), live.clone());
        let query = StatusQuery::new(move || {
            let (own, live) = (own.clone(), live.clone());
            async move {
                let subject = live.session.subject.as_str();
                if own.status.is_configured() {
                    own.status.status(subject).await.map_err(QueryError::from)
                } else {
                    own.query_userinfo(&live).await
                }
            }
            .boxed()
        });
        query.limited_by(move || {
            let is_scarce = limiter.status.was_rate_limited_within(SCARCE_QUOTA_PERIOD);
            let taken = limiter.budgets.take(&owner, purpose, is_scarce);
            taken.map_err(|wait| QueryError::Failed {
                retry_after: Some(wait),
            })
        })
    }

    /// Returns the error for a person without a usable access token. A new login provides a new
    /// token. If the person has just signed in, the function returns another error, because another
    /// login would cause endless redirects.
    fn no_usable_token(&self, live: &LiveSession) -> QueryError {
        if self.clock.now().since(live.session.latest_login()) < RECENT_LOGIN {
            QueryError::Failed { retry_after: None }
        } else {
            QueryError::NoSource
        }
    }

    async fn query_userinfo(&self, live: &LiveSession) -> StatusQueryResult {
        let token = self.access_tokens.get(live).await.map_err(|error| {
            observe::no_access_token(&error);
            match error {
                AccessTokenError::Expired | AccessTokenError::Revoked => self.no_usable_token(live),
                _ => QueryError::Failed { retry_after: None },
            }
        })?;
        let claims = self
            .oidc
            .userinfo(&token, &live.session.subject)
            .await
            .map_err(|error| match error {
                UserinfoError::TokenRejected => self.no_usable_token(live),
                UserinfoError::RateLimited { retry_after } => QueryError::Failed {
                    retry_after: Some(retry_after),
                },
                _ => QueryError::Failed { retry_after: None },
            })?;
        Ok(Assurance::new(
            claims.kyc_status,
            claims.kyc_tier,
            claims.aml_clear,
            claims.requested_at,
            AssuranceSource::Userinfo,
        )
        .with_verified_at(claims.verified_at))
    }
}

/// Returns the reason for a denial if KYCPort answered a query in the last ten seconds. Returns
/// `None` for a result from a login or a webhook. The guard then queries KYCPort.
fn recent_denial(
    live: &LiveSession,
    requirement: &Requirement,
    arrived: Timestamp,
) -> Option<RequirementError> {
    let known = recent_answer(live, arrived)?;
    let reason = requirement
        .check(known, arrived.max(known.checked_at))
        .err()?;
    (reason != RequirementError::Stale).then_some(reason)
}

/// Returns the recorded assurance if KYCPort answered a query in the last ten seconds.
fn recent_answer(live: &LiveSession, arrived: Timestamp) -> Option<&Assurance> {
    let known = live.latest.known()?;
    let was_asked = matches!(
        known.source,
        AssuranceSource::Status | AssuranceSource::Userinfo
    );
    // The clock of another instance may be ahead by at most ten seconds.
    let is_recent = known.checked_at < arrived.saturating_add(NEGATIVE_RESULT_MAX_AGE)
        && arrived < known.checked_at.saturating_add(NEGATIVE_RESULT_MAX_AGE);
    (was_asked && is_recent).then_some(known)
}
