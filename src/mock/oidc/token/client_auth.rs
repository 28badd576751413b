//! Who asks: client authentication in the body (K20).

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
            return refuse("the client authenticates in the header, not in the body");
        }
        Some(value) => Some(basic(value).ok_or_else(|| unauthenticated("the header is no Basic"))?),
        None => None,
    };
    if basic.is_some() && form.has(names::CLIENT_SECRET) {
        let why = "the client authenticates twice";
        return Err(Refusal::new("invalid_request", "K20", why));
    }
    let in_body = form.get(names::CLIENT_ID);
    let (id, secret) = match &basic {
        Some((id, secret)) if in_body.is_none_or(|other| other == id) => {
            (id.as_str(), Some(secret.as_str()))
        }
        Some(_) => return refuse("`client_id` and the header name two clients"),
        None => {
            let missing = || Refusal::new("invalid_request", "K20", "`client_id` is missing");
            let id = in_body.ok_or_else(missing)?;
            (id, form.get(names::CLIENT_SECRET))
        }
    };
    let Some(client) = core.clients().get(id) else {
        return refuse("there is no such client");
    };
    match secret {
        None if client.is_public() => Ok(client),
        None => refuse("a confidential client sent no `client_secret`"),
        Some(_) if client.is_public() => refuse("a public client has no `client_secret` to send"),
        Some(secret) if client.has_secret(secret) => Ok(client),
        Some(_) => refuse("the `client_secret` is wrong"),
    }
}

/// Challenge of a 401. It names Basic only if a client could authenticate so, or tried to: then
/// RFC 6749 section 5.2 requires the scheme that was used. RFC 9110 section 15.5.2 requires a
/// challenge in each 401, and no registered scheme is a secret in the body.
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

/// The two parts, form-encoded before they were put in base64 (RFC 6749 section 2.3.1).
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
