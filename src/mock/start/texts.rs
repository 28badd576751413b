//! Schemas of texts: what a handler accepts beyond "a string".

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

/// Defines schemas, to be named by `#[schemars(with = "…")]`.
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
    /// A name without control characters.
    Name: {
        "type": "string", "minLength": 1, "maxLength": MAX_NAME,
        "pattern": "^[^\\u0000-\\u001f\\u007f-\\u009f]*$",
    }
    /// A webhook secret.
    HookSecret: { "type": "string", "minLength": MIN_HOOK_SECRET }
    /// A redirect URI.
    RedirectUri: {
        "type": "string", "format": "uri",
        "pattern": format!("^(https://({DOMAIN}|{IPV4})|http://(localhost|127(\\.{OCTET}){{3}}|\\[::1\\])){PORT}{REST}$"),
    }
    /// An address that takes deliveries.
    HookUrl: {
        "type": "string", "format": "uri",
        "pattern": format!("^https?://({DOMAIN}|{IPV4}|\\[::1\\]){PORT}{REST}$"),
    }
    /// The name of a header.
    HeaderName: { "type": "string", "pattern": "^[!#$%&'*+.^_`|~0-9A-Za-z-]+$" }
    /// The value of a header.
    HeaderText: { "type": "string", "pattern": "^[^\\u0000-\\u0008\\u000a-\\u001f\\u007f]*$" }
    /// A moment of RFC 3339.
    Moment: { "type": "string", "format": "date-time" }
}

/// Maximum length of a name, in characters.
pub(in crate::mock) const MAX_NAME: usize = 128;

/// Minimum length of a webhook secret, in characters (K80).
pub(in crate::mock) const MIN_HOOK_SECRET: usize = 16;

/// A host name that needs no decoding.
const DOMAIN: &str = "([A-Za-z0-9]+(-[A-Za-z0-9]+)*\\.)*[A-Za-z]+(-[A-Za-z0-9]+)*";

const OCTET: &str = "(25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])";

const IPV4: &str = "(25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])(\\.(25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])){3}";

const PORT: &str = "(:([1-5]?[0-9]{1,4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5]))?";

/// Path and query.
const REST: &str = "([/?]([A-Za-z0-9._~!$&'()*+,;=:@/?-]|%[0-9A-Fa-f]{2})*)?";
