//! Settings from the environment.

use super::{
    builder::ConfigBuilder,
    error::{ConfigError, Setting},
    names, rules,
};
use crate::secret::Secret;

/// Reads all settings that have an environment variable. `read` returns the value of a variable.
/// Rejects values that are blank or surrounded by white space.
pub(super) fn from_variables(
    read: impl Fn(&'static str) -> Option<String>,
) -> Result<ConfigBuilder, ConfigError> {
    let get = |setting: Setting| -> Result<Option<String>, ConfigError> {
        let value = setting.variable.and_then(&read);
        if let Some(value) = &value {
            rules::clean(setting, value)?;
        }
        Ok(value)
    };
    let require = |setting: Setting, example: &'static str| {
        get(setting)?.ok_or_else(|| setting.refuse("the variable is not set", example))
    };
    let mut builder = ConfigBuilder::new(
        require(
            names::CLIENT_ID,
            "Set the variable to the client id from KYCPort's console",
        )?,
        require(
            names::REDIRECT_URI,
            "Set the variable to the registered redirect URI, like https://app.example.com/auth/callback",
        )?,
    );
    builder.issuer = get(names::ISSUER)?;
    builder.discovery_url = get(names::DISCOVERY_URL)?;
    builder.api_base_url = get(names::API_BASE_URL)?;
    builder.client_secret = get(names::CLIENT_SECRET)?.map(Secret::new);
    builder.tenant_api_key = get(names::TENANT_API_KEY)?.map(Secret::new);
    builder.webhook_secret = get(names::WEBHOOK_SECRET)?.map(Secret::new);
    builder.previous_webhook_secret = get(names::PREVIOUS_WEBHOOK_SECRET)?.map(Secret::new);
    builder.scopes =
        get(names::SCOPES)?.map(|scopes| scopes.split_whitespace().map(str::to_owned).collect());
    #[cfg(feature = "web")]
    {
        builder.web.log_key = get(names::LOG_KEY)?.map(Secret::new);
        builder.web.store_url = get(names::STORE)?;
        builder.web.sealing_keys_text = get(names::SESSION_KEYS)?.map(Secret::new);
    }
    Ok(builder)
}
