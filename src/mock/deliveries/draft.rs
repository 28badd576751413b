//! Unsigned deliveries and their signing (K61, K80). This module does not use the code of the SDK.

use std::fmt::{self, Debug};

use axum::http::{
    HeaderMap, HeaderName, HeaderValue,
    header::{CONTENT_TYPE, USER_AGENT},
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;

use super::event::{Event, SendMode};
use crate::{
    clock::Timestamp,
    mock::{
        jws::mac::hmac_sha256,
        random,
        records::secrets::{Secrets, fresh, standard_key},
        switches::{Switches, signatures::DeliverySignatures},
    },
    wire::webhook::SIGNATURE_PREFIX,
};

/// Unsigned delivery. A fault can change the draft before the mock signs and sends it.
#[derive(Clone)]
#[non_exhaustive]
pub struct DeliveryDraft {
    /// Body to send.
    pub body: Vec<u8>,
    /// Body to sign, if it differs from `body`.
    pub signed_body: Option<Vec<u8>>,
    /// Headers without the signature. The mock has already set `Content-Type` and `User-Agent`.
    pub headers: HeaderMap,
    /// Secret that signs the delivery.
    pub signing: DeliverySigning,
    /// Function that changes each signature, including its prefix. For example, the function can
    /// truncate the signature.
    pub reshape: Option<fn(String) -> String>,
    /// Value of `webhook-id`. The mock sends this value if the mock is set to sign with Standard
    /// Webhooks.
    id: String,
}

/// Secret that signs a delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum DeliverySigning {
    /// The tenant's current secret, or its last two secrets, as
    /// [`webhook_signatures`](super::super::Switches::webhook_signatures) selects.
    Tenant,
    /// The tenant's previous secret. Without a previous secret, the mock signs as for `Foreign`.
    Previous,
    /// A new secret that no tenant has.
    Foreign,
    /// No secret: the delivery has no signature.
    None,
}

/// Signed delivery, which the mock can send.
#[derive(Clone)]
pub(in crate::mock) struct Outgoing {
    pub(in crate::mock) headers: HeaderMap,
    pub(in crate::mock) body: Bytes,
}

impl DeliveryDraft {
    pub(in crate::mock) fn new(event: &Event) -> Self {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(USER_AGENT, HeaderValue::from_static("kycport-mock"));
        let mut signing = DeliverySigning::Tenant;
        if let SendMode::Manual {
            headers: own,
            is_signed,
        } = &event.mode
        {
            for name in own.keys() {
                headers.remove(name);
            }
            headers.extend(own.clone());
            if !is_signed {
                signing = DeliverySigning::None;
            }
        }
        Self {
            body: event.body.to_vec(),
            signed_body: None,
            headers,
            signing,
            reshape: None,
            id: event.id.clone(),
        }
    }

    /// Signs the delivery. With Standard Webhooks, `now` is the time in the headers.
    pub(in crate::mock) fn finish(
        mut self,
        secrets: &Secrets,
        switches: &Switches,
        now: Timestamp,
    ) -> Outgoing {
        let is_standard = switches.webhook_standard_signature;
        let signed = self.signed_body.as_ref().unwrap_or(&self.body);
        let signed = if is_standard {
            let id = named(&mut self.headers, ID, &self.id);
            let time = named(&mut self.headers, TIMESTAMP, &now.as_unix().to_string());
            [id.as_bytes(), b".", time.as_bytes(), b".", signed].concat()
        } else {
            signed.clone()
        };
        let signatures = self.keys(secrets, switches).into_iter().map(|key| {
            let text = if is_standard {
                let tag = hmac_sha256(&standard_key(&key), &signed);
                format!("v1,{}", STANDARD.encode(tag))
            } else {
                let prefix = switches.webhook_prefix.then_some(SIGNATURE_PREFIX);
                let tag = hmac_sha256(key.as_bytes(), &signed);
                random::hex(prefix.unwrap_or_default(), &tag)
            };
            match self.reshape {
                Some(reshape) => reshape(text),
                None => text,
            }
        });
        let mut values: Vec<String> = signatures.collect();
        if switches.webhook_signatures == DeliverySignatures::BothInOneHeader && values.len() > 1 {
            values = vec![values.join(if is_standard { " " } else { ", " })];
        }
        let mut headers = self.headers;
        let name = if is_standard {
            SIGNATURE
        } else {
            switches.webhook_header.as_str()
        };
        // Omit a header whose name or value is invalid. A test may set an invalid header on
        // purpose.
        if let Ok(name) = HeaderName::from_bytes(name.as_bytes()) {
            for value in values {
                if let Ok(value) = HeaderValue::from_str(&value) {
                    headers.append(name.clone(), value);
                }
            }
        }
        Outgoing {
            headers,
            body: self.body.into(),
        }
    }

    fn keys(&self, secrets: &Secrets, switches: &Switches) -> Vec<String> {
        let Secrets { current, previous } = secrets.clone();
        match self.signing {
            DeliverySigning::Tenant => {
                let is_one = switches.webhook_signatures == DeliverySignatures::Current;
                let other = previous.filter(|_| !is_one);
                [current].into_iter().chain(other).collect()
            }
            DeliverySigning::Previous => vec![previous.unwrap_or_else(fresh)],
            DeliverySigning::Foreign => vec![fresh()],
            DeliverySigning::None => Vec::new(),
        }
    }
}

/// Header names of Standard Webhooks 1.0.
const ID: &str = "webhook-id";
const TIMESTAMP: &str = "webhook-timestamp";
const SIGNATURE: &str = "webhook-signature";

/// Sets a header if the test has not set it. Returns the value of the header, which is part of the
/// signed text.
fn named(headers: &mut HeaderMap, name: &'static str, usual: &str) -> String {
    if let Ok(value) = HeaderValue::from_str(usual) {
        headers.entry(name).or_insert(value);
    }
    let value = headers.get(name).and_then(|value| value.to_str().ok());
    value.unwrap_or_default().to_owned()
}

/// Maximum size of a delivery's body, in bytes. The mock keeps the whole body in memory.
pub(in crate::mock) const LARGEST_BODY: usize = 64 * 1024 * 1024;

/// Omits the body and the headers from the `Debug` output.
impl Debug for DeliveryDraft {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DeliveryDraft")
            .field("signing", &self.signing)
            .finish_non_exhaustive()
    }
}
