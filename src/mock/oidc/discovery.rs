//! Discovery document and key set (K1 to K6).

use axum::http::{StatusCode, header::CACHE_CONTROL};
use serde_json::{Value, json};

use crate::{
    mock::{
        core::Core,
        http::{answer::Answer, endpoint::Endpoint},
        records::claims::SCOPES,
    },
    wire::{claims, discovery::ProviderMetadata},
};

pub(in crate::mock) fn discovery(core: &Core) -> Answer {
    cached(core, json!(metadata(core)))
}

pub(in crate::mock) fn jwks(core: &Core) -> Answer {
    let document = core.keys().document();
    cached(core, document)
}

fn metadata(core: &Core) -> ProviderMetadata {
    let switches = core.switches();
    let at = |endpoint: Endpoint| format!("{}{}", core.origin, endpoint.path());
    let list = |words: &[&str]| Some(words.iter().map(|&word| word.to_owned()).collect());
    let mut metadata = ProviderMetadata::new(
        &core.issuer,
        at(Endpoint::Authorize),
        at(Endpoint::Token),
        at(Endpoint::Userinfo),
        at(Endpoint::Jwks),
    );
    metadata.response_types_supported = list(&["code"]);
    metadata.grant_types_supported = list(if switches.issue_refresh_tokens {
        &["authorization_code", "refresh_token"]
    } else {
        &["authorization_code"]
    });
    metadata.code_challenge_methods_supported = list(&["S256"]);
    metadata.id_token_signing_alg_values_supported = list(&[claims::ALG_EDDSA]);
    metadata.token_endpoint_auth_methods_supported = list(if switches.accept_basic {
        &["client_secret_post", "client_secret_basic", "none"]
    } else {
        &["client_secret_post", "none"]
    });
    // Discovery 1.0 section 3 defines default values for omitted members. The default of
    // `response_modes_supported` is `query` and `fragment`. The default of
    // `request_uri_parameter_supported` is `true`.
    metadata.response_modes_supported = list(&["query"]);
    metadata.request_uri_parameter_supported = Some(false);
    let refreshable = switches.issue_refresh_tokens.then_some(&"offline_access");
    let scopes: Vec<_> = SCOPES.iter().chain(refreshable).copied().collect();
    metadata.scopes_supported = list(&scopes);
    metadata.claims_supported = list(&[
        claims::ISS,
        claims::SUB,
        claims::AUD,
        claims::EXP,
        claims::IAT,
        claims::NONCE,
        claims::AUTH_TIME,
        claims::ACR,
        claims::AT_HASH,
        claims::EMAIL,
        claims::EMAIL_VERIFIED,
        claims::NAME,
        claims::KYC_STATUS,
        claims::KYC_TIER,
        claims::AML_CLEAR,
    ]);
    metadata.subject_types_supported = list(&["public"]);
    metadata.acr_values_supported = list(&["t0", "t1", "t2", "t3"]);
    metadata.authorization_response_iss_parameter_supported =
        switches.advertise_iss_parameter.then_some(true);
    metadata
}

fn cached(core: &Core, document: Value) -> Answer {
    let answer = Answer::json(StatusCode::OK, document);
    match core.switches().cache_max_age {
        Some(age) => answer.with(CACHE_CONTROL, &format!("public, max-age={}", age.as_secs())),
        None => answer,
    }
}
