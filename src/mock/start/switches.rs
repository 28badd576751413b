//! The switches as a file or a request says them: those alone that are to be otherwise.

use std::time::Duration;

use axum::http::HeaderName;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{given::Given, texts, words::ErrorField};
use crate::mock::switches::{Switches, signatures::DeliverySignatures};

/// What a tenant could find different in production. What is left out stays as it is.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(rename = "Switches")]
pub(in crate::mock) struct SwitchesSpec {
    /// `iss` in the authorization response (K14).
    iss_parameter: Option<bool>,
    /// `authorization_response_iss_parameter_supported` in the metadata (K5).
    advertise_iss_parameter: Option<bool>,
    /// `at_hash` in the ID token (K34).
    at_hash: Option<bool>,
    /// `acr` in the ID token of a verified person (K34, K36).
    acr: Option<bool>,
    /// `auth_time` in the ID token (K34).
    auth_time: Option<bool>,
    /// `aud` as an array of one.
    aud_as_array: Option<bool>,
    /// `kyc_tier` as a number (K32).
    tier_as_number: Option<bool>,
    /// Refresh tokens (K21).
    issue_refresh_tokens: Option<bool>,
    /// Client authentication in the `Authorization` header besides the body (K20).
    accept_basic: Option<bool>,
    /// `person_id` in the status answer (K40).
    status_person_id: Option<bool>,
    /// The field of a status refusal that the code stands in (K23, K43).
    api_error_field: Option<ErrorField>,
    /// The largest file that is taken, in bytes (K58).
    max_upload_file_bytes: Option<u64>,
    /// `Idempotency-Key` is heeded when a case is opened (K59).
    honour_idempotency_key: Option<bool>,
    /// How many statuses a tenant may ask for in how much time; `null` for no limit (K43, K47).
    status_rate_limit: Given<Limit>,
    /// The parameter of the authorization request that carries the requested tier (K15).
    tier_parameter: Option<String>,
    /// An authorization request whose `login_hint` names a person is allowed without the page.
    auto_consent: Option<bool>,
    /// A verification on a page of the issuer ends at its own page (K19).
    strand_after_verification: Option<bool>,
    /// The member of `data` that names the person in an event (K63).
    webhook_person_member: Option<String>,
    /// The member in which userinfo wraps the claims; `null` for none (K35).
    userinfo_wrapper: Given<String>,
    /// How long an ID token lives (K38).
    id_token_lifetime_seconds: Option<u64>,
    /// How long an access token lives (K38).
    access_token_lifetime_seconds: Option<u64>,
    /// How long a code lives (K24).
    code_lifetime_seconds: Option<u64>,
    /// `Cache-Control: max-age` of the discovery document and the key set; `null` for none (K6).
    cache_max_age_seconds: Given<u64>,
    /// The header of a delivery that bears the signature (K61).
    #[schemars(with = "Option<texts::HeaderName>")]
    webhook_header: Option<String>,
    /// `sha256=` before a signature (K61).
    webhook_prefix: Option<bool>,
    /// A delivery is signed as Standard Webhooks has it, and the secret is told so (K61).
    webhook_standard_signature: Option<bool>,
    /// By which secrets a delivery is signed while they are replaced (K80).
    webhook_signatures: Option<DeliverySignatures>,
    /// What `data` has stands at the top level of an event instead (K63).
    webhook_flat_body: Option<bool>,
    /// `created_at` of an event as whole seconds since 1970 (K81).
    webhook_unix_time: Option<bool>,
    /// The JSON of an event is compact, not as Django writes it (K63).
    webhook_compact_json: Option<bool>,
    /// How long after each failed attempt a delivery is sent again, by the issuer's clock (K84).
    webhook_retries_seconds: Option<Vec<u64>>,
    /// How long a delivery waits for its answer, in real time (K84).
    webhook_timeout_ms: Option<u64>,
}

/// So many requests in so much time.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Limit {
    requests: u32,
    seconds: u64,
}

impl SwitchesSpec {
    /// All of them, as they stand.
    pub(in crate::mock) fn of(switches: &Switches) -> Self {
        let limit = switches.status_rate_limit.map(|(requests, per)| Limit {
            requests,
            seconds: per.as_secs(),
        });
        Self {
            iss_parameter: Some(switches.iss_parameter),
            advertise_iss_parameter: Some(switches.advertise_iss_parameter),
            at_hash: Some(switches.at_hash),
            acr: Some(switches.acr),
            auth_time: Some(switches.auth_time),
            aud_as_array: Some(switches.aud_as_array),
            tier_as_number: Some(switches.tier_as_number),
            issue_refresh_tokens: Some(switches.issue_refresh_tokens),
            accept_basic: Some(switches.accept_basic),
            status_person_id: Some(switches.status_person_id),
            api_error_field: ErrorField::of(switches),
            max_upload_file_bytes: Some(switches.max_upload_file_bytes),
            honour_idempotency_key: Some(switches.honour_idempotency_key),
            status_rate_limit: Given::of(limit),
            tier_parameter: Some(switches.tier_parameter.clone()),
            auto_consent: Some(switches.auto_consent),
            strand_after_verification: Some(switches.strand_after_verification),
            webhook_person_member: Some(switches.webhook_person_member.clone()),
            userinfo_wrapper: Given::of(switches.userinfo_wrapper.clone()),
            id_token_lifetime_seconds: Some(switches.id_token_lifetime.as_secs()),
            access_token_lifetime_seconds: Some(switches.access_token_lifetime.as_secs()),
            code_lifetime_seconds: Some(switches.code_lifetime.as_secs()),
            cache_max_age_seconds: Given::of(switches.cache_max_age.map(|age| age.as_secs())),
            webhook_header: Some(switches.webhook_header.clone()),
            webhook_prefix: Some(switches.webhook_prefix),
            webhook_standard_signature: Some(switches.webhook_standard_signature),
            webhook_signatures: Some(switches.webhook_signatures),
            webhook_flat_body: Some(switches.webhook_flat_body),
            webhook_unix_time: Some(switches.webhook_unix_time),
            webhook_compact_json: Some(switches.webhook_compact_json),
            webhook_retries_seconds: Some(
                switches
                    .webhook_retries
                    .iter()
                    .map(Duration::as_secs)
                    .collect(),
            ),
            webhook_timeout_ms: u64::try_from(switches.webhook_timeout.as_millis()).ok(),
        }
    }

    /// What cannot be, if anything.
    pub(in crate::mock) fn flaw(&self) -> Option<&'static str> {
        let header = self.webhook_header.as_deref()?;
        let is_name = HeaderName::from_bytes(header.as_bytes()).is_ok();
        (!is_name).then_some("`webhook_header` is no name of a header")
    }

    pub(in crate::mock) fn apply(self, to: &mut Switches) {
        let seconds = Duration::from_secs;
        set(&mut to.iss_parameter, self.iss_parameter);
        set(
            &mut to.advertise_iss_parameter,
            self.advertise_iss_parameter,
        );
        set(&mut to.at_hash, self.at_hash);
        set(&mut to.acr, self.acr);
        set(&mut to.auth_time, self.auth_time);
        set(&mut to.aud_as_array, self.aud_as_array);
        set(&mut to.tier_as_number, self.tier_as_number);
        set(&mut to.issue_refresh_tokens, self.issue_refresh_tokens);
        set(&mut to.accept_basic, self.accept_basic);
        set(&mut to.status_person_id, self.status_person_id);
        set(
            &mut to.api_error_field,
            self.api_error_field.map(Into::into),
        );
        set(&mut to.max_upload_file_bytes, self.max_upload_file_bytes);
        set(&mut to.honour_idempotency_key, self.honour_idempotency_key);
        let limit = |limit: Limit| (limit.requests, seconds(limit.seconds));
        self.status_rate_limit.set(&mut to.status_rate_limit, limit);
        set(&mut to.tier_parameter, self.tier_parameter);
        set(&mut to.auto_consent, self.auto_consent);
        set(
            &mut to.strand_after_verification,
            self.strand_after_verification,
        );
        set(&mut to.webhook_person_member, self.webhook_person_member);
        self.userinfo_wrapper.set(&mut to.userinfo_wrapper, |it| it);
        set(
            &mut to.id_token_lifetime,
            self.id_token_lifetime_seconds.map(seconds),
        );
        set(
            &mut to.access_token_lifetime,
            self.access_token_lifetime_seconds.map(seconds),
        );
        set(
            &mut to.code_lifetime,
            self.code_lifetime_seconds.map(seconds),
        );
        self.cache_max_age_seconds
            .set(&mut to.cache_max_age, seconds);
        set(&mut to.webhook_header, self.webhook_header);
        set(&mut to.webhook_prefix, self.webhook_prefix);
        set(
            &mut to.webhook_standard_signature,
            self.webhook_standard_signature,
        );
        set(&mut to.webhook_signatures, self.webhook_signatures);
        set(&mut to.webhook_flat_body, self.webhook_flat_body);
        set(&mut to.webhook_unix_time, self.webhook_unix_time);
        set(&mut to.webhook_compact_json, self.webhook_compact_json);
        let retries = self.webhook_retries_seconds;
        let retries = retries.map(|all| all.into_iter().map(seconds).collect());
        set(&mut to.webhook_retries, retries);
        let timeout = self.webhook_timeout_ms.map(Duration::from_millis);
        set(&mut to.webhook_timeout, timeout);
    }
}

fn set<T>(to: &mut T, value: Option<T>) {
    if let Some(value) = value {
        *to = value;
    }
}
