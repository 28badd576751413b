//! Parameter names of the authorization request and response (K10 to K17).

/// Name of the parameter with the response type, always `code` (K10).
pub(crate) const RESPONSE_TYPE: &str = "response_type";
/// Name of the parameter with the client id (K10).
pub(crate) const CLIENT_ID: &str = "client_id";
/// Name of the parameter with the redirect URI (K12).
pub(crate) const REDIRECT_URI: &str = "redirect_uri";
/// Name of the parameter with the scopes, separated by spaces (K13).
pub(crate) const SCOPE: &str = "scope";
/// Name of the parameter with the state (K10).
pub(crate) const STATE: &str = "state";
/// Name of the parameter with the nonce (K10).
pub(crate) const NONCE: &str = "nonce";
/// Name of the parameter with the PKCE challenge (K11).
pub(crate) const CODE_CHALLENGE: &str = "code_challenge";
/// Name of the parameter with the PKCE method, always `S256` (K11).
pub(crate) const CODE_CHALLENGE_METHOD: &str = "code_challenge_method";
/// Name of the parameter that requests a tier (K15).
pub(crate) const ACR_VALUES: &str = "acr_values";
/// Name of the parameter that controls the interaction with the person (K16, K17).
pub(crate) const PROMPT: &str = "prompt";
/// Name of the parameter with the maximum age of the authentication, in seconds (K17).
pub(crate) const MAX_AGE: &str = "max_age";
/// Name of the parameter with an earlier ID token of the expected person (K17).
pub(crate) const ID_TOKEN_HINT: &str = "id_token_hint";
/// Name of the parameter with a hint for the expected person (K17).
pub(crate) const LOGIN_HINT: &str = "login_hint";
/// Name of the parameter with the preferred languages (K17).
pub(crate) const UI_LOCALES: &str = "ui_locales";
/// Name of the parameter with the response mode (K16).
pub(crate) const RESPONSE_MODE: &str = "response_mode";

/// Name of the response parameter with the authorization code.
pub(crate) const CODE: &str = "code";
/// Name of the response parameter with the issuer (K14, RFC 9207).
pub(crate) const ISS: &str = "iss";
/// Name of the response parameter with the error code (K14).
pub(crate) const ERROR: &str = "error";
/// Name of the response parameter with the error description (K14).
pub(crate) const ERROR_DESCRIPTION: &str = "error_description";

/// Name of the token request parameter with the PKCE verifier (K20).
pub(crate) const CODE_VERIFIER: &str = "code_verifier";
/// Name of the token request parameter with the grant type (K20).
pub(crate) const GRANT_TYPE: &str = "grant_type";
/// Name of the token request parameter with the client secret (K20).
pub(crate) const CLIENT_SECRET: &str = "client_secret";
/// Name of the token request parameter with the refresh token (RFC 6749 section 6).
pub(crate) const REFRESH_TOKEN: &str = "refresh_token";
