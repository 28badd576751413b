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
/// Maximum number of people whose budgets are remembered.
const MAX_PEOPLE: usize = 10_000;

/// Purpose of a query.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::web) enum Purpose {
    /// Query that a guard sends because the stored verification result does not suffice.
    Ordinary,
    /// Query for an action that needs a new result, or after a login that has just been completed.
    Sensitive,
}

/// Budgets of all people. Cheap to clone.
#[derive(Clone)]
pub(in crate::web) struct QueryBudgets {
    people: Arc<Mutex<ExpiringMap<Owner, Budget, MAX_PEOPLE>>>,
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

impl fmt::Debug for QueryBudgets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("QueryBudgets(…)")
    }
}

#[cfg(test)]
mod tests {
    use std::{sync::Arc, time::Duration};

    use super::{BURST, INTERVAL, Purpose, QueryBudgets, SCARCE_INTERVAL};
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
