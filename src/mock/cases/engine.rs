//! The engine's decisions (K52, K53), and the list of members that a tenant must not send.

use std::collections::VecDeque;

use crate::{
    mock::records::{case::CaseRecord, person::PersonRecord},
    wire::cases::{
        DOCUMENT, DecisionResponse, LIVENESS_MODE, LivenessMode, Outcome, RiskLevel, SELFIE,
    },
};

/// Decides a case.
///
/// A test, a marker in the document or the person's name can force the outcome, in this order of
/// precedence (K78). If the outcome is not forced, the engine compares the uploaded files. The
/// engine rejects a document or selfie that another person uploaded (1:N deduplication), and a
/// selfie that equals the document (K77).
pub(in crate::mock) fn decide(
    case: &CaseRecord,
    person: &PersonRecord,
    all: &VecDeque<CaseRecord>,
    forced: Option<Outcome>,
) -> DecisionResponse {
    let outcome = forced
        .or_else(|| marker(case))
        .or_else(|| by_name(&person.name));
    let hash = |part: &str| case.uploaded.files.get(part).map(|it| &it.sha256);
    let is_no_face = hash(DOCUMENT) == hash(SELFIE);
    let is_known_elsewhere = all
        .iter()
        .filter(|other| other.person_id != case.person_id)
        .any(|other| {
            [DOCUMENT, SELFIE]
                .iter()
                .any(|part| same(case, other, part))
        });
    let active = LivenessMode::Active.as_str();
    let is_active = case.uploaded.texts.get(LIVENESS_MODE).map(String::as_str) == Some(active);
    let (outcome, risk_level) = match outcome {
        Some(Outcome::Approved) => (Outcome::Approved, RiskLevel::Low),
        Some(Outcome::Review) => (Outcome::Review, RiskLevel::Medium),
        Some(forced) => (forced, RiskLevel::High),
        None if is_known_elsewhere || is_no_face => (Outcome::Rejected, RiskLevel::High),
        None if is_active => (Outcome::Approved, RiskLevel::Low),
        None => (Outcome::Approved, RiskLevel::Medium),
    };
    DecisionResponse {
        outcome,
        risk_level: Some(risk_level),
        human_verified: Some(false),
        automation_tier: Some("full".to_owned()),
    }
}

/// Returns the decision of a human reviewer.
pub(super) fn reviewed(outcome: Outcome) -> DecisionResponse {
    DecisionResponse {
        outcome,
        risk_level: Some(RiskLevel::Medium),
        human_verified: Some(true),
        automation_tier: Some("assisted".to_owned()),
    }
}

/// Returns whether `name` is a member or part that only the engine may set (K53).
pub(super) fn is_verdict(name: &str) -> bool {
    let plain: String = name
        .chars()
        .filter(char::is_ascii_alphanumeric)
        .map(|letter| letter.to_ascii_lowercase())
        .collect();
    let plain = plain.strip_prefix("applicant").unwrap_or(&plain);
    let whole = ["status", "result", "match", "tier", "passed"];
    let within = [
        "verdict",
        "outcome",
        "decision",
        "score",
        "approved",
        "rejected",
        "verified",
        "risk",
        "kycstatus",
        "kyctier",
        "facematch",
        "automationtier",
        "amlclear",
    ];
    whole.contains(&plain) || within.iter().any(|word| plain.contains(word))
}

fn same(case: &CaseRecord, other: &CaseRecord, part: &str) -> bool {
    let hash = |of: &CaseRecord| of.uploaded.files.get(part).map(|it| it.sha256.clone());
    hash(case).is_some() && hash(case) == hash(other)
}

fn marker(case: &CaseRecord) -> Option<Outcome> {
    let word = case.uploaded.files.get(DOCUMENT)?.marker.as_deref()?;
    let Ok(outcome) = word.parse();
    known(outcome)
}

/// Reads the outcome from a person's name. For example, the engine rejects `Ada Reject` and sends
/// `Ada Review` to a reviewer.
fn by_name(name: &str) -> Option<Outcome> {
    name.split_whitespace().find_map(|word| match word {
        "Approve" => Some(Outcome::Approved),
        "Reject" => Some(Outcome::Rejected),
        "Review" => Some(Outcome::Review),
        _ => None,
    })
}

fn known(outcome: Outcome) -> Option<Outcome> {
    (!matches!(outcome, Outcome::Unknown(_))).then_some(outcome)
}
