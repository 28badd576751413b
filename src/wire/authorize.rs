//! Parameter names of the authorization request and response (K10 to K17).

/// `response_type`, always `code` (K10).
pub const RESPONSE_TYPE: &str = "response_type";
/// `client_id` (K10).
pub const CLIENT_ID: &str = "client_id";
/// `redirect_uri` (K12).
pub const REDIRECT_URI: &str = "redirect_uri";
/// `scope`, space-separated (K13).
pub const SCOPE: &str = "scope";
/// `state` (K10).
pub const STATE: &str = "state";
/// `nonce` (K10).
pub const NONCE: &str = "nonce";
/// `code_challenge` (K11).
pub const CODE_CHALLENGE: &str = "code_challenge";
/// `code_challenge_method`, always `S256` (K11).
pub const CODE_CHALLENGE_METHOD: &str = "code_challenge_method";
/// `acr_values`, which requests a tier (K15).
pub const ACR_VALUES: &str = "acr_values";
/// `prompt` (K16, K17).
pub const PROMPT: &str = "prompt";
/// `max_age`, in seconds (K17).
pub const MAX_AGE: &str = "max_age";
/// `id_token_hint` (K17).
pub const ID_TOKEN_HINT: &str = "id_token_hint";
/// `login_hint` (K17).
pub const LOGIN_HINT: &str = "login_hint";
/// `response_mode` (K16).
pub const RESPONSE_MODE: &str = "response_mode";

/// `code`, in the authorization response.
pub const CODE: &str = "code";
/// `iss`, in the authorization response (K14, RFC 9207).
pub const ISS: &str = "iss";
/// `error`, in the authorization response (K14).
pub const ERROR: &str = "error";
/// `error_description`, in the authorization response (K14).
pub const ERROR_DESCRIPTION: &str = "error_description";

/// `code_verifier`, in the token request (K20).
pub const CODE_VERIFIER: &str = "code_verifier";
/// `grant_type`, in the token request (K20).
pub const GRANT_TYPE: &str = "grant_type";
/// `client_secret`, in the body of the token request (K20).
pub const CLIENT_SECRET: &str = "client_secret";
/// `refresh_token`, in a token request of that grant (RFC 6749 section 6).
pub const REFRESH_TOKEN: &str = "refresh_token";
