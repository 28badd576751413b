//! Checks of the API without an API key, and of the public pages (K18, K43 to K47, K54, K71).

use super::{client::ProbeClient, difference::differs, finding::Finding};
use crate::mock::http::endpoint::Endpoint;

pub(super) async fn api(client: &ProbeClient) -> Vec<Finding> {
    let status = Endpoint::Status.path().replace("{person_id}", "nobody");
    let status = client.at(&status);
    let case = Endpoint::ReadCase.path().replace("{case_id}", "nothing");
    let (wrong, bare) = (
        client.get_with_invalid_credential(&status).await,
        client.get(&status).await,
    );
    let case = client.get_with_invalid_credential(&client.at(&case)).await;
    vec![
        Finding::of(
            "K43",
            "the status endpoint rejects an unknown key",
            &wrong,
            |response| response.is(401),
        ),
        Finding::of(
            "K44",
            "the status endpoint sends `error`",
            &wrong,
            |response| response.refuses(401, "invalid_api_key"),
        ),
        Finding::of(
            "K47",
            "the status endpoint requires a key",
            &bare,
            |response| response.is(401),
        ),
        Finding::of(
            "K54",
            "the case endpoint rejects an unknown key",
            &case,
            |response| response.refuses(401, "invalid_api_key"),
        ),
    ]
}

pub(super) async fn pages(client: &ProbeClient) -> Vec<Finding> {
    let health = client.get(&client.at(Endpoint::Health.path())).await;
    let verify = client.get(&client.at(Endpoint::Verify.path())).await;
    let guidance = client.get(&client.at(Endpoint::LlmsTxt.path())).await;
    vec![
        Finding::of("K45", "the health check succeeds", &health, |response| {
            response.is(200)
        }),
        // Without a session, the issuer may redirect to its login page.
        Finding::of(
            "K18",
            "the hosted page exists",
            &verify,
            |response| match response.status {
                200 | 302 | 303 | 307 | 401 | 403 => Ok(()),
                _ => Err(differs(
                    "a page or a redirect to a page",
                    &response.summary(),
                )),
            },
        ),
        Finding::of(
            "K71",
            "the guide for assistants exists",
            &guidance,
            |response| {
                response.is(200)?;
                response.has("content-type", "text/plain")
            },
        ),
    ]
}
