//! Redemption of codes (K24) and refresh tokens (K21). Each code and each refresh token works once.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use sha2::{Digest as _, Sha256};

use crate::{
    mock::{
        core::Core,
        http::{answer::Refusal, params::Params},
        oidc::authorize::split_spaces,
        records::{
            client::ClientRecord,
            grants::{Consent, Redemption},
        },
    },
    wire::authorize as names,
};

/// Grant for which the mock issues tokens.
pub(super) struct Granted {
    pub(super) consent: Consent,
    pub(super) family: String,
    /// Requested scopes, if the refresh request contains fewer scopes than the grant (RFC 6749
    /// section 6).
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
            "`grant_type` must be `authorization_code`",
        )),
    }
}

/// Redeems a code. A complete token request of the code's client invalidates the code, even if the
/// token request fails (K28).
fn by_code(core: &Core, client: &ClientRecord, form: &Params) -> Result<Granted, Refusal> {
    let sent = required(form, names::CODE)?;
    let redirect_uri = required(form, names::REDIRECT_URI)?;
    let verifier = required(form, names::CODE_VERIFIER)?;
    if !is_verifier(verifier) {
        let why = "`code_verifier` must be 43 to 128 unreserved characters (RFC 7636 section 4.1)";
        return Err(Refusal::new("invalid_request", "K29", why));
    }
    let now = core.now();
    let presented = core.grants().take_code(sent, &client.id);
    let known = match presented {
        Redemption::Valid(known) => known,
        Redemption::Reused(_) => {
            return invalid_grant("K24", "the code was already used; its tokens are revoked");
        }
        Redemption::Unknown => {
            return invalid_grant("K24", "the code is unknown or belongs to another client");
        }
    };
    if known.expires <= now {
        return invalid_grant("K24", "the code has expired");
    }
    if known.binding.redirect_uri != redirect_uri {
        return invalid_grant("K24", "the code was issued for another `redirect_uri`");
    }
    if URL_SAFE_NO_PAD.encode(Sha256::digest(verifier.as_bytes())) != known.binding.challenge {
        return invalid_grant("K11", "`code_verifier` does not match `code_challenge`");
    }
    Ok(Granted {
        consent: known.consent,
        family: known.family,
        narrower: None,
    })
}

fn by_refresh_token(core: &Core, client: &ClientRecord, form: &Params) -> Result<Granted, Refusal> {
    let token = required(form, names::REFRESH_TOKEN)?;
    let asked = form
        .get(names::SCOPE)
        .map(|scope| split_spaces(Some(scope)));
    if let (Some(asked), Some(granted)) = (&asked, core.grants().scopes_of_refresh(token))
        && !asked.iter().all(|scope| granted.contains(scope))
    {
        let why = "`scope` exceeds the scopes that the person allowed";
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
        Redemption::Reused(_) => invalid_grant("K21", "the refresh token was already used"),
        Redemption::Unknown => invalid_grant(
            "K21",
            "the refresh token is unknown or belongs to another client",
        ),
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
