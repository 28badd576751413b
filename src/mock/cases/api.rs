//! Opens, reads and decides cases (K50, K52, K54, K57, K59). Row K75 defines the order of the
//! checks.

#![expect(
    clippy::result_large_err,
    reason = "an `Err` is a complete HTTP response, and each request creates at most one"
)]

use axum::http::{HeaderMap, StatusCode};
use serde_json::{Value, json};

use super::engine::{self, is_verdict};
use crate::{
    mock::{
        core::{Core, transition},
        http::{answer::Answer, api_error, content_type, segment},
        random,
        records::{
            case::{CaseRecord, Uploads},
            tenant::TenantRecord,
        },
        switches::Switches,
        tenants::access,
    },
    wire::{
        cases::{CaseResponse, CaseStatus, DecisionResponse, IDEMPOTENCY_KEY, OpenCase, Outcome},
        kyc::KycTier,
    },
};

pub(in crate::mock) fn open(core: &Core, headers: &HeaderMap, body: &[u8]) -> Answer {
    try_open(core, headers, body).unwrap_or_else(|rejection| rejection)
}

fn try_open(core: &Core, headers: &HeaderMap, body: &[u8]) -> Result<Answer, Answer> {
    let switches = &core.switches();
    let tenant = access::tenant(core, headers, switches)?;
    let request = parse_open_case(headers, body, switches)?;
    let key = headers
        .get(IDEMPOTENCY_KEY)
        .filter(|_| switches.honour_idempotency_key)
        .and_then(|key| key.to_str().ok())
        .map(|key| (tenant.id.clone(), key.to_owned()));
    access::person(core, &tenant, &request.person_id, switches)?;
    let now = core.now();
    let mut book = core.cases();
    if let Some((known, id)) = key.as_ref().and_then(|key| book.idempotent.get(key)) {
        if known != body {
            let reason = "the Idempotency-Key was already used with a different body";
            let (status, code) = (StatusCode::UNPROCESSABLE_ENTITY, "idempotency_key_reused");
            return Err(api_error::refuse_as(status, code, "K59", reason, switches));
        }
        if let Some(case) = book.find(id) {
            return Ok(Answer::json(StatusCode::CREATED, case_response(case)).no_store());
        }
    }
    let case = CaseRecord {
        id: random::name("case_"),
        tenant: tenant.id,
        person_id: request.person_id,
        level: request.level,
        status: CaseStatus::Opened,
        opened_at: now,
        uploaded: Uploads::default(),
        decision: None,
    };
    if let Some(key) = key {
        book.idempotent
            .insert(key, (body.to_vec(), case.id.clone()));
    }
    let answer = Answer::json(StatusCode::CREATED, case_response(&case)).no_store();
    book.put(case);
    Ok(answer)
}

pub(in crate::mock) fn read(core: &Core, headers: &HeaderMap, segment: &str) -> Answer {
    let switches = &core.switches();
    let case = access::tenant(core, headers, switches)
        .and_then(|tenant| find_case(core, &tenant, segment, switches));
    match case {
        Ok(case) => Answer::json(StatusCode::OK, case_response(&case)).no_store(),
        Err(rejection) => rejection,
    }
}

pub(in crate::mock) fn decide(
    core: &Core,
    headers: &HeaderMap,
    segment: &str,
    body: &[u8],
) -> Answer {
    try_decide(core, headers, segment, body).unwrap_or_else(|rejection| rejection)
}

fn try_decide(
    core: &Core,
    headers: &HeaderMap,
    segment: &str,
    body: &[u8],
) -> Result<Answer, Answer> {
    let switches = &core.switches();
    let tenant = access::tenant(core, headers, switches)?;
    let CaseRecord { id, person_id, .. } = find_case(core, &tenant, segment, switches)?;
    // A decision request has no input. A tenant that sends members tries to set the outcome.
    let is_empty = body.trim_ascii().is_empty() || body.trim_ascii() == b"{}";
    if !is_empty {
        let reason = "a decision request must have an empty body or `{}`";
        let (status, code) = (StatusCode::BAD_REQUEST, "precomputed_verdict");
        return Err(api_error::refuse_as(status, code, "K53", reason, switches));
    }
    let person = core.person(&person_id);
    let person = person.ok_or_else(|| not_found(switches))?;
    let mut book = core.cases();
    let conflict =
        |code, reason| api_error::refuse_as(StatusCode::CONFLICT, code, "K57", reason, switches);
    let case = book.find(&id).cloned();
    let case = case.ok_or_else(|| not_found(switches))?;
    match case.status {
        CaseStatus::DocumentsReceived => {}
        CaseStatus::Opened => {
            return Err(conflict(
                "documents_missing",
                "no documents were uploaded yet",
            ));
        }
        CaseStatus::Deciding => {
            return Err(conflict(
                "decision_pending",
                "the case is under manual review",
            ));
        }
        _ => return Err(conflict("already_decided", "the case is already decided")),
    }
    let forced = book.next.pop_front();
    let decision = engine::decide(&case, &person, book.all(), forced);
    if let Some(case) = book.find_mut(&id) {
        settle(case, &decision);
    }
    transition::decided(core, &case, &decision.outcome);
    Ok(Answer::json(StatusCode::OK, json!(decision)).no_store())
}

/// Stores a decision on the case.
pub(in crate::mock) fn settle(case: &mut CaseRecord, decision: &DecisionResponse) {
    if decision.outcome == Outcome::Review {
        case.status = CaseStatus::Deciding;
    } else {
        case.status = CaseStatus::Decided;
        case.decision = Some(decision.clone());
    }
}

/// Finds a case that still accepts uploads and returns its ID.
pub(super) fn open_case(
    core: &Core,
    headers: &HeaderMap,
    segment: &str,
    switches: &Switches,
) -> Result<String, Answer> {
    let tenant = access::tenant(core, headers, switches)?;
    let case = find_case(core, &tenant, segment, switches)?;
    if is_open(&case) {
        Ok(case.id)
    } else {
        Err(not_open(switches))
    }
}

pub(in crate::mock) fn is_open(case: &CaseRecord) -> bool {
    matches!(
        case.status,
        CaseStatus::Opened | CaseStatus::DocumentsReceived
    )
}

pub(super) fn not_open(switches: &Switches) -> Answer {
    let reason = "the case is under review or already decided";
    api_error::refuse_as(
        StatusCode::CONFLICT,
        "case_not_open",
        "K57",
        reason,
        switches,
    )
}

/// Finds a case of this tenant. The response to another tenant's case is 404 (K54).
fn find_case(
    core: &Core,
    tenant: &TenantRecord,
    segment: &str,
    switches: &Switches,
) -> Result<CaseRecord, Answer> {
    segment::decode(segment)
        .and_then(|id| core.cases().find(&id).cloned())
        .filter(|case| case.tenant == tenant.id)
        .ok_or_else(|| not_found(switches))
}

fn not_found(switches: &Switches) -> Answer {
    let reason = "there is no such case, or it belongs to another tenant";
    api_error::refuse_as(
        StatusCode::NOT_FOUND,
        "case_not_found",
        "K54",
        reason,
        switches,
    )
}

/// Parses the body of a request that opens a case. The body must contain two members, each once
/// (K50, K53, K75).
fn parse_open_case(
    headers: &HeaderMap,
    body: &[u8],
    switches: &Switches,
) -> Result<OpenCase, Answer> {
    let refuse =
        |status, code, row, reason| api_error::refuse_as(status, code, row, reason, switches);
    let bad = |code, row, reason| refuse(StatusCode::BAD_REQUEST, code, row, reason);
    if !content_type::is(headers, "application/json") {
        let (status, code) = (StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type");
        return Err(refuse(
            status,
            code,
            "K75",
            "the Content-Type is not application/json",
        ));
    }
    let members: Result<serde_json::Map<String, Value>, _> = serde_json::from_slice(body);
    let members =
        members.map_err(|_| bad("invalid_request", "K75", "the body is not a JSON object"))?;
    if members.keys().any(|name| is_verdict(name)) {
        let reason = "the body has a member that only the engine may set";
        return Err(bad("precomputed_verdict", "K53", reason));
    }
    if members
        .keys()
        .any(|name| name != "person_id" && name != "level")
    {
        return Err(bad(
            "invalid_request",
            "K75",
            "the body has an unknown member",
        ));
    }
    // Parse the bytes again, because the map contains no duplicate members.
    let request: Result<OpenCase, _> = serde_json::from_slice(body);
    let reason = "`person_id` or `level` is missing, duplicated, or of the wrong type";
    let request = request.map_err(|_| bad("invalid_request", "K75", reason))?;
    if !matches!(request.level, KycTier::T1 | KycTier::T2 | KycTier::T3) {
        return Err(bad("invalid_level", "K75", "`level` must be t1, t2 or t3"));
    }
    Ok(request)
}

fn case_response(case: &CaseRecord) -> Value {
    json!(CaseResponse {
        id: case.id.clone(),
        person_id: case.person_id.clone(),
        level: case.level.clone(),
        status: case.status.clone(),
        decision: case.decision.clone(),
    })
}
