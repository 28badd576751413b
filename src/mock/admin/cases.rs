//! Admin API routes for verification cases.

use std::sync::Arc;

use axum::http::Method;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    Admin,
    api_error::ApiError,
    route::{Empty, Route},
};
use crate::mock::{
    cases::{CaseSnapshot, Cases},
    deliveries::event::rfc3339,
    start::values::OutcomeValue,
};

/// Current state of a verification case.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Case")]
pub(super) struct CaseView {
    id: String,
    person_id: String,
    level: String,
    status: String,
    outcome: Option<String>,
    risk_level: Option<String>,
    human_verified: Option<bool>,
    opened_at: String,
    /// Files of the last complete upload.
    files: Vec<FileView>,
}

/// Uploaded file.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "CaseFile")]
struct FileView {
    part: String,
    size: u64,
    sha256: String,
}

impl From<CaseSnapshot> for CaseView {
    fn from(case: CaseSnapshot) -> Self {
        let files = case.files.into_iter().map(|(part, file)| FileView {
            part,
            size: file.size,
            sha256: file.sha256,
        });
        Self {
            id: case.id,
            person_id: case.person_id,
            level: case.level.to_string(),
            status: case.status.to_string(),
            outcome: case.outcome.map(|it| it.to_string()),
            risk_level: case.risk_level.map(|it| it.to_string()),
            human_verified: case.human_verified,
            opened_at: rfc3339(case.opened_at),
            files: files.collect(),
        }
    }
}

/// Body of a decision request.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Decision {
    outcome: OutcomeValue,
}

pub(super) fn routes() -> Vec<Route> {
    vec![
        Route::new(
            Method::GET,
            "/cases",
            "listCases",
            "Lists the last 10,000 cases, oldest first.",
            list,
        ),
        Route::new(
            Method::GET,
            "/cases/{case}",
            "readCase",
            "Returns a case.",
            read,
        ),
        Route::new(
            Method::POST,
            "/cases/{case}/review",
            "reviewCase",
            "Decides a case that is under review.",
            review,
        ),
        Route::new(
            Method::POST,
            "/cases/next_outcome",
            "forceOutcome",
            "Sets the outcome of the next decision. Each further call sets the outcome of one more decision.",
            next_outcome,
        ),
    ]
}

pub(super) fn list(admin: &Admin, _: &str, _: Empty) -> Result<Vec<CaseView>, ApiError> {
    Ok(cases(admin).all().into_iter().map(Into::into).collect())
}

pub(super) fn read(admin: &Admin, id: &str, _: Empty) -> Result<CaseView, ApiError> {
    let case = cases(admin)
        .find(id)
        .ok_or_else(|| ApiError::not_found("case"))?;
    Ok(case.into())
}

pub(super) fn next_outcome(admin: &Admin, _: &str, next: Decision) -> Result<Empty, ApiError> {
    cases(admin).next_outcome(next.outcome.into());
    Ok(Empty {})
}

pub(super) fn review(admin: &Admin, id: &str, decision: Decision) -> Result<CaseView, ApiError> {
    read(admin, id, Empty {})?;
    cases(admin).review(id, &decision.outcome.into())?;
    read(admin, id, Empty {})
}

fn cases(admin: &Admin) -> Cases {
    Cases::new(Arc::clone(&admin.core))
}
