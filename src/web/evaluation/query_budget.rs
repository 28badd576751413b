//! Budget of the status queries that each person can cause.
//!
//! KYCPort limits the requests of a tenant. Without a budget per person, one signed-in person who
//! requests guarded pages in a loop could use up the tenant's quota. Requests for webhooks and
//! cases are not limited per person.

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use crate::{clock::Clock, expiring_map::ExpiringMap, http::RateLimit, store::Owner};

/// Maximum number of consecutive queries about one person.
const BURST: u32 = 30;
/// Time after which one more query is allowed.
const INTERVAL: Duration = Duration::from_secs(3);
const RATE: RateLimit = RateLimit::new(BURST, INTERVAL);
/// Minimum time between two ordinary queries about one person after KYCPort has rate-limited this
/// client.
const SCARCE_INTERVAL: Duration = Duration::from_secs(10);
/// Minimum time between two queries about one person who returned to the page.
const RETURN_INTERVAL: Duration = Duration::from_secs(10);
/// Period in which the number of queries on return is limited.
const RETURN_PERIOD: Duration = Duration::from_secs(3600);
/// Maximum number of queries on return about one person in [`RETURN_PERIOD`].
const MAX_RETURNS: usize = 20;
/// Maximum number of people whose budgets are remembered.
const MAX_PEOPLE: usize = 10_000;

/// Purpose of a query.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::web) enum Purpose {
    /// Query that a guard sends because the stored verification result does not suffice.
    Ordinary,
    /// Query for an action that needs a new result, or after a login that has just been completed.
    Sensitive,
    /// Query because the person returned to the page during a step-up, or asked for a check.
    Return,
}

/// Budgets of all people. Cheap to clone.
#[derive(Clone)]
pub(in crate::web) struct QueryBudgets {
    people: Arc<Mutex<ExpiringMap<Owner, Budget, MAX_PEOPLE>>>,
    /// Times of the queries on return.
    returns: Arc<Mutex<ExpiringMap<Owner, Vec<Duration>, MAX_PEOPLE>>>,
    clock: Arc<dyn Clock>,
}

/// Budget of one person.
#[derive(Clone, Copy)]
struct Budget {
    /// Time at which the budget is full again.
    full_at: Duration,
    last_query: Duration,
}

impl QueryBudgets {
    pub(in crate::web) fn new(clock: Arc<dyn Clock>) -> Self {
        Self {
            people: Arc::default(),
            returns: Arc::default(),
            clock,
        }
    }

    /// Takes one query from a person's budget. A failed query also uses the budget. If the budget
    /// is used up, returns the time until the next query is allowed. While the quota is scarce,
    /// ordinary queries are allowed less often.
    pub(in crate::web) fn take(
        &self,
        person: &Owner,
        purpose: Purpose,
        quota_is_scarce: bool,
    ) -> Result<(), Duration> {
        let now = self.clock.monotonic();
        let mut people = self.people.lock().unwrap_or_else(PoisonError::into_inner);
        let budget = people.get(now, person).copied();
        let full_at = budget.map_or(now, |budget| budget.full_at.max(now));
        let mut permitted_at = RATE.allowed_from(full_at);
        if let Some(budget) = budget
            && quota_is_scarce
            && purpose == Purpose::Ordinary
        {
            let rarer = budget.last_query.saturating_add(SCARCE_INTERVAL);
            permitted_at = permitted_at.max(rarer);
        }
        if now < permitted_at {
            return Err(permitted_at.saturating_sub(now));
        }
        if purpose == Purpose::Return {
            self.take_return(person, now)?;
        }
        let full_at = RATE.after_request(full_at);
        let idle_at = now.saturating_add(SCARCE_INTERVAL);
        let budget = Budget {
            full_at,
            last_query: now,
        };
        people.insert(now, *person, budget, full_at.max(idle_at));
        Ok(())
    }
}

impl QueryBudgets {
    /// Takes one query on return from a person's budget.
    fn take_return(&self, person: &Owner, now: Duration) -> Result<(), Duration> {
        let mut people = self.returns.lock().unwrap_or_else(PoisonError::into_inner);
        let is_recent = |at: &Duration| now < at.saturating_add(RETURN_PERIOD);
        let mut times = people.get(now, person).cloned().unwrap_or_default();
        times.retain(is_recent);
        let after_last = times.last().map(|at| at.saturating_add(RETURN_INTERVAL));
        let first = times.first().filter(|_| times.len() >= MAX_RETURNS);
        let after_first = first.map(|at| at.saturating_add(RETURN_PERIOD));
        let permitted_at = after_last.max(after_first).unwrap_or(now);
        if now < permitted_at {
            return Err(permitted_at.saturating_sub(now));
        }
        times.push(now);
        people.insert(now, *person, times, now.saturating_add(RETURN_PERIOD));
        Ok(())
    }
}

impl fmt::Debug for QueryBudgets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("QueryBudgets(…)")
    }
}

#[cfg(test)]
mod tests {
    use std::{sync::Arc, time::Duration};

    use super::{
        BURST, INTERVAL, MAX_RETURNS, Purpose, QueryBudgets, RETURN_INTERVAL, RETURN_PERIOD,
        SCARCE_INTERVAL,
    };
    use crate::{clock::TestClock, store::Owner};

    const ADA: Owner = Owner {
        namespace: [1; 16],
        id: [2; 16],
    };
    const EVE: Owner = Owner {
        namespace: [1; 16],
        id: [3; 16],
    };

    fn budgets() -> (QueryBudgets, TestClock) {
        let clock = TestClock::new();
        clock.freeze();
        (QueryBudgets::new(Arc::new(clock.clone())), clock)
    }

    #[test]
    fn each_person_has_a_burst_and_then_one_question_in_three_seconds() {
        let (budgets, clock) = budgets();
        for purpose in [Purpose::Ordinary, Purpose::Sensitive] {
            for _ in 0..BURST {
                budgets.take(&ADA, purpose, false).unwrap();
            }
            for _ in 0..3 {
                assert_eq!(budgets.take(&ADA, purpose, false), Err(INTERVAL));
                budgets.take(&EVE, purpose, false).unwrap();
                clock.advance(INTERVAL);
                budgets.take(&ADA, purpose, false).unwrap();
            }
            clock.advance(BURST * INTERVAL);
        }
    }

    #[test]
    fn a_person_who_returns_causes_one_question_in_ten_seconds_and_twenty_in_an_hour() {
        let (budgets, clock) = budgets();
        for _ in 0..MAX_RETURNS {
            budgets.take(&ADA, Purpose::Return, false).unwrap();
            let again = budgets.take(&ADA, Purpose::Return, false);
            // After the last query, the limit of the hour is longer.
            assert!(again.unwrap_err() >= RETURN_INTERVAL);
            budgets.take(&ADA, Purpose::Ordinary, false).unwrap();
            clock.advance(RETURN_INTERVAL);
        }
        let spent = RETURN_INTERVAL * u32::try_from(MAX_RETURNS).unwrap();
        let left = RETURN_PERIOD.checked_sub(spent).unwrap();
        let again = budgets.take(&ADA, Purpose::Return, false);
        assert_eq!(again, Err(left));
        budgets.take(&EVE, Purpose::Return, false).unwrap();
        clock.advance(left);
        budgets.take(&ADA, Purpose::Return, false).unwrap();
    }

    #[test]
    fn a_scarce_quota_is_left_to_sensitive_actions() {
        let (budgets, clock) = budgets();
        budgets.take(&ADA, Purpose::Ordinary, true).unwrap();
        let left = Duration::from_secs(6);
        clock.advance(SCARCE_INTERVAL.checked_sub(left).unwrap());
        assert_eq!(budgets.take(&ADA, Purpose::Ordinary, true), Err(left));
        budgets.take(&EVE, Purpose::Ordinary, true).unwrap();
        budgets.take(&ADA, Purpose::Sensitive, true).unwrap();
        clock.advance(SCARCE_INTERVAL);
        budgets.take(&ADA, Purpose::Ordinary, true).unwrap();
    }
}
