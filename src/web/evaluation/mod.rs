//! Evaluation of a requirement for a signed-in person, and the budget of requests to KYCPort.

pub(super) mod evaluate;
mod query_budget;
