//! What can go wrong at an endpoint.

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
    http::{api_error, breakage::Breakage, endpoint::Endpoint},
    waits::latch::Latch,
};

/// What is to go wrong at one endpoint. Each method gives a [`Rule`], to be finished with
/// [`once`](Rule::once), [`times`](Rule::times) or [`always`](Rule::always).
///
/// A fault takes the place of the endpoint's own work, unless [`after`](Self::after) says that
/// the work is done and only its answer lost.
///
/// The numbers of cases are those of the [threats](crate::guide::threats).
#[must_use = "a fault is installed by `once`, `times` or `always`"]
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

    /// The endpoint does its work first: a code is spent though its answer is lost (case 51).
    pub fn after(mut self) -> Self {
        self.after = true;
        self
    }

    /// Answers with this status and JSON: a `detail` (K23), or the endpoint's own error where it has
    /// one: the status endpoint and those of cases for 401, 403, 404 and 429 (K43, K54), an upload
    /// for 413 and 415 too (K58). A number that is no final status becomes 500.
    pub fn fail(self, status: u16) -> Rule {
        let body = match api_error::code_at(self.endpoint, status) {
            Some(code) => api_error::body(code, &self.core.switches()).to_string(),
            None => format!("{{\"detail\":\"the mock was told to answer {status}\"}}"),
        };
        self.answer(status, "application/json", body)
            .named(format!("fail({status})"))
    }

    /// Answers with anything.
    pub fn answer(self, status: u16, content_type: &str, body: impl Into<Vec<u8>>) -> Rule {
        self.breaks(
            "answer",
            Breakage::Answer {
                status: final_status(status),
                content_type: content_type.to_owned(),
                body: body.into().into(),
            },
        )
    }

    /// Redirects, with a status such as 307 (case 47).
    pub fn redirect(self, status: u16, to: &str) -> Rule {
        let breakage = Breakage::Answer {
            status: final_status(status),
            content_type: "text/plain".to_owned(),
            body: Vec::new().into(),
        };
        self.breaks("redirect", breakage).add_header("location", to)
    }

    /// Answers late, but well. This is real time, for the client's real deadline.
    pub fn delay(self, by: Duration) -> Rule {
        self.rule("delay", Effect::Delay(by))
    }

    /// Never answers.
    pub fn hang(self) -> Rule {
        self.breaks("hang", Breakage::Hang)
    }

    /// Sends the beginning of the headers, and no more.
    pub fn hang_headers(self) -> Rule {
        self.after().breaks("hang_headers", Breakage::HangHeaders)
    }

    /// Sends the headers and one byte, and no more.
    pub fn hang_body(self) -> Rule {
        self.breaks("hang_body", Breakage::HangBody)
    }

    /// Sends the real answer, its body byte by byte with this time between.
    pub fn dribble(self, every: Duration) -> Rule {
        self.after().breaks("dribble", Breakage::Dribble(every))
    }

    /// The same from the first byte of the headers.
    pub fn dribble_headers(self, every: Duration) -> Rule {
        self.after()
            .breaks("dribble_headers", Breakage::DribbleHeaders(every))
    }

    /// Sends a body that never ends.
    pub fn endless_body(self) -> Rule {
        self.breaks("endless_body", Breakage::Endless)
    }

    /// Promises the real answer whole, sends half of it, and closes.
    pub fn truncate(self) -> Rule {
        self.after().breaks("truncate", Breakage::Truncate)
    }

    /// Sends well-formed JSON of this many bytes.
    pub fn huge(self, bytes: u64) -> Rule {
        self.breaks("huge", Breakage::Huge(bytes))
    }

    /// Sends well-formed JSON that unpacks to this many bytes, about 150 times what is sent.
    pub fn gzip_bomb(self, bytes: u64) -> Rule {
        self.breaks("gzip_bomb", Breakage::GzipBomb(bytes))
    }

    /// Closes the connection without a byte.
    pub fn drop_connection(self) -> Rule {
        self.breaks("drop_connection", Breakage::Drop)
    }

    /// Resets the connection: the client's system says so, where after
    /// [`drop_connection`](Self::drop_connection) it says that nothing more comes.
    pub fn reset(self) -> Rule {
        self.breaks("reset", Breakage::Reset)
    }

    /// Adds a header to the real answer.
    pub fn add_header(self, name: &str, value: &str) -> Rule {
        self.after()
            .rule("add_header", Effect::Headers)
            .add_header(name, value)
    }

    /// Changes the JSON of a successful answer.
    pub fn edit(self, edit: impl Fn(&mut Value) + Send + Sync + 'static) -> Rule {
        self.after().rule("edit", Effect::EditJson(Box::new(edit)))
    }

    /// Holds every request until the gate is released: tests of what happens at once need no
    /// sleeping.
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

    /// Cuts the connection when so many bytes of the upload have come, be they all of it: nothing
    /// of it counts. Only [`UploadCase`](Endpoint::UploadCase) reads its body piece by piece.
    pub fn cut_after(self, bytes: u64) -> Rule {
        self.rule("cut_after", Effect::CutAfter(bytes))
    }

    /// Reads so many bytes of the upload, and the rest when the gate is released: a server that is
    /// slow to read. Only [`UploadCase`](Endpoint::UploadCase) reads its body piece by piece.
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

    fn breaks(self, name: &str, breakage: Breakage) -> Rule {
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

/// 1xx is no answer, and what is beyond 999 is no status.
fn final_status(status: u16) -> StatusCode {
    StatusCode::from_u16(status)
        .ok()
        .filter(|status| !status.is_informational())
        .unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}
