//! Verification cases.

use std::sync::Arc;

use axum::http::Method;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    Admin,
    no::No,
    route::{Nothing, Route},
};
use crate::mock::{
    cases::{CaseSnapshot, Cases},
    deliveries::event::rfc3339,
    start::words::OutcomeWord,
};

/// A case as it stands now.
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
    /// The parts of the last complete upload.
    files: Vec<FileView>,
}

/// A file that was uploaded.
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

/// What is decided.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Decision {
    outcome: OutcomeWord,
}

pub(super) fn routes() -> Vec<Route> {
    vec![
        Route::new(
            Method::GET,
            "/cases",
            "listCases",
            "The last 10,000 cases, oldest first.",
            list,
        ),
        Route::new(Method::GET, "/cases/{case}", "readCase", "A case.", read),
        Route::new(
            Method::POST,
            "/cases/{case}/review",
            "reviewCase",
            "The reviewer's word on a case that is in review.",
            review,
        ),
        Route::new(
            Method::POST,
            "/cases/next_outcome",
            "forceOutcome",
            "The next decision has this outcome. Called again, the one after it.",
            next_outcome,
        ),
    ]
}

pub(super) fn list(admin: &Admin, _: &str, _: Nothing) -> Result<Vec<CaseView>, No> {
    Ok(cases(admin).all().into_iter().map(Into::into).collect())
}

pub(super) fn read(admin: &Admin, id: &str, _: Nothing) -> Result<CaseView, No> {
    let case = cases(admin).find(id).ok_or_else(|| No::not_found("case"))?;
    Ok(case.into())
}

pub(super) fn next_outcome(admin: &Admin, _: &str, next: Decision) -> Result<Nothing, No> {
    cases(admin).next_outcome(next.outcome.into());
    Ok(Nothing {})
}

pub(super) fn review(admin: &Admin, id: &str, word: Decision) -> Result<CaseView, No> {
    read(admin, id, Nothing {})?;
    cases(admin).review(id, &word.outcome.into())?;
    read(admin, id, Nothing {})
}

fn cases(admin: &Admin) -> Cases {
    Cases::new(Arc::clone(&admin.core))
}
