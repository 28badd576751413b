//! Creates the claims of tokens and signs tokens (K21, K22, K30, K34).

use std::time::Duration;

use axum::http::{StatusCode, header::PRAGMA};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha512};

use super::grant::Granted;
use crate::{
    mock::{
        core::{Core, rules::Hook},
        faults::tokens::apply_rules,
        http::answer::{Answer, Refusal},
        jws::{self, TokenDraft},
        records::{claims as person_claims, grants::Consent, person::PersonRecord},
    },
    wire::{claims, token::TokenResponse},
};

/// Issues the tokens of a grant and creates the response.
pub(super) fn answer(core: &Core, granted: Granted) -> Answer {
    let Granted {
        consent: whole,
        family,
        narrower,
    } = granted;
    let scope = narrower.as_ref().map(|scopes| scopes.join(" "));
    // The new refresh token has all scopes of the old refresh token (RFC 6749 section 6).
    let consent = Consent {
        scopes: narrower.unwrap_or_else(|| whole.scopes.clone()),
        ..whole.clone()
    };
    let Some(person) = core.person(&consent.person_id) else {
        let refusal = Refusal::new("invalid_grant", "K24", "the person no longer exists");
        return Answer::refuse(StatusCode::BAD_REQUEST, refusal);
    };
    let (now, switches) = (core.now(), core.switches());
    let key = core.keys().active();

    let access = access_token_claims(core, &consent);
    let mut access = TokenDraft::new(claims::TYP_ACCESS_TOKEN, &key, access);
    apply_rules(core, Hook::AccessToken(&person.id), &mut access);
    let access = access.finish(&core.keys());
    // Compute `at_hash` from the manipulated access token. The ID token then matches the access
    // token that the client receives.
    let id_token = id_token_claims(core, &consent, &person, Some(&access));
    let mut id_token = TokenDraft::new("JWT", &key, id_token);
    apply_rules(core, Hook::IdToken(&person.id), &mut id_token);
    let id_token = id_token.finish(&core.keys());

    let lifetime = switches.access_token_lifetime;
    let mut grants = core.grants();
    grants.note_access(
        now,
        &access,
        consent,
        family.clone(),
        now.saturating_add(lifetime),
    );
    let refresh = switches
        .issue_refresh_tokens
        .then(|| grants.issue_refresh(now, whole, family));
    drop(grants);

    let response = TokenResponse {
        access_token: access,
        token_type: "Bearer".to_owned(),
        id_token: Some(id_token),
        expires_in: Some(lifetime.as_secs()),
        refresh_token: refresh,
        scope,
    };
    Answer::json(StatusCode::OK, json!(response))
        .no_store()
        .with(PRAGMA, "no-cache")
}

/// Returns the claims of an ID token (K30, K31, K34).
pub(in crate::mock) fn id_token_claims(
    core: &Core,
    consent: &Consent,
    person: &PersonRecord,
    access_token: Option<&str>,
) -> Map<String, Value> {
    let switches = core.switches();
    let mut map = registered_claims(core, consent, switches.id_token_lifetime);
    map.extend(person_claims::about(person, &consent.scopes, &switches));
    let mut set = |name: &str, value: Value| map.insert(name.to_owned(), value);
    if let Some(nonce) = &consent.nonce {
        set(claims::NONCE, json!(nonce));
    }
    if switches.auth_time {
        set(claims::AUTH_TIME, json!(consent.auth_time.as_unix()));
    }
    let tells_tier = consent.scopes.iter().any(|scope| scope == "kyc");
    let acr = consent.acr.as_ref();
    if let Some(tier) = acr.filter(|_| switches.acr && tells_tier) {
        set(claims::ACR, json!(tier));
    }
    if let Some(token) = access_token.filter(|_| switches.at_hash) {
        set(claims::AT_HASH, json!(at_hash(token)));
    }
    map
}

/// Returns the claims of an access token (K30, RFC 9068 section 2.2).
pub(in crate::mock) fn access_token_claims(core: &Core, consent: &Consent) -> Map<String, Value> {
    let lifetime = core.switches().access_token_lifetime;
    let mut map = registered_claims(core, consent, lifetime);
    let mut set = |name: &str, value: Value| map.insert(name.to_owned(), value);
    set(claims::JTI, json!(jws::jti()));
    set(claims::CLIENT_ID, json!(consent.client_id));
    set(claims::SCOPE, json!(consent.scopes.join(" ")));
    map
}

/// Returns the claims that every token has (K30).
fn registered_claims(core: &Core, consent: &Consent, lifetime: Duration) -> Map<String, Value> {
    let now = core.now();
    let client_id = &consent.client_id;
    let audience = if core.switches().aud_as_array {
        json!([client_id])
    } else {
        json!(client_id)
    };
    let expires = now.saturating_add(lifetime);
    let mut map = Map::new();
    let mut set = |name: &str, value: Value| map.insert(name.to_owned(), value);
    set(claims::ISS, json!(core.issuer));
    set(claims::SUB, json!(consent.person_id));
    set(claims::AUD, audience);
    set(claims::IAT, json!(now.as_unix()));
    set(claims::EXP, json!(expires.as_unix()));
    map
}

/// Returns the left half of the SHA-512 digest, as EdDSA with Ed25519 requires (K34; OpenID Connect
/// Core 1.0 section 3.1.3.6).
pub(in crate::mock) fn at_hash(access_token: &str) -> String {
    let digest = Sha512::digest(access_token.as_bytes());
    URL_SAFE_NO_PAD.encode(digest.get(..32).unwrap_or_default())
}
