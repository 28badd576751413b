//! What a tenant could find different in production, each a named switch.

pub(super) mod signatures;

use std::time::Duration;

use crate::{
    mock::deliveries::event::PERSON_ID,
    wire::{authorize as names, webhook},
};
use signatures::DeliverySignatures;

/// Facts that the contract only observed or assumed, and the mock's few laxnesses. The default is
/// what [the contract](crate::guide::contract) says.
///
/// Set them with [`MockIssuerBuilder::switch`](super::MockIssuerBuilder::switch) or, while it
/// runs, with [`MockIssuer::switch`](super::MockIssuer::switch).
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
#[expect(
    clippy::struct_excessive_bools,
    reason = "independent switches, each named where it is set"
)]
pub struct Switches {
    /// `iss` in the authorization response (K14). On.
    pub iss_parameter: bool,
    /// `authorization_response_iss_parameter_supported` in the metadata (K5). On.
    pub advertise_iss_parameter: bool,
    /// `at_hash` in the ID token (K34). On.
    pub at_hash: bool,
    /// `acr` in the ID token of a verified person (K34, K36). On.
    pub acr: bool,
    /// `auth_time` in the ID token (K34). On.
    pub auth_time: bool,
    /// `aud` as an array of one, which RFC 7519 section 4.1.3 allows. Off.
    pub aud_as_array: bool,
    /// `kyc_tier` as a number, as tenants have met it (K32). Off.
    pub tier_as_number: bool,
    /// Refresh tokens, which KYCPort does not document (K21). Off. Each works once; using an old
    /// one ends its whole family (K37).
    pub issue_refresh_tokens: bool,
    /// Client authentication in the `Authorization` header besides the body (K20). Off.
    pub accept_basic: bool,
    /// `person_id` in the status answer, which KYCPort does not document (K40). Off.
    pub status_person_id: bool,
    /// The field that the code of a refusal stands in, at userinfo and in the API (K23, K43).
    /// `error`.
    pub api_error_field: &'static str,
    /// The largest file that is taken, in bytes (K58). 20 MiB.
    pub max_upload_file_bytes: u64,
    /// `Idempotency-Key` is heeded when a case is opened, which KYCPort does not document (K59).
    /// Off.
    pub honour_idempotency_key: bool,
    /// How many statuses a tenant may ask for in how much time; more are 429 with `Retry-After`
    /// (K43, K47). The time is the issuer's clock's. None, for no limit.
    pub status_rate_limit: Option<(u32, Duration)>,
    /// The parameter of the authorization request that carries the requested tier, which KYCPort
    /// does not name (K15). `acr_values`.
    pub tier_parameter: String,
    /// A `GET /authorize` whose `login_hint` names a person is allowed at once, without the page,
    /// for browsers nobody sits at. Off.
    pub auto_consent: bool,
    /// A verification on a page of the issuer ends at its own page `/status`, and nothing leads back
    /// to the app, as tenants have met it (K19). Off.
    pub strand_after_verification: bool,
    /// The member of `data` that names the person in an event, as one tenant reads another one (K63).
    /// `person_id`.
    pub webhook_person_member: String,
    /// The member in which userinfo wraps the claims, such as `user`, `profile` or `data` (K35). None.
    pub userinfo_wrapper: Option<String>,
    /// How long an ID token lives (K38). 5 minutes.
    pub id_token_lifetime: Duration,
    /// How long an access token lives (K38). 15 minutes.
    pub access_token_lifetime: Duration,
    /// How long a code lives (K24). 60 seconds.
    pub code_lifetime: Duration,
    /// `Cache-Control: max-age` of the discovery document and the key set (K6); none, and the
    /// header is absent. 10 minutes.
    pub cache_max_age: Option<Duration>,
    /// The header of a delivery that bears the signature (K61). `x-kycport-signature`.
    pub webhook_header: String,
    /// `sha256=` before a signature (K61). On.
    pub webhook_prefix: bool,
    /// A delivery is signed as Standard Webhooks 1.0 has it, with `webhook-id`, `webhook-timestamp`
    /// and `webhook-signature` in place of KYCPort's header, and the secret is told as `whsec_` and
    /// base64 (K61). Off. Switch it before the app is given its secret.
    pub webhook_standard_signature: bool,
    /// By which secrets a delivery is signed while they are replaced (K80). The present one alone.
    pub webhook_signatures: DeliverySignatures,
    /// What `data` has stands at the top level of an event instead, as one tenant reads it (K63).
    /// Off.
    pub webhook_flat_body: bool,
    /// `created_at` of an event as whole seconds since 1970 (K81). Off.
    pub webhook_unix_time: bool,
    /// The JSON of an event is compact, and letters beyond ASCII stand in it as they are. Off: it has
    /// the form that Django writes, with a space after `:` and `,` and with `\u00e9` for `é`, so that
    /// a receiver that verifies anything but the raw bytes fails (K63).
    pub webhook_compact_json: bool,
    /// How long after each failed attempt a delivery is sent again, by the issuer's clock; after
    /// the last, no more (K84). 10 s, 1 min, 10 min, 1 h, 6 h, and three times 24 h.
    pub webhook_retries: Vec<Duration>,
    /// How long a delivery waits for its answer, in real time (K84). 10 s.
    pub webhook_timeout: Duration,
}

impl Switches {
    /// Sets what tenants have seen of KYCPort that differs from the default and works with an SDK of
    /// default settings but for webhooks: a verification leads nowhere, errors of the API stand in
    /// `detail`, and events are flat and name the person by `address` (K19, K23, K63).
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
            webhook_person_member: PERSON_ID.to_owned(),
            userinfo_wrapper: None,
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

/// In seconds.
const DAY: u64 = 24 * 3600;
