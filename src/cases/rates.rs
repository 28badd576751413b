//! Limits on the requests about cases that one person can cause.

use std::{sync::Arc, time::Duration};

use super::error::CaseError;
use crate::{
    clock::Clock,
    http::{RateLimit, RateLimiter},
};

/// Maximum number of consecutive requests of one person that open or find a case.
const BURST_OF_PERSON: u32 = 30;
/// Maximum number of consecutive calls that decide one case or wait for its decision.
const BURST_OF_CASE: u32 = 10;
/// Time after which one more call is allowed.
const INTERVAL: Duration = Duration::from_secs(5);

/// Rates of the calls about each person and each case. An app's route calls the case client for
/// each request of a browser. Without these limits, one person who repeats a request in the browser
/// could use up the tenant's quota at KYCPort. Clones share the rates.
#[derive(Debug, Clone)]
pub(super) struct Rates {
    people: RateLimiter<String>,
    cases: RateLimiter<String>,
}

impl Rates {
    pub(super) fn new(clock: &Arc<dyn Clock>) -> Self {
        let limiter = |burst| RateLimiter::new(RateLimit::new(burst, INTERVAL), Arc::clone(clock));
        Self {
            people: limiter(BURST_OF_PERSON),
            cases: limiter(BURST_OF_CASE),
        }
    }

    /// Counts a call that opens or finds a case of this person.
    pub(super) fn of_person(&self, person_id: &str) -> Result<(), CaseError> {
        self.people.take(person_id).map_err(rate_limited)
    }

    /// Counts a call that decides this case or waits for its decision.
    pub(super) fn of_case(&self, case_id: &str) -> Result<(), CaseError> {
        self.cases.take(case_id).map_err(rate_limited)
    }
}

fn rate_limited(retry_after: Duration) -> CaseError {
    CaseError::RateLimited { retry_after }
}
