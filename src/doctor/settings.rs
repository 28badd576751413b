//! What can be seen in the settings alone. That they are valid was judged when they were read.

use super::report::{Check, Status};
use crate::{config::Config, secrets::LiveSecrets, webhook::WebhookVerifier};

pub(super) const REDIRECT_URI: &str = "redirect URI";
pub(super) const CLIENT: &str = "client";
pub(super) const WEBHOOK: &str = "webhook secret";
#[cfg(feature = "web")]
pub(super) const COOKIES: &str = "cookies";

pub(super) fn redirect_uri(config: &Config) -> Check {
    let uri = config.redirect_uri();
    if uri.scheme() != "https" {
        return Check::with(
            Status::Warn,
            REDIRECT_URI,
            format!("{uri} leads to this machine"),
            "Right for development. For people, register an https address and set KYCPORT_REDIRECT_URI",
        );
    }
    #[cfg(feature = "web")]
    if config.web.callback_path() != uri.path() {
        return Check::with(
            Status::Warn,
            REDIRECT_URI,
            format!(
                "{uri}, and the callback is served at {}",
                config.web.callback_path()
            ),
            "Right if a proxy rewrites the path in between",
        );
    }
    Check::ok(REDIRECT_URI, uri.as_str())
}

/// Whether the id and the secret are right shows when somebody signs in: KYCPort looks at them when
/// it is given a code, and refuses a made-up one. A reload spends such an attempt on a secret that
/// is new; a doctor that is run at every start and by every probe does not.
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
        "Sign in once: only a login shows whether KYCPort knows it, its secret and the redirect URI",
    )
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
            "there is none",
            "Set KYCPORT_WEBHOOK_SECRET if KYCPort delivers webhooks to this app",
        );
    }
    match verifier.build() {
        Ok(_) => Check::ok(WEBHOOK, format!("can be used: {}", names.join(", "))),
        Err(error) => Check::with(
            Status::Fail,
            WEBHOOK,
            error.to_string(),
            "Copy it from KYCPort's console",
        ),
    }
}

#[cfg(feature = "web")]
pub(super) fn cookies(config: &Config) -> Check {
    if config.redirect_uri().scheme() == "https" {
        Check::ok(
            COOKIES,
            "browsers keep them: they are Secure, and so is the app's address",
        )
    } else {
        Check::with(
            Status::Warn,
            COOKIES,
            "they are Secure, and the app's address is not https",
            "Chromium keeps them on this machine all the same; other browsers may not",
        )
    }
}
