//! The API for whoever has no key, and what is there for everyone (K18, K43 to K47, K54, K71).

use super::{
    ask::Asker,
    finding::{Finding, differs},
};
use crate::mock::http::endpoint::Endpoint;

pub(super) async fn api(asker: &Asker) -> Vec<Finding> {
    let status = Endpoint::Status.path().replace("{person_id}", "nobody");
    let status = asker.at(&status);
    let case = Endpoint::ReadCase.path().replace("{case_id}", "nothing");
    let (wrong, bare) = (asker.get_as_nobody(&status).await, asker.get(&status).await);
    let case = asker.get_as_nobody(&asker.at(&case)).await;
    vec![
        Finding::of("K43", "status refuses a key that is none", &wrong, |seen| {
            seen.is(401)
        }),
        Finding::of("K44", "status says why in `error`", &wrong, |seen| {
            seen.refuses(401, "invalid_api_key")
        }),
        Finding::of("K47", "status asks for the key first", &bare, |seen| {
            seen.is(401)
        }),
        Finding::of("K54", "a case asks for the same key", &case, |seen| {
            seen.refuses(401, "invalid_api_key")
        }),
    ]
}

pub(super) async fn pages(asker: &Asker) -> Vec<Finding> {
    let health = asker.get(&asker.at(Endpoint::Health.path())).await;
    let verify = asker.get(&asker.at(Endpoint::Verify.path())).await;
    let guidance = asker.get(&asker.at(Endpoint::LlmsTxt.path())).await;
    vec![
        Finding::of("K45", "it says that it is up", &health, |seen| seen.is(200)),
        // For whoever is not signed in it may be a login.
        Finding::of(
            "K18",
            "there is a hosted page",
            &verify,
            |seen| match seen.status {
                200 | 302 | 303 | 307 | 401 | 403 => Ok(()),
                _ => Err(differs("a page, or the way to one", &seen.summary())),
            },
        ),
        Finding::of(
            "K71",
            "there is guidance for assistants",
            &guidance,
            |seen| {
                seen.is(200)?;
                seen.has("content-type", "text/plain")
            },
        ),
    ]
}
