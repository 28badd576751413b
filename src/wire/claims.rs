//! Names of the claims and of the header parameters of KYCPort's tokens (K22, K30 to K34).

/// Name of the claim with the issuer.
pub(crate) const ISS: &str = "iss";
/// Name of the claim with the subject, which is the `person_id` of the API (K33).
pub(crate) const SUB: &str = "sub";
/// Name of the claim with the audience, which is the client id (K30).
pub(crate) const AUD: &str = "aud";
/// Name of the claim with the authorized party (OpenID Connect Core 1.0 section 2).
pub(crate) const AZP: &str = "azp";
/// Name of the claim with the expiration time.
pub(crate) const EXP: &str = "exp";
/// Name of the claim with the time of issue.
pub(crate) const IAT: &str = "iat";
/// Name of the claim with the time from which the token is valid.
pub(crate) const NBF: &str = "nbf";
/// Name of the claim with the id of the token.
pub(crate) const JTI: &str = "jti";
/// Name of the claim with the nonce of the authorization request (K30).
pub(crate) const NONCE: &str = "nonce";
/// Name of the claim with the time of authentication (K34).
pub(crate) const AUTH_TIME: &str = "auth_time";
/// Name of the claim with the tier that the person reached in the login (K34).
pub(crate) const ACR: &str = "acr";
/// Name of the claim with the hash of the access token (K34).
pub(crate) const AT_HASH: &str = "at_hash";
/// Name of the claim with the client id, in an access token (RFC 9068 section 2.2).
pub(crate) const CLIENT_ID: &str = "client_id";
/// Name of the claim with the granted scopes, in an access token (RFC 9068 section 2.2.3).
pub(crate) const SCOPE: &str = "scope";
/// Name of the claim with the email address, with the scope `email` (K34).
pub(crate) const EMAIL: &str = "email";
/// Name of the claim with the verification of the email address: a boolean, with the scope `email`
/// (K34).
pub(crate) const EMAIL_VERIFIED: &str = "email_verified";
/// Name of the claim with the person's name, with the scope `profile` (K34).
pub(crate) const NAME: &str = "name";
/// Name of the claim with the verification status, with the scope `kyc` (K31).
pub(crate) const KYC_STATUS: &str = "kyc_status";
/// Name of the claim with the verification tier, with the scope `kyc` (K31).
pub(crate) const KYC_TIER: &str = "kyc_tier";
/// Name of the claim with the result of the AML screening, with the scope `kyc` (K31).
pub(crate) const AML_CLEAR: &str = "aml_clear";
/// Name of the claim with the time of the verification (K31).
pub(crate) const VERIFIED_AT: &str = "verified_at";

/// Value of the `typ` header of an access token (K22, RFC 9068 section 2.1).
pub(crate) const TYP_ACCESS_TOKEN: &str = "at+jwt";
/// Value of the `alg` header of every token (K22, RFC 8037 section 3.1).
pub(crate) const ALG_EDDSA: &str = "EdDSA";
