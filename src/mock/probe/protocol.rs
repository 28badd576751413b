//! How requests are refused that nothing could come of (K14, K23 to K27, K35).

use super::{
    ask::{Asked, Asker, Seen},
    documents::Named,
    finding::Finding,
};
use crate::wire::authorize as names;

pub(super) async fn authorize(asker: &Asker, named: &Named) -> Vec<Finding> {
    let bare = match &named.authorize {
        Ok(url) => asker.get(url).await,
        Err(why) => Err(why.clone()),
    };
    let elsewhere = match &named.authorize {
        // A name that leads nowhere (RFC 6761 section 6.4).
        Ok(url) => {
            let query = "response_type=code&scope=openid&state=s&nonce=n&client_id=not-a-client\
                         &redirect_uri=https%3A%2F%2Fnot-registered.invalid%2F";
            asker.get(&format!("{url}?{query}")).await
        }
        Err(why) => Err(why.clone()),
    };
    vec![
        Finding::of(
            "K14",
            "authorize without parameters is a page",
            &bare,
            Seen::is_refusal_page,
        ),
        Finding::of(
            "K12",
            "authorize sends nobody to an address that is not registered",
            &elsewhere,
            Seen::is_refusal_page,
        ),
    ]
}

pub(super) async fn token(asker: &Asker, named: &Named) -> Vec<Finding> {
    let nonsense = post(asker, &named.token, &NONSENSE).await;
    let twice = [&NONSENSE[..], &[(names::CODE, "another")]].concat();
    let twice = post(asker, &named.token, &twice).await;
    let empty = [&NONSENSE[..], &[(names::CLIENT_SECRET, "")]].concat();
    let empty = post(asker, &named.token, &empty).await;
    let got = match &named.token {
        Ok(url) => asker.get(url).await,
        Err(why) => Err(why.clone()),
    };
    let without_slash = match &named.token {
        Ok(url) => asker.post(url.trim_end_matches('/'), &NONSENSE).await,
        Err(why) => Err(why.clone()),
    };
    vec![
        Finding::of(
            "K23",
            "a client that is none is refused",
            &nonsense,
            |seen| seen.refuses(401, "invalid_client"),
        ),
        Finding::of("K25", "what token answers is not kept", &nonsense, |seen| {
            seen.has("cache-control", "no-store")
        }),
        Finding::of(
            "K26",
            "a parameter that comes twice is refused",
            &twice,
            |seen| seen.refuses(400, "invalid_request"),
        ),
        Finding::of(
            "K27",
            "a parameter without a value is refused",
            &empty,
            |seen| seen.refuses(400, "invalid_request"),
        ),
        Finding::of("K4", "token answers no GET", &got, |seen| seen.is(405)),
        Finding::of(
            "K4",
            "token is not there without its slash",
            &without_slash,
            |seen| seen.is(404),
        ),
    ]
}

pub(super) async fn userinfo(asker: &Asker, named: &Named) -> Vec<Finding> {
    let (bare, nonsense) = match &named.userinfo {
        Ok(url) => (asker.get(url).await, asker.get_as_nobody(url).await),
        Err(why) => (Err(why.clone()), Err(why.clone())),
    };
    vec![
        Finding::of("K35", "userinfo asks for a Bearer token", &bare, |seen| {
            seen.is(401)?;
            seen.has("www-authenticate", "Bearer")
        }),
        Finding::of(
            "K35",
            "userinfo refuses a token that is none",
            &nonsense,
            |seen| {
                seen.is(401)?;
                seen.has("www-authenticate", "error=\"invalid_token\"")
            },
        ),
        Finding::of(
            "K25",
            "what userinfo answers is not kept",
            &nonsense,
            |seen| seen.has("cache-control", "no-store"),
        ),
    ]
}

async fn post(asker: &Asker, url: &Result<String, String>, form: &[(&str, &str)]) -> Asked {
    match url {
        Ok(url) => asker.post(url, form).await,
        Err(why) => Err(why.clone()),
    }
}

/// Complete and well-formed, and nobody's.
const NONSENSE: [(&str, &str); 5] = [
    (names::GRANT_TYPE, "authorization_code"),
    (names::CODE, "not-a-code"),
    (names::REDIRECT_URI, "https://not-registered.invalid/"),
    (names::CLIENT_ID, "not-a-client"),
    (
        names::CODE_VERIFIER,
        "not-a-verifier-but-as-long-as-one-has-to-be-here",
    ),
];
