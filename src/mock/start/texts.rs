//! Strings with restrictions, and their JSON schemas.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

use crate::mock::error::MockError;

/// Defines types whose schemas `#[schemars(with = "…")]` uses.
macro_rules! texts {
    ($($(#[doc = $doc:literal])+ $name:ident: $schema:tt)+) => {
        $($(#[doc = $doc])+
        pub(in crate::mock) enum $name {}

        impl JsonSchema for $name {
            fn schema_name() -> Cow<'static, str> {
                stringify!($name).into()
            }

            fn inline_schema() -> bool {
                true
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!($schema)
            }
        })+
    };
}

texts! {
    /// Name without control characters.
    Name: {
        "type": "string", "minLength": 1, "maxLength": MAX_NAME,
        "pattern": "^[^\\u0000-\\u001f\\u007f-\\u009f]*$",
    }
    /// Webhook secret of at least 16 characters.
    WebhookSecretText: { "type": "string", "minLength": MIN_WEBHOOK_SECRET }
    /// Redirect URI that a client can register.
    RedirectUri: {
        "type": "string", "format": "uri",
        "pattern": format!("^(https://({DOMAIN}|{IPV4})|http://(localhost|127(\\.{OCTET}){{3}}|\\[::1\\])){PORT}{REST}$"),
    }
    /// URL of a webhook endpoint.
    WebhookUrl: {
        "type": "string", "format": "uri",
        "pattern": format!("^https?://({DOMAIN}|{IPV4}|\\[::1\\]){PORT}{REST}$"),
    }
    /// Name of an HTTP header.
    HeaderName: { "type": "string", "pattern": "^[!#$%&'*+.^_`|~0-9A-Za-z-]+$" }
    /// Value of an HTTP header.
    HeaderText: { "type": "string", "pattern": "^[^\\u0000-\\u0008\\u000a-\\u001f\\u007f]*$" }
    /// Date and time in RFC 3339 format.
    Moment: { "type": "string", "format": "date-time" }
}

/// Rejects a text that is not a [`Name`].
pub(super) fn check_name(setting: &'static str, text: &str) -> Result<(), MockError> {
    if text.is_empty() || text.chars().count() > MAX_NAME || text.contains(char::is_control) {
        return Err(MockError::Setting {
            setting,
            reason: "the value is empty, longer than 128 characters, or contains control characters",
        });
    }
    Ok(())
}

/// Maximum length of a name, in characters.
const MAX_NAME: usize = 128;

/// Minimum length of a webhook secret, in characters (K80).
pub(in crate::mock) const MIN_WEBHOOK_SECRET: usize = 16;

/// Host name in ASCII, without percent-encoding.
const DOMAIN: &str = "([A-Za-z0-9]+(-[A-Za-z0-9]+)*\\.)*[A-Za-z]+(-[A-Za-z0-9]+)*";

const OCTET: &str = "(25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])";

const IPV4: &str = "(25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])(\\.(25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])){3}";

const PORT: &str = "(:([1-5]?[0-9]{1,4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5]))?";

/// Path and query of a URL.
const REST: &str = "([/?]([A-Za-z0-9._~!$&'()*+,;=:@/?-]|%[0-9A-Fa-f]{2})*)?";
