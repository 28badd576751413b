//! Validation of authorization requests (K10 to K17).

use std::time::Duration;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::Value;
use url::Url;

use crate::{
    mock::{
        core::{
            Core,
            rules::{Effect, Hook},
        },
        http::{
            answer::{Answer, Refusal},
            endpoint::Endpoint,
            params::Params,
        },
        records::{claims::SCOPES, client::ClientRecord},
    },
    wire::{authorize as names, kyc::KycTier},
};

/// Validated authorization request.
pub(super) struct AuthorizeRequest {
    pub(super) client: ClientRecord,
    pub(super) back: RedirectTarget,
    pub(super) scopes: Vec<String>,
    pub(super) nonce: String,
    pub(super) challenge: String,
    pub(super) login_hint: Option<String>,
    /// ID of the person in `id_token_hint`.
    pub(super) id_token_hint: Option<String>,
    /// Requested tiers, as the client sent them. Each of the requested tiers satisfies the request
    /// (K15).
    pub(super) tiers: Vec<String>,
    /// Lowest known tier of the requested tiers (K19).
    pub(super) tier: Option<KycTier>,
    pub(super) prompt_none: bool,
    pub(super) max_age: Option<Duration>,
}

/// Rejection of a request (K14).
pub(super) enum Rejection {
    /// Shows an error page and does not redirect, because the redirect URI is not trusted.
    ErrorPage(Refusal),
    /// Redirects to the client with the error.
    Redirect(RedirectTarget, Refusal),
}

/// Registered redirect URI with the `state` to return.
#[derive(Clone)]
pub(super) struct RedirectTarget {
    pub(super) redirect_uri: String,
    state: Option<String>,
}

impl RedirectTarget {
    pub(super) fn error(&self, core: &Core, refusal: Refusal) -> Answer {
        let params = vec![
            (names::ERROR, refusal.error.to_owned()),
            (names::ERROR_DESCRIPTION, refusal.to_string()),
        ];
        let mut answer = self.answer(core, params);
        answer.refusal = Some(refusal);
        answer
    }

    /// Redirects to the client by 303 with `params`, `state` and `iss` (K14).
    pub(super) fn answer(&self, core: &Core, params: Vec<(&str, String)>) -> Answer {
        let mut all: Vec<(String, String)> = params
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value))
            .collect();
        if let Some(state) = &self.state {
            all.push((names::STATE.to_owned(), state.clone()));
        }
        if core.switches().iss_parameter {
            all.push((names::ISS.to_owned(), core.issuer.clone()));
        }
        let hook = Hook::After(Endpoint::Authorize);
        let edits = core
            .rules()
            .take_all(hook, |effect| matches!(effect, Effect::EditParams(_)));
        for rule in edits {
            if let Effect::EditParams(edit) = &rule.effect {
                edit(&mut all);
            }
        }
        match Url::parse(&self.redirect_uri) {
            Ok(mut url) => {
                url.query_pairs_mut().extend_pairs(all);
                Answer::see_other(url.as_str())
            }
            // Unreachable, because the registration has already parsed the redirect URI.
            Err(_) => Answer::see_other(&self.redirect_uri),
        }
    }
}

impl AuthorizeRequest {
    pub(super) fn check(core: &Core, query: &Params) -> Result<Self, Rejection> {
        let (client, back) = client_and_redirect_uri(core, query).map_err(Rejection::ErrorPage)?;
        let to_client = |refusal| Rejection::Redirect(back.clone(), refusal);
        if core.switches().reject_redirect_uri {
            let why = "the switch `reject_redirect_uri` is on";
            return Err(to_client(Refusal::new("redirect_uri_mismatch", "K14", why)));
        }
        check_parameters(core, query, client, &back).map_err(to_client)
    }
}

/// Checks the client and the redirect URI. If one of them is invalid, the mock shows the error to
/// the person and does not redirect (K14).
fn client_and_redirect_uri(
    core: &Core,
    query: &Params,
) -> Result<(ClientRecord, RedirectTarget), Refusal> {
    let refuse = |row, why: &str| Err(Refusal::new("invalid_request", row, why));
    let Some(id) = query.get(names::CLIENT_ID) else {
        return refuse("K14", "`client_id` is missing, empty or repeated");
    };
    let Some(client) = core.clients().get(id) else {
        return refuse("K14", "no client with this `client_id` exists");
    };
    let Some(uri) = query.get(names::REDIRECT_URI) else {
        return refuse("K12", "`redirect_uri` is missing, empty or repeated");
    };
    if !client.has_redirect_uri(uri) {
        return refuse(
            "K12",
            "`redirect_uri` is not registered for this client; it must match byte by byte",
        );
    }
    let back = RedirectTarget {
        redirect_uri: uri.to_owned(),
        state: query.get(names::STATE).map(str::to_owned),
    };
    Ok((client, back))
}

fn check_parameters(
    core: &Core,
    query: &Params,
    client: ClientRecord,
    back: &RedirectTarget,
) -> Result<AuthorizeRequest, Refusal> {
    let invalid = |row, why: &str| Refusal::new("invalid_request", row, why);
    if let Some(problem) = query.problem() {
        return Err(invalid("K26", &problem));
    }
    for (name, error) in [
        ("request", "request_not_supported"),
        ("request_uri", "request_uri_not_supported"),
    ] {
        if query.has(name) {
            return Err(Refusal::new(
                error,
                "K10",
                "request objects are not supported",
            ));
        }
    }
    if query.get(names::RESPONSE_TYPE) != Some("code") {
        let why = "`response_type` must be `code`";
        return Err(Refusal::new("unsupported_response_type", "K10", why));
    }
    let scopes = scopes(core, query.get(names::SCOPE))?;
    if query.get(names::STATE).is_none() {
        return Err(invalid("K10", "`state` is missing or empty"));
    }
    let Some(nonce) = query.get(names::NONCE) else {
        return Err(invalid("K10", "`nonce` is missing or empty"));
    };
    let challenge = challenge(query)?;
    if !matches!(query.get(names::RESPONSE_MODE), None | Some("query")) {
        return Err(invalid("K16", "`response_mode` must be `query`"));
    }
    let prompts = split_spaces(query.get(names::PROMPT));
    let known = ["none", "login", "consent", "select_account"];
    if prompts.iter().any(|p| !known.contains(&p.as_str())) {
        return Err(invalid("K17", "`prompt` has an unknown value"));
    }
    let prompt_none = prompts.iter().any(|p| p == "none");
    if prompt_none && prompts.len() > 1 {
        return Err(invalid(
            "K17",
            "`prompt=none` must not be combined with other values",
        ));
    }
    let max_age = match query.get(names::MAX_AGE).map(str::parse) {
        None => None,
        Some(Ok(seconds)) => Some(Duration::from_secs(seconds)),
        Some(Err(_)) => return Err(invalid("K17", "`max_age` must be a number of seconds")),
    };
    let tiers = split_spaces(query.get(&core.switches().tier_parameter));
    Ok(AuthorizeRequest {
        client,
        back: back.clone(),
        scopes,
        nonce: nonce.to_owned(),
        challenge,
        login_hint: query.get(names::LOGIN_HINT).map(str::to_owned),
        id_token_hint: id_token_hint(core, query)?,
        tier: lowest(&tiers),
        tiers,
        prompt_none,
        max_age,
    })
}

/// Reads the subject of an ID token of this issuer. The token may have expired (OpenID Connect Core
/// 1.0 section 3.1.2.1).
fn id_token_hint(core: &Core, query: &Params) -> Result<Option<String>, Refusal> {
    if !query.has(names::ID_TOKEN_HINT) {
        return Ok(None);
    }
    let subject = || {
        let token = query.get(names::ID_TOKEN_HINT)?;
        let (message, signature) = token.rsplit_once('.')?;
        let (header, payload) = message.split_once('.')?;
        let json = |part: &str| {
            let bytes = URL_SAFE_NO_PAD.decode(part).ok()?;
            serde_json::from_slice::<Value>(&bytes).ok()
        };
        let key = core.keys().find(json(header)?.get("kid")?.as_str()?)?;
        let claims = json(payload)?;
        // Ed25519 signatures are deterministic (RFC 8032). If the issuer's key produces the same
        // signature, the issuer signed this token.
        let is_own = key.sign(message.as_bytes()) == signature;
        (is_own && claims.get("iss")? == core.issuer.as_str()).then_some(())?;
        claims.get("sub")?.as_str().map(str::to_owned)
    };
    let why = "`id_token_hint` is not an ID token of this issuer";
    subject()
        .map(Some)
        .ok_or_else(|| Refusal::new("invalid_request", "K17", why))
}

/// Validates the scopes. The scopes must contain `openid` and must not contain an unknown scope
/// (K13).
fn scopes(core: &Core, scope: Option<&str>) -> Result<Vec<String>, Refusal> {
    let refuse = |why: &str| Err(Refusal::new("invalid_scope", "K13", why));
    let mut scopes = split_spaces(scope);
    if !scopes.iter().any(|s| s == "openid") {
        return refuse("`scope` must contain `openid`");
    }
    let refreshable = core.switches().issue_refresh_tokens;
    let known = |s: &String| SCOPES.contains(&s.as_str()) || (refreshable && s == "offline_access");
    if !scopes.iter().all(known) {
        return refuse("`scope` contains an unknown scope");
    }
    scopes.dedup();
    Ok(scopes)
}

/// Validates the PKCE challenge. The mock requires PKCE with S256 (K11). The challenge must be 43
/// characters of base64url, which encode 32 bytes (K29).
fn challenge(query: &Params) -> Result<String, Refusal> {
    let refuse = |row, why: &str| Err(Refusal::new("invalid_request", row, why));
    let Some(challenge) = query.get(names::CODE_CHALLENGE) else {
        return refuse("K11", "`code_challenge` is missing: PKCE is required");
    };
    if query.get(names::CODE_CHALLENGE_METHOD) != Some("S256") {
        return refuse("K11", "`code_challenge_method` must be `S256`");
    }
    match URL_SAFE_NO_PAD.decode(challenge) {
        Ok(digest) if digest.len() == 32 => Ok(challenge.to_owned()),
        _ => refuse("K29", "`code_challenge` must be 43 characters of base64url"),
    }
}

/// Returns the lowest known tier of the requested tiers. The mock ignores unknown tiers. A
/// requested tier is voluntary (OpenID Connect Core 1.0 section 5.5.1.1), so the mock does not
/// reject the request (K19).
pub(in crate::mock) fn lowest(tiers: &[String]) -> Option<KycTier> {
    [KycTier::T0, KycTier::T1, KycTier::T2, KycTier::T3]
        .into_iter()
        .find(|tier| tiers.iter().any(|asked| asked == tier.as_str()))
}

pub(in crate::mock) fn split_spaces(list: Option<&str>) -> Vec<String> {
    list.unwrap_or_default()
        .split(' ')
        .filter(|word| !word.is_empty())
        .map(str::to_owned)
        .collect()
}
