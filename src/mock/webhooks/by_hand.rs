//! Deliveries that a test makes by hand.

use std::fmt::{self, Debug};

use axum::http::{HeaderMap, HeaderName, HeaderValue};
use bytes::Bytes;

use super::Webhooks;
use crate::mock::deliveries::event::Event;

/// How deliveries are made by hand.
impl Webhooks {
    /// Any body at all, unsigned unless told otherwise, to every endpoint of the tenant: once,
    /// however it is answered.
    ///
    /// ```
    /// # use kycport::mock::MockIssuer;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() {
    /// let kyc = MockIssuer::start().await;
    /// kyc.webhooks().by_hand("[]").signed().header("x-any", "thing").send();
    /// kyc.webhooks().settled().await;
    /// # }
    /// ```
    pub fn by_hand(&self, body: impl Into<Vec<u8>>) -> HandMade {
        HandMade {
            hooks: self.clone(),
            body: body.into().into(),
            headers: HeaderMap::new(),
            is_signed: false,
        }
    }
}

/// A delivery made by hand; [`send`](Self::send) sends it.
#[must_use = "a delivery made by hand is sent by `send`"]
pub struct HandMade {
    hooks: Webhooks,
    body: Bytes,
    headers: HeaderMap,
    is_signed: bool,
}

impl HandMade {
    /// Adds a header, in place of the mock's own of that name. What cannot stand in a header is left
    /// out.
    pub fn header(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        if let (Ok(name), Ok(value)) = (
            HeaderName::from_bytes(name.as_bytes()),
            HeaderValue::from_bytes(value.as_ref()),
        ) {
            self.headers.append(name, value);
        }
        self
    }

    /// Signs it as events are signed.
    pub fn signed(mut self) -> Self {
        self.is_signed = true;
        self
    }

    /// Sends it.
    pub fn send(self) {
        let event = Event::by_hand(self.body, self.headers, self.is_signed);
        self.hooks.put(event);
    }
}

/// Shows nothing of body and headers.
impl Debug for HandMade {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HandMade")
            .field("is_signed", &self.is_signed)
            .finish_non_exhaustive()
    }
}
