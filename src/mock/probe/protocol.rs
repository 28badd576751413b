//! Checks that the issuer rejects invalid requests (K12, K14, K23 to K27, K35).

use super::{
    client::{ProbeClient, ProbeResponse},
    documents::DocumentUrls,
    finding::Finding,
};
use crate::wire::authorize as names;

pub(super) async fn authorize(client: &ProbeClient, urls: &DocumentUrls) -> Vec<Finding> {
    let bare = client.get(&urls.authorize).await;
    // The top-level domain `.invalid` never resolves (RFC 6761 section 6.4).
    let query = "response_type=code&scope=openid&state=s&nonce=n&client_id=not-a-client\
                 &redirect_uri=https%3A%2F%2Fnot-registered.invalid%2F";
    let elsewhere = urls.authorize.clone().map(|url| format!("{url}?{query}"));
    let elsewhere = client.get(&elsewhere).await;
    vec![
        Finding::of(
            "K14",
            "authorize without parameters returns an error page",
            &bare,
            ProbeResponse::is_refusal_page,
        ),
        Finding::of(
            "K12",
            "authorize does not redirect to an unregistered URI",
            &elsewhere,
            ProbeResponse::is_refusal_page,
        ),
    ]
}

pub(super) async fn token(client: &ProbeClient, urls: &DocumentUrls) -> Vec<Finding> {
    let nonsense = client.post(&urls.token, &UNKNOWN_CLIENT_REQUEST).await;
    let twice = [&UNKNOWN_CLIENT_REQUEST[..], &[(names::CODE, "another")]].concat();
    let twice = client.post(&urls.token, &twice).await;
    let empty = [&UNKNOWN_CLIENT_REQUEST[..], &[(names::CLIENT_SECRET, "")]].concat();
    let empty = client.post(&urls.token, &empty).await;
    let got = client.get(&urls.token).await;
    let without_slash = urls.token.clone();
    let without_slash = without_slash.map(|url| url.trim_end_matches('/').to_owned());
    let without_slash = client.post(&without_slash, &UNKNOWN_CLIENT_REQUEST).await;
    vec![
        Finding::of(
            "K23",
            "the token endpoint rejects an unknown client",
            &nonsense,
            |response| response.refuses(401, "invalid_client"),
        ),
        Finding::of(
            "K25",
            "token responses are not cacheable",
            &nonsense,
            |response| response.has("cache-control", "no-store"),
        ),
        Finding::of(
            "K26",
            "the token endpoint rejects a duplicate parameter",
            &twice,
            |response| response.refuses(400, "invalid_request"),
        ),
        Finding::of(
            "K27",
            "the token endpoint rejects an empty parameter",
            &empty,
            |response| response.refuses(400, "invalid_request"),
        ),
        Finding::of("K4", "the token endpoint rejects GET", &got, |response| {
            response.is(405)
        }),
        Finding::of(
            "K4",
            "the token endpoint requires its trailing slash",
            &without_slash,
            |response| response.is(404),
        ),
    ]
}

pub(super) async fn userinfo(client: &ProbeClient, urls: &DocumentUrls) -> Vec<Finding> {
    let bare = client.get(&urls.userinfo).await;
    let nonsense = client.get_with_invalid_credential(&urls.userinfo).await;
    vec![
        Finding::of(
            "K35",
            "userinfo requires a Bearer token",
            &bare,
            |response| {
                response.is(401)?;
                response.has("www-authenticate", "Bearer")
            },
        ),
        Finding::of(
            "K35",
            "userinfo rejects an invalid token",
            &nonsense,
            |response| {
                response.is(401)?;
                response.has("www-authenticate", "error=\"invalid_token\"")
            },
        ),
        Finding::of(
            "K25",
            "userinfo responses are not cacheable",
            &nonsense,
            |response| response.has("cache-control", "no-store"),
        ),
    ]
}

/// A complete and well-formed token request of an unknown client.
const UNKNOWN_CLIENT_REQUEST: [(&str, &str); 5] = [
    (names::GRANT_TYPE, "authorization_code"),
    (names::CODE, "not-a-code"),
    (names::REDIRECT_URI, "https://not-registered.invalid/"),
    (names::CLIENT_ID, "not-a-client"),
    (
        names::CODE_VERIFIER,
        "not-a-verifier-but-as-long-as-one-has-to-be-here",
    ),
];
