//! Names of the claims and of the header parameters of KYCPort's tokens (K22, K30 to K34).

/// `iss`.
pub const ISS: &str = "iss";
/// `sub`, the `person_id` of the API (K33).
pub const SUB: &str = "sub";
/// `aud`, the client id (K30).
pub const AUD: &str = "aud";
/// `azp`, the authorized party (OpenID Connect Core 1.0 section 2).
pub const AZP: &str = "azp";
/// `exp`.
pub const EXP: &str = "exp";
/// `iat`.
pub const IAT: &str = "iat";
/// `nbf`.
pub const NBF: &str = "nbf";
/// `jti`.
pub const JTI: &str = "jti";
/// `nonce` (K30).
pub const NONCE: &str = "nonce";
/// `auth_time` (K34).
pub const AUTH_TIME: &str = "auth_time";
/// `acr`, the tier met (K34).
pub const ACR: &str = "acr";
/// `at_hash` (K34).
pub const AT_HASH: &str = "at_hash";
/// `client_id`, in an access token (RFC 9068 section 2.2).
pub const CLIENT_ID: &str = "client_id";
/// `scope`, in an access token (RFC 9068 section 2.2.3).
pub const SCOPE: &str = "scope";
/// `email`, with the scope of that name (K34).
pub const EMAIL: &str = "email";
/// `email_verified`, with the scope `email` (K34).
pub const EMAIL_VERIFIED: &str = "email_verified";
/// `name`, with the scope `profile` (K34).
pub const NAME: &str = "name";
/// `kyc_status`, with the scope `kyc` (K31).
pub const KYC_STATUS: &str = "kyc_status";
/// `kyc_tier`, with the scope `kyc` (K31).
pub const KYC_TIER: &str = "kyc_tier";
/// `aml_clear`, with the scope `kyc` (K31).
pub const AML_CLEAR: &str = "aml_clear";

/// The `typ` header of an access token (K22, RFC 9068 section 2.1).
pub const TYP_ACCESS_TOKEN: &str = "at+jwt";
/// The `alg` header of every token (K22, RFC 8037 section 3.1).
pub const ALG_EDDSA: &str = "EdDSA";
