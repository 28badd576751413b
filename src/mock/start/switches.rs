//! Switches in JSON and TOML. A request changes only the switches that it contains.

use std::time::Duration;

use axum::http::HeaderName;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{nullable::Nullable, texts, values::ErrorField};
use crate::mock::switches::{Switches, signatures::DeliverySignatures};

/// Switches for behavior that may differ in production. An omitted switch keeps its value.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(rename = "Switches")]
pub(in crate::mock) struct SwitchesSpec {
    /// Sends `iss` in the authorization response (K14).
    iss_parameter: Option<bool>,
    /// Includes `authorization_response_iss_parameter_supported` in the metadata (K5).
    advertise_iss_parameter: Option<bool>,
    /// Includes `at_hash` in the ID token (K34).
    at_hash: Option<bool>,
    /// Includes `acr` in the ID token of a verified person (K34, K36).
    acr: Option<bool>,
    /// Includes `auth_time` in the ID token (K34).
    auth_time: Option<bool>,
    /// Authenticates the person in every login. If false, `auth_time` is one hour ago (K17).
    honor_max_age: Option<bool>,
    /// Sends `aud` as an array with one element.
    aud_as_array: Option<bool>,
    /// Sends `kyc_tier` as a number (K32).
    tier_as_number: Option<bool>,
    /// Issues refresh tokens (K21).
    issue_refresh_tokens: Option<bool>,
    /// Accepts client authentication in the `Authorization` header in addition to the body (K20).
    accept_basic: Option<bool>,
    /// Includes `person_id` in the status response (K40).
    status_person_id: Option<bool>,
    /// Member that contains the error code in error responses of userinfo and the tenant API (K23,
    /// K43).
    api_error_field: Option<ErrorField>,
    /// Maximum size of an uploaded file, in bytes (K58).
    max_upload_file_bytes: Option<u64>,
    /// Honors `Idempotency-Key` of a request that opens a case (K59).
    honour_idempotency_key: Option<bool>,
    /// Maximum number of status requests of a tenant within a time window, or `null` for no limit
    /// (K43, K47).
    status_rate_limit: Nullable<Limit>,
    /// Name of the authorization request parameter that contains the requested tier (K15).
    tier_parameter: Option<String>,
    /// Signs in the person in `login_hint` without showing the sign-in page.
    auto_consent: Option<bool>,
    /// After a verification, shows a page of the issuer and does not redirect to the app (K19).
    strand_after_verification: Option<bool>,
    /// Redirects each authorization request to the app with `error=redirect_uri_mismatch` (K14).
    reject_redirect_uri: Option<bool>,
    /// Member of an event's `data` that contains the person ID (K63).
    webhook_person_member: Option<String>,
    /// Member in which userinfo wraps the claims, or `null` for none (K35).
    userinfo_wrapper: Nullable<String>,
    /// Sends `verified_at` in the ID token, userinfo and the status response (K31).
    verified_at: Option<bool>,
    /// Lifetime of an ID token, in seconds (K38).
    id_token_lifetime_seconds: Option<u64>,
    /// Lifetime of an access token, in seconds (K38).
    access_token_lifetime_seconds: Option<u64>,
    /// Lifetime of an authorization code, in seconds (K24).
    code_lifetime_seconds: Option<u64>,
    /// `Cache-Control: max-age` of the discovery document and the key set, or `null` for no header
    /// (K6).
    cache_max_age_seconds: Nullable<u64>,
    /// Name of the header that contains the signature of a delivery (K61).
    #[schemars(with = "Option<texts::HeaderName>")]
    webhook_header: Option<String>,
    /// Prefixes signatures with `sha256=` (K61).
    webhook_prefix: Option<bool>,
    /// Signs deliveries as Standard Webhooks specifies, with a Standard Webhooks secret (K61).
    webhook_standard_signature: Option<bool>,
    /// Secrets that sign a delivery during a rotation (K80).
    webhook_signatures: Option<DeliverySignatures>,
    /// Moves the members of `data` to the top level of an event (K63).
    webhook_flat_body: Option<bool>,
    /// Sends `created_at` of an event as whole seconds since 1970-01-01 UTC (K81).
    webhook_unix_time: Option<bool>,
    /// Sends events as compact JSON instead of JSON in Python's format (K63).
    webhook_compact_json: Option<bool>,
    /// Delays before the retries of a delivery, in seconds, by the issuer's clock (K84).
    webhook_retries_seconds: Option<Vec<u64>>,
    /// Time limit of a delivery attempt, in milliseconds of real time (K84).
    webhook_timeout_ms: Option<u64>,
}

/// Maximum number of requests within a time window.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Limit {
    requests: u32,
    seconds: u64,
}

impl SwitchesSpec {
    /// Returns the current values of all switches.
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
            honor_max_age: Some(switches.honor_max_age),
            aud_as_array: Some(switches.aud_as_array),
            tier_as_number: Some(switches.tier_as_number),
            issue_refresh_tokens: Some(switches.issue_refresh_tokens),
            accept_basic: Some(switches.accept_basic),
            status_person_id: Some(switches.status_person_id),
            api_error_field: ErrorField::of(switches),
            max_upload_file_bytes: Some(switches.max_upload_file_bytes),
            honour_idempotency_key: Some(switches.honour_idempotency_key),
            status_rate_limit: Nullable::of(limit),
            tier_parameter: Some(switches.tier_parameter.clone()),
            auto_consent: Some(switches.auto_consent),
            strand_after_verification: Some(switches.strand_after_verification),
            reject_redirect_uri: Some(switches.reject_redirect_uri),
            webhook_person_member: Some(switches.webhook_person_member.clone()),
            userinfo_wrapper: Nullable::of(switches.userinfo_wrapper.clone()),
            verified_at: Some(switches.verified_at),
            id_token_lifetime_seconds: Some(switches.id_token_lifetime.as_secs()),
            access_token_lifetime_seconds: Some(switches.access_token_lifetime.as_secs()),
            code_lifetime_seconds: Some(switches.code_lifetime.as_secs()),
            cache_max_age_seconds: Nullable::of(switches.cache_max_age.map(|age| age.as_secs())),
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

    /// Returns an error message if a value is invalid.
    pub(in crate::mock) fn problem(&self) -> Option<&'static str> {
        let header = self.webhook_header.as_deref()?;
        let is_name = HeaderName::from_bytes(header.as_bytes()).is_ok();
        (!is_name).then_some("`webhook_header` is not a valid header name")
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
        set(&mut to.honor_max_age, self.honor_max_age);
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
        set(&mut to.reject_redirect_uri, self.reject_redirect_uri);
        set(&mut to.webhook_person_member, self.webhook_person_member);
        self.userinfo_wrapper.set(&mut to.userinfo_wrapper, |it| it);
        set(&mut to.verified_at, self.verified_at);
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
