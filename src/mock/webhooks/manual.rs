//! Manual deliveries, whose body and headers a test sets.

use std::fmt::{self, Debug};

use axum::http::{HeaderMap, HeaderName, HeaderValue};
use bytes::Bytes;

use super::Webhooks;
use crate::mock::deliveries::event::Event;

/// Manual deliveries.
impl Webhooks {
    /// Creates a manual delivery of any body to every endpoint of the tenant. The delivery has no
    /// signature. To sign the delivery, call [`signed`](ManualDelivery::signed). The mock sends the
    /// delivery once and does not retry it.
    ///
    /// ```
    /// # use kycport::mock::MockIssuer;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() {
    /// let kyc = MockIssuer::start().await;
    /// kyc.webhooks().manual("[]").signed().header("x-any", "thing").send();
    /// kyc.webhooks().settled().await;
    /// # }
    /// ```
    pub fn manual(&self, body: impl Into<Vec<u8>>) -> ManualDelivery {
        ManualDelivery {
            hooks: self.clone(),
            body: body.into().into(),
            headers: HeaderMap::new(),
            is_signed: false,
        }
    }
}

/// Builder for a manual delivery. [`send`](Self::send) sends the delivery.
#[must_use = "call `send` to send the delivery"]
pub struct ManualDelivery {
    hooks: Webhooks,
    body: Bytes,
    headers: HeaderMap,
    is_signed: bool,
}

impl ManualDelivery {
    /// Adds a header. If the mock also sends a header with this name, the added header replaces the
    /// mock's header. The mock ignores an invalid header.
    pub fn header(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        if let (Ok(name), Ok(value)) = (
            HeaderName::from_bytes(name.as_bytes()),
            HeaderValue::from_bytes(value.as_ref()),
        ) {
            self.headers.append(name, value);
        }
        self
    }

    /// Signs the delivery in the same way as an event.
    pub fn signed(mut self) -> Self {
        self.is_signed = true;
        self
    }

    /// Queues the delivery. The mock sends the delivery immediately.
    pub fn send(self) {
        let event = Event::manual(self.body, self.headers, self.is_signed);
        self.hooks.put(event);
    }
}

/// Omits the body and the headers from the `Debug` output.
impl Debug for ManualDelivery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ManualDelivery")
            .field("is_signed", &self.is_signed)
            .finish_non_exhaustive()
    }
}
