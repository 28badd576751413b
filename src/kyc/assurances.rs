//! Status queries and the latest assurances. All requests that wait for a result about a person
//! share one query.

use std::{fmt, sync::Arc, time::Duration};

use futures_util::future::BoxFuture;

use super::{
    assurance::{Assurance, AssuranceSource},
    latest::{Latest, LatestAssurances, PersonRef},
    status::StatusError,
};
use crate::{
    observe,
    single_flight::{Flight, SingleFlight},
    state::State,
    store::{Entry, Owner, StoreError, Write, Written},
};

/// Maximum number of queries for one answer. The crate repeats a query if another result was stored
/// during the query.
const MAX_QUERIES: usize = 3;

/// Maximum number of attempts to lower the latest assurance while other requests change it.
const MAX_ATTEMPTS: usize = 16;

/// Answer to a query, or the reason why there is no answer.
pub(crate) type StatusQueryResult = Result<Assurance, QueryError>;

type Run = dyn Fn() -> BoxFuture<'static, StatusQueryResult> + Send + Sync;
type Admit = dyn Fn() -> Result<(), QueryError> + Send + Sync;

/// Query to KYCPort about one person. The query can be repeated.
#[derive(Clone)]
pub(crate) struct StatusQuery {
    run: Arc<Run>,
    admit: Option<Arc<Admit>>,
}

impl StatusQuery {
    pub(crate) fn new(
        run: impl Fn() -> BoxFuture<'static, StatusQueryResult> + Send + Sync + 'static,
    ) -> Self {
        Self {
            run: Arc::new(run),
            admit: None,
        }
    }

    /// Limits the query: calls `admit` before the query starts. If `admit` fails, only this caller
    /// gets the error. Other callers that wait for an answer about the same person do not get the
    /// error.
    pub(crate) fn limited_by(
        self,
        admit: impl Fn() -> Result<(), QueryError> + Send + Sync + 'static,
    ) -> Self {
        Self {
            admit: Some(Arc::new(admit)),
            ..self
        }
    }
}

/// Answer to a query, and whether the store recorded the answer.
#[derive(Debug, Clone)]
pub(crate) struct StatusAnswer {
    pub(crate) assurance: Assurance,
    /// Whether the store recorded the answer. A recorded answer applies to every session.
    pub(crate) recorded: Result<(), StoreError>,
    /// Whether this call queried KYCPort. If this call sent no query, the answer is a result that
    /// another caller stored in the meantime.
    was_queried: bool,
}

/// Error for a failed query.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum QueryError {
    /// No tenant key and no usable access token is available. A new login provides an access token.
    NoSource,
    /// KYCPort did not answer.
    Failed {
        /// Time to wait before the next query, if KYCPort sent this time.
        retry_after: Option<Duration>,
    },
    /// KYCPort rejected the query, and would also reject a repeated query.
    Rejected,
    /// The store failed. The answer may be older than other results.
    Store(StoreError),
}

impl From<StatusError> for QueryError {
    fn from(error: StatusError) -> Self {
        match error {
            StatusError::RateLimited { retry_after } => Self::Failed {
                retry_after: Some(retry_after),
            },
            StatusError::NoTenantKey | StatusError::PersonId | StatusError::Rejected { .. } => {
                Self::Rejected
            }
            _ => Self::Failed { retry_after: None },
        }
    }
}

/// Latest assurances, and the queries that are in flight. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Assurances(Arc<Inner>);

struct Inner {
    latest: LatestAssurances,
    queries: SingleFlight<PersonRef, StatusAnswer, QueryError>,
}

impl Assurances {
    pub(crate) fn new(state: State) -> Self {
        Self(Arc::new(Inner {
            latest: LatestAssurances::new(state),
            queries: SingleFlight::new(QueryError::Failed { retry_after: None }),
        }))
    }

    pub(crate) fn person(&self, subject: &str) -> PersonRef {
        self.0.latest.person(subject)
    }

    /// Reads the latest assurance.
    pub(crate) async fn latest(&self, person: &PersonRef) -> Result<Latest, StoreError> {
        self.0.latest.read(person).await
    }

    /// Decodes the latest assurance from a store entry that the caller has already read.
    pub(crate) fn open(&self, owner: &Owner, subject: &str, entry: Option<&Entry>) -> Latest {
        self.0.latest.open(owner, subject, entry)
    }

    /// Prepares the write of a result as part of a batch.
    pub(crate) fn write_of(
        &self,
        person: &PersonRef,
        assurance: &Assurance,
        before: &Latest,
    ) -> Result<Write, StoreError> {
        self.0.latest.write_of(person, assurance, before)
    }

    /// Replaces the latest assurance by the result of `change`. Keeps the stored assurance if
    /// `change` returns `None`.
    pub(crate) async fn lower(
        &self,
        person: &PersonRef,
        change: impl Fn(Option<&Assurance>) -> Option<Assurance>,
    ) -> Result<(), StoreError> {
        let mut before = self.latest(person).await?;
        for _ in 0..MAX_ATTEMPTS {
            let Some(lowered) = change(before.known()) else {
                return Ok(());
            };
            let write = self.0.latest.replacement_of(person, &lowered, &before)?;
            match self.write(person, write).await? {
                None => return Ok(()),
                Some(now) => before = now,
            }
        }
        Err(StoreError::Busy)
    }

    /// Executes a write. If another caller has changed the record, returns the stored assurance
    /// without a write.
    async fn write(&self, person: &PersonRef, write: Write) -> Result<Option<Latest>, StoreError> {
        let Inner { latest, .. } = &*self.0;
        match latest.state().write(&person.owner, &[write], None).await? {
            Written::Applied => Ok(None),
            Written::Conflict(now) => {
                let entry = now.entries.first().and_then(Option::as_ref);
                Ok(Some(latest.open(&person.owner, &person.subject, entry)))
            }
            Written::Fenced => Err(StoreError::Failed),
        }
    }

    /// Queries KYCPort now. Ignores the result of a query that began before this call, and waits
    /// for the next query. Several callers share the next query.
    pub(crate) async fn query(&self, person: &PersonRef, query: StatusQuery) -> StatusQueryResult {
        self.query_recorded(person, query)
            .await
            .map(|it| it.assurance)
    }

    /// Queries KYCPort now, and returns whether the answer was recorded.
    pub(crate) async fn query_recorded(
        &self,
        person: &PersonRef,
        query: StatusQuery,
    ) -> Result<StatusAnswer, QueryError> {
        let arrival = self.0.queries.arrive();
        loop {
            let flight = self.join_or_start(person, &query, None)?;
            let is_new = flight.started_after(arrival);
            let answer = flight.result.await;
            let was_queried = !matches!(&answer, Ok(heard) if !heard.was_queried);
            if is_new && was_queried {
                return answer;
            }
        }
    }

    /// Queries KYCPort, or shares a query that is in flight. Also accepts a result that was
    /// recorded after the caller read `seen`.
    pub(crate) async fn query_or_share(
        &self,
        person: &PersonRef,
        query: StatusQuery,
        seen: &Latest,
    ) -> StatusQueryResult {
        let flight = self.join_or_start(person, &query, Some(seen))?;
        flight.result.await.map(|heard| heard.assurance)
    }

    /// Joins the query that is in flight, or starts one.
    fn join_or_start(
        &self,
        person: &PersonRef,
        query: &StatusQuery,
        seen: Option<&Latest>,
    ) -> Result<Flight<StatusAnswer, QueryError>, QueryError> {
        self.0.queries.join_or_start(person, || {
            if let Some(admit) = &query.admit {
                admit()?;
            }
            let (own, person) = (self.clone(), person.clone());
            let (run, seen) = (Arc::clone(&query.run), seen.cloned());
            Ok(async move { own.run(&person, &*run, seen).await })
        })
    }

    /// Queries KYCPort and records the answer. Queries KYCPort again if another caller stored a
    /// result during the query. The stored result may be newer than the answer.
    async fn run(
        &self,
        person: &PersonRef,
        query: &Run,
        seen: Option<Latest>,
    ) -> Result<StatusAnswer, QueryError> {
        let mut before = self.latest(person).await.map_err(QueryError::Store)?;
        // A recorded result of a webhook does not answer the query.
        if seen.is_some_and(|seen| seen != before)
            && let Some(assurance) = before.known()
            && assurance.source != AssuranceSource::Webhook
        {
            return Ok(StatusAnswer {
                assurance: assurance.clone(),
                recorded: Ok(()),
                was_queried: false,
            });
        }
        for _ in 0..MAX_QUERIES {
            // A failed query does not change the record.
            let mut assurance = query().await?;
            // Userinfo omits the status if the access token lacks the scope `kyc`. Such an answer
            // must not replace a rejection.
            if assurance.kyc_status.is_none()
                && before.known().is_some_and(|known| !known.is_verified())
            {
                return Ok(StatusAnswer {
                    assurance,
                    recorded: Ok(()),
                    was_queried: true,
                });
            }
            if let Some(known) = before.known() {
                assurance = assurance.keeping_verified_at(known);
            }
            let write = self.0.latest.write_of(person, &assurance, &before);
            let written = match write {
                Ok(write) => self.write(person, write).await,
                Err(error) => Err(error),
            };
            let recorded = match written {
                Ok(Some(now)) => {
                    before = now;
                    continue;
                }
                Ok(None) => Ok(()),
                Err(error) => {
                    observe::assurance_not_recorded();
                    Err(error)
                }
            };
            return Ok(StatusAnswer {
                assurance,
                recorded,
                was_queried: true,
            });
        }
        Err(QueryError::Failed { retry_after: None })
    }
}

impl fmt::Debug for Assurances {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Assurances(…)")
    }
}
