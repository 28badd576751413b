//! Names of the settings in the builder and in the environment.

use super::error::Setting;

pub(super) const ISSUER: Setting = Setting::with_variable("issuer", "KYCPORT_ISSUER");
pub(super) const DISCOVERY_URL: Setting =
    Setting::with_variable("discovery_url", "KYCPORT_DISCOVERY_URL");
pub(super) const CLIENT_ID: Setting = Setting::with_variable("client_id", "KYCPORT_CLIENT_ID");
pub(super) const CLIENT_SECRET: Setting =
    Setting::with_variable("client_secret", "KYCPORT_CLIENT_SECRET");
pub(super) const REDIRECT_URI: Setting =
    Setting::with_variable("redirect_uri", "KYCPORT_REDIRECT_URI");
pub(super) const SCOPES: Setting = Setting::with_variable("scopes", "KYCPORT_SCOPES");
pub(super) const API_BASE_URL: Setting =
    Setting::with_variable("api_base_url", "KYCPORT_API_BASE_URL");
pub(super) const TENANT_API_KEY: Setting =
    Setting::with_variable("tenant_api_key", "KYCPORT_TENANT_API_KEY");
pub(super) const WEBHOOK_SECRET: Setting =
    Setting::with_variable("webhook_secret", "KYCPORT_WEBHOOK_SECRET");
pub(super) const PREVIOUS_WEBHOOK_SECRET: Setting =
    Setting::with_variable("previous_webhook_secret", "KYCPORT_WEBHOOK_SECRET_PREVIOUS");
pub(super) const ENDPOINT_ORIGIN: Setting = Setting::named("allow_endpoint_origin");
pub(super) const EXTRA_PARAMETER: Setting = Setting::named("authorize_parameter");
pub(super) const TIER_PARAMETER: Setting = Setting::named("tier_parameter");
pub(super) const USERINFO_MEMBER: Setting = Setting::named("userinfo_member");
pub(super) const STATUS_ALIAS: Setting = Setting::named("status_alias");
pub(super) const MAX_ATTEMPTS: Setting = Setting::named("max_attempts");
pub(super) const RETRY_DEADLINE: Setting = Setting::named("retry_deadline");
pub(super) const CLOCK_SKEW: Setting = Setting::named("clock_skew");
pub(super) const CONNECT_TIMEOUT: Setting = Setting::named("connect_timeout");
pub(super) const REQUEST_TIMEOUT: Setting = Setting::named("request_timeout");
pub(super) const TRUST_ONLY: Setting = Setting::named("trust_only");
pub(super) const MAX_UPLOAD_FILE: Setting = Setting::named("max_upload_file_bytes");
pub(super) const UPLOAD_TIMEOUT: Setting = Setting::named("upload_timeout");
pub(super) const CASE_POLL_INTERVAL: Setting = Setting::named("case_poll_interval");
pub(super) const MAX_CASE_POLL_INTERVAL: Setting = Setting::named("max_case_poll_interval");
pub(super) const LOGIN_LIFETIME: Setting = Setting::named("login_lifetime");
#[cfg(feature = "web")]
pub(super) const LOG_KEY: Setting = Setting::with_variable("log_key", "KYCPORT_LOG_KEY");
#[cfg(feature = "web")]
pub(super) const STORE: Setting = Setting::with_variable("store_url", "KYCPORT_STORE");
#[cfg(feature = "web")]
pub(super) const SESSION_KEYS: Setting =
    Setting::with_variable("session_keys", "KYCPORT_SESSION_KEYS");
#[cfg(feature = "web")]
pub(super) const APP_ORIGIN: Setting = Setting::named("allow_app_origin");
#[cfg(feature = "web")]
pub(super) const AUTH_PREFIX: Setting = Setting::named("auth_prefix");
#[cfg(feature = "web")]
pub(super) const CALLBACK_PATH: Setting = Setting::named("callback_path");
#[cfg(feature = "web")]
pub(super) const COOKIE_NAME: Setting = Setting::named("cookie_name");
#[cfg(feature = "web")]
pub(super) const ASSURANCE_MAX_AGE: Setting = Setting::named("assurance_max_age");
#[cfg(feature = "web")]
pub(super) const STEP_UP_LIFETIME: Setting = Setting::named("step_up_lifetime");
#[cfg(feature = "web")]
pub(super) const SESSION_IDLE_TIMEOUT: Setting = Setting::named("session_idle_timeout");
#[cfg(feature = "web")]
pub(super) const SESSION_LIFETIME: Setting = Setting::named("session_lifetime");
