//! Checks of the discovery document and the key set (K1 to K6).

use std::collections::BTreeSet;

use serde_json::Value;

use super::{
    client::{ProbeClient, ProbeResponse, ProbeResult, ProbeUrl},
    difference::{Difference, differs, same},
    finding::Finding,
};
use crate::{
    mock::{http::endpoint::Endpoint, records::claims::SCOPES},
    wire::claims,
};

/// URLs from the discovery document. The probe uses only URLs on the probed origin. The probe
/// therefore sends no request to another host.
pub(super) struct DocumentUrls {
    pub(super) authorize: ProbeUrl,
    pub(super) token: ProbeUrl,
    pub(super) userinfo: ProbeUrl,
    jwks: ProbeUrl,
}

impl DocumentUrls {
    pub(super) fn from_document(client: &ProbeClient, discovery: &ProbeResult) -> Self {
        let document = discovery.as_ref().map(ProbeResponse::json);
        let of = |name: &str| {
            let document = document.as_ref().map_err(|reason| (*reason).clone())?;
            let url = document.get(name).and_then(Value::as_str);
            let inside = format!("{}/", client.origin());
            url.filter(|url| url.starts_with(&inside))
                .map(str::to_owned)
                .ok_or_else(|| format!("the discovery document has no `{name}` on this origin"))
        };
        Self {
            authorize: of("authorization_endpoint"),
            token: of("token_endpoint"),
            userinfo: of("userinfo_endpoint"),
            jwks: of("jwks_uri"),
        }
    }
}

pub(super) fn discovery(
    client: &ProbeClient,
    issuer: &str,
    discovery: &ProbeResult,
) -> Vec<Finding> {
    let mut findings = vec![
        Finding::of(
            "K1",
            "the discovery document exists",
            discovery,
            |response| {
                response.is(200)?;
                response.has("content-type", "application/json")
            },
        ),
        Finding::of(
            "K2",
            "`issuer` has the expected value",
            discovery,
            |response| member(response, "issuer", issuer),
        ),
    ];
    for (name, endpoint) in [
        ("authorization_endpoint", Endpoint::Authorize),
        ("token_endpoint", Endpoint::Token),
        ("userinfo_endpoint", Endpoint::Userinfo),
        ("jwks_uri", Endpoint::Jwks),
    ] {
        let expected = client.at(endpoint.path()).unwrap_or_default();
        let what = format!("`{name}` in the discovery document");
        findings.push(Finding::of("K4", what, discovery, |response| {
            member(response, name, &expected)
        }));
    }
    for (name, has) in METADATA {
        let what = format!("`{name}` in the discovery document");
        findings.push(Finding::of("K5", what, discovery, |response| {
            list(response, name, has)
        }));
    }
    let name = "authorization_response_iss_parameter_supported";
    let what = format!("`{name}` in the discovery document");
    findings.push(Finding::of("K5", what, discovery, |response| {
        let found = response.json().get(name).map(Value::to_string);
        same("true", found.as_deref().unwrap_or("nothing"))
    }));
    findings
}

pub(super) async fn keys(client: &ProbeClient, urls: &DocumentUrls) -> Vec<Finding> {
    let keys = client.get(&urls.jwks).await;
    vec![
        Finding::of(
            "K6",
            "every key is a public Ed25519 key",
            &keys,
            |response| {
                response.is(200)?;
                let document = response.json();
                let keys = document.get("keys").and_then(Value::as_array);
                let keys = keys.filter(|keys| !keys.is_empty());
                let keys = keys.ok_or_else(|| differs("keys", &response.body))?;
                keys.iter().try_for_each(key)
            },
        ),
        Finding::of("K6", "the key set is cacheable", &keys, |response| {
            response.has("cache-control", "max-age=")
        }),
    ]
}

/// Checks one key. The finding shows only the names of members, because a report must not contain a
/// private key.
fn key(key: &Value) -> Result<(), Difference> {
    for (name, expected) in [
        ("kty", "OKP"),
        ("crv", "Ed25519"),
        ("use", "sig"),
        ("alg", claims::ALG_EDDSA),
    ] {
        let found = key.get(name).and_then(Value::as_str).unwrap_or("nothing");
        if found != expected {
            let expected = format!("`{name}` `{expected}`");
            return Err(differs(expected, found));
        }
    }
    for name in ["kid", "x"] {
        if key
            .get(name)
            .and_then(Value::as_str)
            .is_none_or(str::is_empty)
        {
            return Err(differs(format!("a `{name}`"), "none"));
        }
    }
    if key.get("d").is_some() {
        return Err(differs("no `d`", "a private key"));
    }
    Ok(())
}

fn member(response: &ProbeResponse, name: &str, expected: &str) -> Result<(), Difference> {
    match response.json().get(name) {
        Some(Value::String(found)) => same(expected, found),
        Some(other) => Err(differs(expected, &other.to_string())),
        None => Err(differs(expected, "nothing")),
    }
}

/// Checks that a list contains the expected values, in any order.
fn list(response: &ProbeResponse, name: &str, has: &Has) -> Result<(), Difference> {
    let document = response.json();
    let found = document.get(name).and_then(Value::as_array);
    let found: BTreeSet<&str> = found
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    let (is_it, expected) = match has {
        Has::Exactly(words) => (found == words.iter().copied().collect(), words),
        Has::AtLeast(values) => (values.iter().all(|value| found.contains(value)), values),
    };
    if is_it {
        return Ok(());
    }
    let shown = |words: Vec<&str>| words.join(", ");
    let found = match shown(found.into_iter().collect()) {
        none if none.is_empty() => "nothing".to_owned(),
        some => some,
    };
    Err(differs(shown(expected.to_vec()), &found))
}

enum Has {
    Exactly(&'static [&'static str]),
    AtLeast(&'static [&'static str]),
}

const METADATA: &[(&str, Has)] = &[
    ("response_types_supported", Has::Exactly(&["code"])),
    (
        "grant_types_supported",
        Has::Exactly(&["authorization_code"]),
    ),
    ("code_challenge_methods_supported", Has::Exactly(&["S256"])),
    (
        "id_token_signing_alg_values_supported",
        Has::Exactly(&[claims::ALG_EDDSA]),
    ),
    (
        "token_endpoint_auth_methods_supported",
        Has::Exactly(&["client_secret_post", "none"]),
    ),
    ("scopes_supported", Has::AtLeast(&SCOPES)),
    (
        "claims_supported",
        Has::AtLeast(&[claims::SUB, claims::KYC_STATUS, claims::KYC_TIER]),
    ),
    ("subject_types_supported", Has::Exactly(&["public"])),
    (
        "acr_values_supported",
        Has::Exactly(&["t0", "t1", "t2", "t3"]),
    ),
];
