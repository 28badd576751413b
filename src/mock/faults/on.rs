//! Faults of an endpoint.

use std::{
    fmt::{self, Debug},
    sync::Arc,
    time::Duration,
};

use axum::http::StatusCode;
use serde_json::Value;

use super::{Rule, gate::Gate};
use crate::mock::{
    core::{
        Core,
        rules::{Effect, Place},
    },
    http::{api_error, broken_response::BrokenResponse, endpoint::Endpoint},
    waits::latch::Latch,
};

/// Builder for faults at one endpoint. Each method returns a [`Rule`]. Install the rule with
/// [`once`](Rule::once), [`times`](Rule::times) or [`always`](Rule::always).
///
/// By default, the endpoint does not process a request that the fault affects. With
/// [`after`](Self::after), the endpoint processes the request, and the fault replaces only the
/// response.
///
/// A case number refers to a row of the page [threats](crate::guide::threats).
#[must_use = "call `once`, `times` or `always` to install the fault"]
pub struct On {
    core: Arc<Core>,
    endpoint: Endpoint,
    after: bool,
}

impl On {
    pub(in crate::mock) fn new(core: Arc<Core>, endpoint: Endpoint) -> Self {
        Self {
            core,
            endpoint,
            after: false,
        }
    }

    /// Applies the fault after the endpoint has processed the request. For example, the token
    /// endpoint redeems the code although the client receives no tokens (case 51).
    pub fn after(mut self) -> Self {
        self.after = true;
        self
    }

    /// Responds with this status and a JSON error body.
    ///
    /// If the endpoint defines an error for this status, the body contains this error. If the
    /// endpoint defines no error, the body contains only a `detail`
    /// ([K23](crate::guide::contract)). The following endpoints define errors:
    /// - The status endpoint and the case endpoints define errors for 401, 403, 404 and 429
    ///   ([K43](crate::guide::contract), [K54](crate::guide::contract)).
    /// - The upload endpoint also defines errors for 413 and 415 ([K58](crate::guide::contract)).
    ///
    /// If `status` is not a final HTTP status, the mock responds with 500.
    pub fn fail(self, status: u16) -> Rule {
        let body = match api_error::code_at(self.endpoint, status) {
            Some(code) => api_error::body(code, &self.core.switches()).to_string(),
            None => format!("{{\"detail\":\"a fault of the mock set the status {status}\"}}"),
        };
        self.answer(status, "application/json", body)
            .named(format!("fail({status})"))
    }

    /// Responds with this status, content type and body.
    pub fn answer(self, status: u16, content_type: &str, body: impl Into<Vec<u8>>) -> Rule {
        self.breaks(
            "answer",
            BrokenResponse::Answer {
                status: final_status(status),
                content_type: content_type.to_owned(),
                body: body.into().into(),
            },
        )
    }

    /// Redirects with this status, such as 307 (case 47).
    pub fn redirect(self, status: u16, to: &str) -> Rule {
        let breakage = BrokenResponse::Answer {
            status: final_status(status),
            content_type: "text/plain".to_owned(),
            body: Vec::new().into(),
        };
        self.breaks("redirect", breakage).add_header("location", to)
    }

    /// Delays the regular response by this real time. A test can then check the timeout of a
    /// client.
    pub fn delay(self, by: Duration) -> Rule {
        self.rule("delay", Effect::Delay(by))
    }

    /// Never sends a response.
    pub fn hang(self) -> Rule {
        self.breaks("hang", BrokenResponse::Hang)
    }

    /// Sends the first bytes of the headers and then no more bytes.
    pub fn hang_headers(self) -> Rule {
        self.after()
            .breaks("hang_headers", BrokenResponse::HangHeaders)
    }

    /// Sends the headers and one byte of the body, and then no more bytes.
    pub fn hang_body(self) -> Rule {
        self.breaks("hang_body", BrokenResponse::HangBody)
    }

    /// Sends the headers of the regular response, then its body byte by byte, with this pause
    /// between two bytes.
    pub fn dribble(self, every: Duration) -> Rule {
        self.after()
            .breaks("dribble", BrokenResponse::Dribble(every))
    }

    /// Sends the regular response byte by byte, including the headers, with this pause between two
    /// bytes.
    pub fn dribble_headers(self, every: Duration) -> Rule {
        self.after()
            .breaks("dribble_headers", BrokenResponse::DribbleHeaders(every))
    }

    /// Sends a body that never ends.
    pub fn endless_body(self) -> Rule {
        self.breaks("endless_body", BrokenResponse::Endless)
    }

    /// Sends the headers of the regular response and half of its body, then closes the connection.
    pub fn truncate(self) -> Rule {
        self.after().breaks("truncate", BrokenResponse::Truncate)
    }

    /// Sends well-formed JSON of this size in bytes.
    pub fn huge(self, bytes: u64) -> Rule {
        self.breaks("huge", BrokenResponse::Huge(bytes))
    }

    /// Sends gzip data that decompresses to well-formed JSON of this size in bytes. The gzip data
    /// is about 200 times smaller than the JSON.
    pub fn gzip_bomb(self, bytes: u64) -> Rule {
        self.breaks("gzip_bomb", BrokenResponse::GzipBomb(bytes))
    }

    /// Closes the connection without a response.
    pub fn drop_connection(self) -> Rule {
        self.breaks("drop_connection", BrokenResponse::Drop)
    }

    /// Resets the connection and sends no response. The client's operating system reports a reset.
    /// After [`drop_connection`](Self::drop_connection), the operating system reports the end of
    /// the stream instead.
    pub fn reset(self) -> Rule {
        self.breaks("reset", BrokenResponse::Reset)
    }

    /// Adds a header to the regular response.
    pub fn add_header(self, name: &str, value: &str) -> Rule {
        self.after()
            .rule("add_header", Effect::Headers)
            .add_header(name, value)
    }

    /// Changes the JSON body of a successful response.
    pub fn edit(self, edit: impl Fn(&mut Value) + Send + Sync + 'static) -> Rule {
        self.after().rule("edit", Effect::EditJson(Box::new(edit)))
    }

    /// Holds every request until the test releases the gate. A test of concurrent requests
    /// therefore needs no `sleep`.
    ///
    /// ```
    /// # use kycport::mock::{Endpoint, MockIssuer};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let kyc = MockIssuer::start().await;
    /// let gate = kyc.on(Endpoint::Jwks).hold();
    /// let url = kyc.url(Endpoint::Jwks);
    /// let browser = kyc.browser();
    /// let (page, ()) = tokio::join!(browser.fetch(&url), async {
    ///     gate.wait_for(1).await;
    ///     gate.release();
    /// });
    /// page?.assert_ok();
    /// # Ok(())
    /// # }
    /// ```
    pub fn hold(self) -> Gate {
        let latch = Arc::new(Latch::default());
        let rule = self.rule("hold", Effect::Hold(Arc::clone(&latch)));
        Gate::new(latch, rule.optional().always())
    }

    /// Cuts the connection after this many bytes of the upload, even if the upload is then
    /// complete. The endpoint discards the upload.
    ///
    /// This fault affects only [`UploadCase`](Endpoint::UploadCase), which reads the request body
    /// in pieces.
    pub fn cut_after(self, bytes: u64) -> Rule {
        self.rule("cut_after", Effect::CutAfter(bytes))
    }

    /// Reads this many bytes of the upload, then waits. When the test releases the gate, the mock
    /// reads the remaining bytes. This fault simulates a server that reads slowly.
    ///
    /// This fault affects only [`UploadCase`](Endpoint::UploadCase), which reads the request body
    /// in pieces.
    pub fn hold_after(self, bytes: u64) -> Gate {
        let latch = Arc::new(Latch::default());
        let rule = self.rule("hold_after", Effect::HoldAfter(bytes, Arc::clone(&latch)));
        Gate::new(latch, rule.optional().always())
    }

    pub(in crate::mock) fn edit_params(
        self,
        edit: impl Fn(&mut Vec<(String, String)>) + Send + Sync + 'static,
    ) -> Rule {
        let effect = Effect::EditParams(Box::new(edit));
        self.after().rule("edit_authorization_response", effect)
    }

    fn breaks(self, name: &str, breakage: BrokenResponse) -> Rule {
        self.rule(name, Effect::Break(breakage))
    }

    fn rule(self, name: &str, effect: Effect) -> Rule {
        let place = if self.after {
            Place::After(self.endpoint)
        } else {
            Place::Before(self.endpoint)
        };
        let name = format!("{}.{name}", self.endpoint);
        Rule::new(self.core, name, place, effect)
    }
}

impl Debug for On {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("On").field(&self.endpoint).finish()
    }
}

/// Returns `status` as a final HTTP status. Returns 500 for a 1xx status, which is not final, and
/// for a number that is not an HTTP status.
fn final_status(status: u16) -> StatusCode {
    StatusCode::from_u16(status)
        .ok()
        .filter(|status| !status.is_informational())
        .unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}
