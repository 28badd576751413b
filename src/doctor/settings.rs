//! Checks of the settings alone. The configuration has already validated the syntax of the
//! settings.

use super::report::{Check, Status};
use crate::{config::Config, secrets::LiveSecrets, webhook::WebhookVerifier};

pub(super) const REDIRECT_URI: &str = "redirect URI";
pub(super) const CLIENT: &str = "client";
pub(super) const STATUS_ALIASES: &str = "status aliases";
pub(super) const WEBHOOK: &str = "webhook secret";
#[cfg(feature = "web")]
pub(super) const COOKIES: &str = "cookies";

pub(super) fn redirect_uri(config: &Config) -> Check {
    let uri = config.redirect_uri();
    if uri.scheme() != "https" {
        return Check::with(
            Status::Warn,
            REDIRECT_URI,
            format!("{uri} points to this machine"),
            "This is correct for development. For production, register an https URL and set KYCPORT_REDIRECT_URI",
        );
    }
    if uri.path().ends_with('/') {
        return Check::with(
            Status::Warn,
            REDIRECT_URI,
            format!("{uri} ends in a slash"),
            "Register the redirect URI in KYCPort's console at /console: exactly, HTTPS, no trailing slash",
        );
    }
    #[cfg(feature = "web")]
    if config.web.callback_path() != uri.path() {
        return Check::with(
            Status::Warn,
            REDIRECT_URI,
            format!(
                "{uri}, but the app serves the callback at {}",
                config.web.callback_path()
            ),
            "This is correct if a proxy rewrites the path",
        );
    }
    Check::ok(
        REDIRECT_URI,
        format!("{uri}, which KYCPort's console at /console must list exactly"),
    )
}

/// Describes the client. KYCPort validates the client id and the secret only at sign-in, when it
/// receives a code.
///
/// A reload checks a new secret with an invalid code. The doctor sends no request with an invalid
/// code, because the doctor may run at every start and for every probe.
pub(super) fn client(config: &Config, secrets: &LiveSecrets) -> Check {
    let kind = if secrets.client.current().is_some() {
        "with a secret"
    } else if secrets.client.next_untried(&[]).is_some() {
        "with a secret that is not proven yet"
    } else {
        "without a secret, as a public client"
    };
    Check::with(
        Status::NotChecked,
        CLIENT,
        format!("{} {kind}", config.client_id()),
        "Sign in once: only a sign-in shows whether KYCPort knows the client, its secret and the redirect URI",
    )
}

/// Warns about aliases that let people pass guards. Returns `None` if no alias means "verified".
pub(super) fn status_aliases(config: &Config) -> Option<Check> {
    let words = config.oidc.status_aliases.verified_words().join(", ");
    (!words.is_empty()).then(|| {
        Check::with(
            Status::Warn,
            STATUS_ALIASES,
            format!("people with the status {words} pass guards"),
            "This is correct if KYCPort uses these words for verified people",
        )
    })
}

pub(super) fn webhook_secret(config: &Config, secrets: &LiveSecrets) -> Check {
    let (_, secrets) = secrets.webhook.active();
    let now = config.clock.now();
    let mut verifier = WebhookVerifier::builder();
    let mut names = Vec::new();
    for active in secrets {
        if active.until.is_none_or(|until| now < until) {
            verifier = verifier.secret(&active.name, active.secret);
            names.push(active.name);
        }
    }
    if names.is_empty() {
        return Check::with(
            Status::NotChecked,
            WEBHOOK,
            "no webhook secret is configured",
            "Set KYCPORT_WEBHOOK_SECRET if KYCPort delivers webhooks to this app",
        );
    }
    match verifier.build() {
        Ok(_) => Check::ok(WEBHOOK, format!("configured: {}", names.join(", "))),
        Err(error) => Check::with(
            Status::Fail,
            WEBHOOK,
            error.to_string(),
            "Copy the secret from KYCPort's console",
        ),
    }
}

#[cfg(feature = "web")]
pub(super) fn cookies(config: &Config) -> Check {
    if config.redirect_uri().scheme() == "https" {
        Check::ok(
            COOKIES,
            "browsers accept Secure cookies, because the app's URL is https",
        )
    } else {
        Check::with(
            Status::Warn,
            COOKIES,
            "the cookies are Secure, but the app's URL is not https",
            "Chromium accepts Secure cookies from loopback addresses; other browsers may not",
        )
    }
}
