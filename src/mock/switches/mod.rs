//! Switches for behavior that may differ in production.

pub(super) mod signatures;

use std::time::Duration;

use crate::wire::{authorize as names, webhook};
use signatures::DeliverySignatures;

/// Settings of the mock. Some switches select behavior of KYCPort that we only observed or assume.
/// Other switches relax checks of the mock. [The contract](crate::guide::contract) defines the
/// default values.
///
/// Set switches before the start with
/// [`MockIssuerBuilder::switch`](super::MockIssuerBuilder::switch), or while the mock runs with
/// [`MockIssuer::switch`](super::MockIssuer::switch).
///
/// ```
/// # use kycport::mock::MockIssuer;
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let kyc = MockIssuer::start().await;
/// kyc.switch(|switches| switches.tier_as_number = true);
/// # }
/// ```
#[derive(Debug, Clone)]
#[non_exhaustive]
#[expect(clippy::struct_excessive_bools, reason = "independent switches")]
pub struct Switches {
    /// Sends `iss` in the authorization response (K14). Default: on.
    pub iss_parameter: bool,
    /// Includes `authorization_response_iss_parameter_supported` in the metadata (K5). Default: on.
    pub advertise_iss_parameter: bool,
    /// Includes `at_hash` in the ID token (K34). Default: on.
    pub at_hash: bool,
    /// Includes `acr` in the ID token of a verified person (K34, K36). Default: on.
    pub acr: bool,
    /// Includes `auth_time` in the ID token (K34). Default: on.
    pub auth_time: bool,
    /// Authenticates the person in every login, so that `auth_time` satisfies `max_age` and
    /// `prompt=login` (K17). If this switch is off, the issuer ignores both, and `auth_time` of
    /// every login is one hour ago. Default: on.
    pub honor_max_age: bool,
    /// Sends `aud` as an array with one element, which RFC 7519 section 4.1.3 allows. Default: off.
    pub aud_as_array: bool,
    /// Sends `kyc_tier` as a number, as tenants have observed (K32). Default: off.
    pub tier_as_number: bool,
    /// Issues refresh tokens, which KYCPort does not document (K21). Each refresh token works once.
    /// If a client uses a refresh token again, the mock revokes all tokens of its family (K37).
    /// Default: off.
    pub issue_refresh_tokens: bool,
    /// Accepts client authentication in the `Authorization` header in addition to the body (K20).
    /// Default: off.
    pub accept_basic: bool,
    /// Includes `person_id` in the status response, which KYCPort does not document (K40). Default:
    /// off.
    pub status_person_id: bool,
    /// Member that contains the error code in error responses of userinfo and the tenant API (K23,
    /// K43). Default: `error`.
    pub api_error_field: &'static str,
    /// Maximum size of an uploaded file, in bytes (K58). Default: 20 MiB.
    pub max_upload_file_bytes: u64,
    /// Honors `Idempotency-Key` of a request that opens a case. KYCPort does not document this
    /// behavior (K59). Default: off.
    pub honour_idempotency_key: bool,
    /// Maximum number of status requests of a tenant within this time of the issuer's clock. The
    /// response to further requests is 429 with `Retry-After` (K43, K47). Default: no limit.
    pub status_rate_limit: Option<(u32, Duration)>,
    /// Name of the authorization request parameter that contains the requested tier. KYCPort does
    /// not document this parameter (K15). Default: `acr_values`.
    pub tier_parameter: String,
    /// Signs in the person in the `login_hint` of a `GET /authorize` request, without showing the
    /// sign-in page. The mock shows the page if the person does not reach the requested tier (K19).
    /// Use this switch for automated browsers. Default: off.
    pub auto_consent: bool,
    /// After a verification, shows the issuer's page at `/status` and does not redirect to the app.
    /// Tenants have observed this behavior (K19). Default: off.
    pub strand_after_verification: bool,
    /// Redirects each authorization request to the app with `error=redirect_uri_mismatch`. Tenants
    /// have observed this error (K14). Default: off.
    pub reject_redirect_uri: bool,
    /// Member of an event's `data` that contains the person ID. One tenant reads the person ID from
    /// a different member (K63). Default: `person_id`.
    pub webhook_person_member: String,
    /// Member in which userinfo wraps the claims, such as `user`, `profile` or `data` (K35).
    /// Default: none.
    pub userinfo_wrapper: Option<String>,
    /// Sends `verified_at`, the time of the verification, in the ID token, userinfo and the status
    /// response. Tenants look for this member (K31). Default: off.
    pub verified_at: bool,
    /// Lifetime of an ID token (K38). Default: 5 minutes.
    pub id_token_lifetime: Duration,
    /// Lifetime of an access token (K38). Default: 15 minutes.
    pub access_token_lifetime: Duration,
    /// Lifetime of an authorization code (K24). Default: 60 seconds.
    pub code_lifetime: Duration,
    /// `Cache-Control: max-age` of the discovery document and the key set (K6). `None` omits the
    /// header. Default: 10 minutes.
    pub cache_max_age: Option<Duration>,
    /// Name of the header that contains the signature of a delivery (K61). Default:
    /// `x-kycport-signature`.
    pub webhook_header: String,
    /// Prefixes signatures with `sha256=` (K61). Default: on.
    pub webhook_prefix: bool,
    /// Signs deliveries as Standard Webhooks 1.0 specifies. The headers `webhook-id`,
    /// `webhook-timestamp` and `webhook-signature` replace KYCPort's header. The secret has the
    /// format `whsec_` plus base64 (K61). Set this switch before the app gets its secret. Default:
    /// off.
    pub webhook_standard_signature: bool,
    /// Secrets that sign a delivery during a rotation (K80). Default: the current secret only.
    pub webhook_signatures: DeliverySignatures,
    /// Moves the members of `data` to the top level of an event. One tenant reads flat events
    /// (K63). Default: off.
    pub webhook_flat_body: bool,
    /// Sends `created_at` of an event as whole seconds since 1970-01-01 UTC (K81). Default: off.
    pub webhook_unix_time: bool,
    /// Sends events as compact JSON without escapes of non-ASCII characters. If this switch is off,
    /// events have the format of Django. Django writes a space after `:` and `,`, and `\u00e9` for
    /// `é`. A receiver that does not verify the raw bytes then rejects the delivery (K63). Default:
    /// off.
    pub webhook_compact_json: bool,
    /// Delays before the retries of a delivery, by the issuer's clock (K84). If the attempt after
    /// the last delay fails, the mock does not retry the delivery again. Default: 10 s, 1 min, 10
    /// min, 1 h, 6 h, 24 h, 24 h, 24 h.
    pub webhook_retries: Vec<Duration>,
    /// Time limit of a delivery attempt, in real time (K84). Default: 10 s.
    pub webhook_timeout: Duration,
}

impl Switches {
    /// Enables behavior of KYCPort that tenants have observed and that differs from the default
    /// values (K19, K23, K63):
    ///
    /// - KYCPort does not redirect to the app after a verification.
    /// - The error code of the tenant API is in `detail`.
    /// - Events are flat and contain the person ID in `address`.
    ///
    /// The SDK works with these switches. The app must change only the webhook settings of the SDK.
    ///
    /// ```
    /// # use kycport::mock::{MockIssuer, Switches};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), kycport::mock::MockError> {
    /// let kyc = MockIssuer::builder().switch(Switches::as_observed).start().await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn as_observed(&mut self) {
        self.strand_after_verification = true;
        self.api_error_field = "detail";
        self.webhook_flat_body = true;
        "address".clone_into(&mut self.webhook_person_member);
    }
}

impl Default for Switches {
    fn default() -> Self {
        Self {
            iss_parameter: true,
            advertise_iss_parameter: true,
            at_hash: true,
            acr: true,
            auth_time: true,
            honor_max_age: true,
            aud_as_array: false,
            tier_as_number: false,
            issue_refresh_tokens: false,
            accept_basic: false,
            status_person_id: false,
            api_error_field: "error",
            max_upload_file_bytes: 20 * 1024 * 1024,
            honour_idempotency_key: false,
            status_rate_limit: None,
            tier_parameter: names::ACR_VALUES.to_owned(),
            auto_consent: false,
            strand_after_verification: false,
            reject_redirect_uri: false,
            webhook_person_member: PERSON_ID.to_owned(),
            userinfo_wrapper: None,
            verified_at: false,
            id_token_lifetime: Duration::from_secs(300),
            access_token_lifetime: Duration::from_secs(900),
            code_lifetime: Duration::from_secs(60),
            cache_max_age: Some(Duration::from_secs(600)),
            webhook_header: webhook::SIGNATURE.to_owned(),
            webhook_prefix: true,
            webhook_standard_signature: false,
            webhook_signatures: DeliverySignatures::Current,
            webhook_flat_body: false,
            webhook_unix_time: false,
            webhook_compact_json: false,
            webhook_retries: [10, 60, 600, 3600, 6 * 3600, DAY, DAY, DAY]
                .map(Duration::from_secs)
                .to_vec(),
            webhook_timeout: Duration::from_secs(10),
        }
    }
}

/// Member of an event's `data` that contains the person ID (K63).
pub(in crate::mock) const PERSON_ID: &str = "person_id";

/// Number of seconds in one day.
const DAY: u64 = 24 * 3600;
