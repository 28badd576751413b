//! Error responses: HTML pages for people and problem JSON for scripts.

mod page;
pub(super) mod problem;
pub(super) mod problem_json;
pub(super) mod problem_response;
mod unavailable;
