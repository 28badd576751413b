//! Client authentication at the token endpoint (K20).

use axum::http::{HeaderMap, HeaderValue, header::AUTHORIZATION};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use url::form_urlencoded;

use crate::{
    mock::{
        core::Core,
        http::{answer::Refusal, params::Params},
        records::client::ClientRecord,
    },
    wire::authorize as names,
};

pub(super) fn authenticate(
    core: &Core,
    headers: &HeaderMap,
    form: &Params,
) -> Result<ClientRecord, Refusal> {
    let header = headers
        .get(AUTHORIZATION)
        .map(|value| value.to_str().unwrap_or_default());
    let basic = match header {
        Some(_) if !core.switches().accept_basic => {
            return refuse(
                "the client must authenticate in the body, not in the Authorization header",
            );
        }
        Some(value) => Some(basic(value).ok_or_else(|| {
            unauthenticated("the Authorization header is not valid Basic authentication")
        })?),
        None => None,
    };
    if basic.is_some() && form.has(names::CLIENT_SECRET) {
        let why = "the client must not authenticate in both the header and the body";
        return Err(Refusal::new("invalid_request", "K20", why));
    }
    let in_body = form.get(names::CLIENT_ID);
    let (id, secret) = match &basic {
        Some((id, secret)) if in_body.is_none_or(|other| other == id) => {
            (id.as_str(), Some(secret.as_str()))
        }
        Some(_) => {
            return refuse("`client_id` differs from the client in the Authorization header");
        }
        None => {
            let missing = || Refusal::new("invalid_request", "K20", "`client_id` is missing");
            let id = in_body.ok_or_else(missing)?;
            (id, form.get(names::CLIENT_SECRET))
        }
    };
    let Some(client) = core.clients().get(id) else {
        return refuse("no client with this `client_id` exists");
    };
    match secret {
        None if client.is_public() => Ok(client),
        None => refuse("a confidential client sent no `client_secret`"),
        Some(_) if client.is_public() => refuse("a public client must not send a `client_secret`"),
        Some(secret) if client.has_secret(secret) => Ok(client),
        Some(_) => refuse("the `client_secret` is wrong"),
    }
}

/// Returns the challenge of a 401 response, which RFC 9110 section 15.5.2 requires.
///
/// The challenge contains Basic if the mock accepts Basic, or if the client used Basic. RFC 6749
/// section 5.2 requires that the challenge contains the scheme that the client used. IANA has
/// registered no scheme for a secret in the body.
pub(super) fn challenge(core: &Core, headers: &HeaderMap) -> &'static str {
    let tried = headers.get(AUTHORIZATION).map(HeaderValue::as_bytes);
    let scheme = tried.and_then(|value| value.get(..6));
    let tried_basic = scheme.is_some_and(|it| it.eq_ignore_ascii_case(b"basic "));
    if core.switches().accept_basic || tried_basic {
        "Basic realm=\"token\""
    } else {
        "ClientSecretPost realm=\"token\""
    }
}

fn refuse<T>(why: &str) -> Result<T, Refusal> {
    Err(unauthenticated(why))
}

fn unauthenticated(why: &str) -> Refusal {
    Refusal::new("invalid_client", "K20", why)
}

/// Parses Basic authentication. The client form-encodes the ID and the secret before base64 (RFC
/// 6749 section 2.3.1).
fn basic(value: &str) -> Option<(String, String)> {
    let (scheme, encoded) = value.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let decoded = String::from_utf8(STANDARD.decode(encoded.trim()).ok()?).ok()?;
    let (id, secret) = decoded.split_once(':')?;
    Some((form_decoded(id), form_decoded(secret)))
}

fn form_decoded(text: &str) -> String {
    form_urlencoded::parse(text.as_bytes())
        .map(|(name, _)| name.into_owned())
        .collect()
}
