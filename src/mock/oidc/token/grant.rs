//! What the client presents: a code once (K24), or a refresh token once (K21).

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use sha2::{Digest as _, Sha256};

use crate::{
    mock::{
        core::Core,
        http::{answer::Refusal, params::Params},
        oidc::authorize::words,
        records::{
            client::ClientRecord,
            grants::{Consent, Redemption},
        },
    },
    wire::authorize as names,
};

/// What may be issued.
pub(super) struct Granted {
    pub(super) consent: Consent,
    pub(super) family: String,
    /// The scopes that a refresh asks for, if they are fewer (RFC 6749 section 6).
    pub(super) narrower: Option<Vec<String>>,
}

pub(super) fn redeem(
    core: &Core,
    client: &ClientRecord,
    form: &Params,
) -> Result<Granted, Refusal> {
    match required(form, names::GRANT_TYPE)? {
        "authorization_code" => by_code(core, client, form),
        "refresh_token" if core.switches().issue_refresh_tokens => {
            by_refresh_token(core, client, form)
        }
        _ => Err(Refusal::new(
            "unsupported_grant_type",
            "K20",
            "`grant_type` is not `authorization_code`",
        )),
    }
}

/// A code is spent when its own client presents it complete, right or wrong (K28).
fn by_code(core: &Core, client: &ClientRecord, form: &Params) -> Result<Granted, Refusal> {
    let sent = required(form, names::CODE)?;
    let redirect_uri = required(form, names::REDIRECT_URI)?;
    let verifier = required(form, names::CODE_VERIFIER)?;
    if !is_verifier(verifier) {
        let why = "`code_verifier` is not 43 to 128 unreserved characters (RFC 7636 section 4.1)";
        return Err(Refusal::new("invalid_request", "K29", why));
    }
    let now = core.now();
    let presented = core.grants().take_code(sent, &client.id);
    let known = match presented {
        Redemption::Valid(known) => known,
        Redemption::Reused => {
            return invalid_grant("K24", "the code was used before; what it gave is revoked");
        }
        Redemption::Unknown => return invalid_grant("K24", "no such code of this client"),
    };
    if known.expires <= now {
        return invalid_grant("K24", "the code has expired");
    }
    if known.redirect_uri != redirect_uri {
        return invalid_grant("K24", "the code was issued to another `redirect_uri`");
    }
    if URL_SAFE_NO_PAD.encode(Sha256::digest(verifier.as_bytes())) != known.challenge {
        return invalid_grant("K11", "`code_verifier` does not fit the `code_challenge`");
    }
    Ok(Granted {
        consent: known.consent,
        family: known.family,
        narrower: None,
    })
}

fn by_refresh_token(core: &Core, client: &ClientRecord, form: &Params) -> Result<Granted, Refusal> {
    let token = required(form, names::REFRESH_TOKEN)?;
    let asked = form.get(names::SCOPE).map(|scope| words(Some(scope)));
    if let (Some(asked), Some(granted)) = (&asked, core.grants().scopes_of_refresh(token))
        && !asked.iter().all(|scope| granted.contains(scope))
    {
        let why = "`scope` asks for more than the person allowed";
        return Err(Refusal::new("invalid_scope", "K21", why));
    }
    let presented = core.grants().take_refresh(token, &client.id);
    match presented {
        Redemption::Valid(refresh) => Ok(Granted {
            // A refreshed ID token has no nonce (K37).
            consent: Consent {
                nonce: None,
                ..refresh.consent
            },
            family: refresh.family,
            narrower: asked,
        }),
        Redemption::Reused => invalid_grant("K21", "the refresh token was used before"),
        Redemption::Unknown => invalid_grant("K21", "no such refresh token of this client"),
    }
}

fn required<'a>(form: &'a Params, name: &str) -> Result<&'a str, Refusal> {
    form.get(name)
        .ok_or_else(|| Refusal::new("invalid_request", "K20", format!("`{name}` is missing")))
}

fn invalid_grant<T>(row: &'static str, why: &str) -> Result<T, Refusal> {
    Err(Refusal::new("invalid_grant", row, why))
}

fn is_verifier(verifier: &str) -> bool {
    (43..=128).contains(&verifier.len())
        && verifier
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"-._~".contains(&b))
}
