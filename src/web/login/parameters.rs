//! Parameters of the links that start a login or a step-up.

use std::borrow::Cow;

use http::{HeaderMap, HeaderValue};
use url::form_urlencoded;

use crate::{
    oidc::{LoginRequest, Prompt},
    wire::authorize,
};

/// Maximum length of `login_hint`, in bytes: the length of an email address.
const MAX_LOGIN_HINT: usize = 254;

/// Maximum number of languages in `ui_locales`.
const MAX_LOCALES: usize = 5;

/// Reads the parameters `prompt`, `login_hint` and `ui_locales`. Ignores an invalid parameter and a
/// parameter that occurs twice, because a login must not fail for a hint. Ignores all parameters if
/// another site sent the browser here.
pub(super) fn login_request(query: &str, headers: &HeaderMap) -> LoginRequest {
    let mut request = LoginRequest::new();
    if is_from_elsewhere(headers) {
        return request;
    }
    match only(query, authorize::PROMPT).as_deref() {
        Some("login") => request = request.prompt(Prompt::Login),
        Some("consent") => request = request.prompt(Prompt::Consent),
        // In a link, `none` could only cause errors.
        _ => {}
    }
    let is_hint = |text: &str| {
        !text.is_empty() && text.len() <= MAX_LOGIN_HINT && !text.contains(char::is_control)
    };
    if let Some(hint) = only(query, authorize::LOGIN_HINT).filter(|hint| is_hint(hint)) {
        request = request.login_hint(hint);
    }
    if let Some(locales) = only(query, authorize::UI_LOCALES).filter(|list| are_locales(list)) {
        request = request.ui_locales(locales.split(' '));
    }
    request
}

/// Returns the value of a parameter that occurs exactly once.
pub(super) fn only<'a>(query: &'a str, name: &str) -> Option<Cow<'a, str>> {
    let mut values = form_urlencoded::parse(query.as_bytes())
        .filter(|(own, _)| own == name)
        .map(|(_, value)| value);
    match (values.next(), values.next()) {
        (Some(only), None) => Some(only),
        _ => None,
    }
}

/// Returns whether another site sent the browser here.
pub(super) fn is_from_elsewhere(headers: &HeaderMap) -> bool {
    let site = headers.get("sec-fetch-site").map(HeaderValue::as_bytes);
    matches!(site, Some(b"cross-site" | b"same-site"))
}

fn are_locales(list: &str) -> bool {
    let is_tag = |tag: &str| {
        (2..=35).contains(&tag.len())
            && tag
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    };
    list.split(' ').count() <= MAX_LOCALES && list.split(' ').all(is_tag)
}
