//! Authorization response, as received from the browser (RFC 6749 section 4.1.2, RFC 9207). The
//! response is untrusted until it matches a pending authorization.

use std::fmt;

use url::form_urlencoded;

use crate::{secret::Secret, wire::authorize};

/// Maximum length of the query, in bytes.
const MAX_QUERY_BYTES: usize = 8 * 1024;

/// Parameters of an authorization response before validation. Each parameter occurs at most once.
#[derive(Clone)]
pub struct CallbackParams {
    pub(super) state: Secret,
    pub(super) issuer: Option<String>,
    pub(super) outcome: Outcome,
}

#[derive(Clone)]
pub(super) enum Outcome {
    Code(Secret),
    Error(AuthorizationError),
}

/// Error response of the authorization endpoint (K14, RFC 6749 section 4.1.2.1).
#[derive(Clone, PartialEq, Eq)]
pub struct AuthorizationError {
    /// Error code with its original text, such as `access_denied` or `login_required`.
    pub code: String,
    /// Description for developers. In the description, U+FFFD replaces control characters and bytes
    /// that are not UTF-8. The browser can forge the description: escape it, and do not show it to
    /// users.
    pub description: Option<String>,
}

/// `Debug` shows the code, escaped and truncated, and omits the description.
impl fmt::Debug for AuthorizationError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("AuthorizationError")
            .field(&printable(&self.code))
            .finish()
    }
}

/// Error from the parser of authorization responses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CallbackParamsError {
    /// The query is longer than 8 KiB.
    #[error("the query is longer than 8 KiB")]
    TooLong,
    /// A parameter occurs twice (RFC 6749 section 3.1).
    #[error("a parameter occurs twice")]
    Duplicate,
    /// A parameter has invalid percent-encoding, is not UTF-8, or contains a control character.
    #[error(
        "a parameter has invalid percent-encoding, is not UTF-8, or contains a control character"
    )]
    NotText,
    /// The parameter `state` is missing or empty.
    #[error("the parameter `state` is missing")]
    NoState,
    /// The response contains both `code` and `error`, or the response contains no `code` and no
    /// `error`.
    #[error("the response must have either `code` or `error`")]
    NoOutcome,
}

impl CallbackParams {
    /// Parses the query of the callback URL. `query` does not include the question mark.
    ///
    /// # Errors
    /// Returns [`CallbackParamsError`] if the query is not an authorization response.
    pub fn parse(query: &str) -> Result<Self, CallbackParamsError> {
        if query.len() > MAX_QUERY_BYTES {
            return Err(CallbackParamsError::TooLong);
        }
        let mut state = None;
        let mut code = None;
        let mut error = None;
        let mut description = None;
        let mut issuer = None;
        for pair in query.split('&') {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            // A name that is not valid text is an unknown parameter. The parser ignores unknown
            // parameters.
            let Ok(name) = decode(name) else { continue };
            let (parameter, value) = match name.as_str() {
                authorize::STATE => (&mut state, decode(value)?),
                authorize::CODE => (&mut code, decode(value)?),
                authorize::ERROR => (&mut error, decode(value)?),
                // The description affects no decision. Invalid bytes in the description must
                // therefore not make an error response malformed.
                authorize::ERROR_DESCRIPTION => (&mut description, decode_any(value)),
                authorize::ISS => (&mut issuer, decode(value)?),
                _ => continue,
            };
            if parameter.replace(value).is_some() {
                return Err(CallbackParamsError::Duplicate);
            }
        }
        let state = state
            .filter(|state| !state.is_empty())
            .ok_or(CallbackParamsError::NoState)?;
        let outcome = match (code, error) {
            (Some(code), None) if !code.is_empty() => Outcome::Code(Secret::new(code)),
            (None, Some(code)) if !code.is_empty() => {
                Outcome::Error(AuthorizationError { code, description })
            }
            _ => return Err(CallbackParamsError::NoOutcome),
        };
        Ok(Self {
            state: Secret::new(state),
            issuer,
            outcome,
        })
    }

    /// Returns whether the response contains a code.
    #[cfg(feature = "web")]
    pub(crate) fn has_code(&self) -> bool {
        matches!(self.outcome, Outcome::Code(_))
    }

    /// Returns the `state`, which identifies the pending authorization.
    pub fn state(&self) -> &Secret {
        &self.state
    }
}

impl fmt::Debug for CallbackParams {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CallbackParams").finish_non_exhaustive()
    }
}

/// Decodes `application/x-www-form-urlencoded` text strictly. Rejects invalid escapes, invalid
/// UTF-8 and control characters, which a lenient decoder would replace.
fn decode(text: &str) -> Result<String, CallbackParamsError> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => {
                let digits = [rest.next(), rest.next()];
                let [Some(high), Some(low)] = digits.map(|d| d.and_then(hex_digit)) else {
                    return Err(CallbackParamsError::NotText);
                };
                high.wrapping_shl(4) | low
            }
            other => other,
        });
    }
    String::from_utf8(bytes)
        .ok()
        .filter(|text| !text.chars().any(char::is_control))
        .ok_or(CallbackParamsError::NotText)
}

/// Decodes `application/x-www-form-urlencoded` text leniently. U+FFFD replaces invalid bytes and
/// control characters.
fn decode_any(text: &str) -> String {
    let pair = format!("={text}");
    let mut pairs = form_urlencoded::parse(pair.as_bytes());
    let value = pairs.next().map(|(_, value)| value).unwrap_or_default();
    value.replace(char::is_control, "\u{fffd}")
}

fn hex_digit(byte: u8) -> Option<u8> {
    u8::try_from(char::from(byte).to_digit(16)?).ok()
}

/// Makes an untrusted text safe for a log line: at most 64 characters, all printable ASCII.
pub(crate) fn printable(code: &str) -> String {
    const MAX_CHARS: usize = 64;
    code.chars()
        .take(MAX_CHARS)
        .map(|c| if c.is_ascii_graphic() { c } else { '?' })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::{CallbackParams, CallbackParamsError as E};

    #[test]
    fn only_authorization_responses_are_accepted() {
        // This test covers cases 32, 38 and 43 of `guide::threats`.
        let long = format!("state=s&code={}", "c".repeat(1024 * 1024));
        for (query, expected) in [
            ("code=c&state=s", Ok(())),
            ("code=c&state=s&iss=https%3A%2F%2Fx", Ok(())),
            ("state=s&error=access_denied", Ok(())),
            ("code=c&state=s&other=1&other=2", Ok(())),
            ("code=c&state=s&%e9=1&%zz=%0a&%0a", Ok(())),
            ("state=s&error=e&error_description=x%0D%0Ay", Ok(())),
            ("state=s&error=e&error_description=%e9%09%zz%4", Ok(())),
            ("state=s&error=e%0a", Err(E::NotText)),
            ("", Err(E::NoState)),
            ("code=c", Err(E::NoState)),
            ("code=c&state=", Err(E::NoState)),
            ("state=s", Err(E::NoOutcome)),
            ("state=s&code=", Err(E::NoOutcome)),
            ("state=s&error=", Err(E::NoOutcome)),
            ("state=s&code=c&error=access_denied", Err(E::NoOutcome)),
            ("state=s&state=s&code=c", Err(E::Duplicate)),
            ("state=s&code=c&code=c", Err(E::Duplicate)),
            ("state=s&code=c&%63ode=d", Err(E::Duplicate)),
            ("state=s&code=c&iss=a&iss=a", Err(E::Duplicate)),
            ("state=s&code=c%00", Err(E::NotText)),
            ("state=s&code=%0d%0aSet-Cookie:x", Err(E::NotText)),
            ("state=s&code=%ff", Err(E::NotText)),
            ("state=s&code=%c0%80", Err(E::NotText)),
            ("state=s&code=%4", Err(E::NotText)),
            ("state=s&code=%zz", Err(E::NotText)),
            ("state=s&code=%+4", Err(E::NotText)),
            (long.as_str(), Err(E::TooLong)),
        ] {
            assert_eq!(
                CallbackParams::parse(query).map(drop),
                expected,
                "{query:.60}"
            );
        }
    }
}
