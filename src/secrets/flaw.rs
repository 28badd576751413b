//! What a secret must be, wherever it comes from.

use super::{kind::SecretKind, webhook::MIN_WEBHOOK_SECRET_BYTES};

/// Why a text cannot be a secret. Nothing of it is in here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SecretFlaw {
    /// Nothing, or nothing but white space.
    #[error("it is blank")]
    Blank,
    /// White space before or after it. A file may end in one newline.
    #[error("there is white space before or after it")]
    WhiteSpace,
    /// A control character in it.
    #[error("there is a control character in it")]
    ControlCharacter,
    /// Quotation marks around it, as they stand in a file for a shell.
    #[error("there are quotation marks around it")]
    Quoted,
    /// `NAME=value`: a line of an environment file, where the value alone is expected.
    #[error("it begins with NAME=, like a line of an environment file")]
    Assignment,
    /// A webhook secret of less than 16 bytes: who has seen one delivery could guess it (K80).
    #[error("it is shorter than {MIN_WEBHOOK_SECRET_BYTES} bytes")]
    Short,
    /// It is not UTF-8.
    #[error("it is not UTF-8")]
    NotText,
    /// A file of more than 64 KiB: that is no secret.
    #[error("it is larger than 64 KiB")]
    TooLarge,
}

impl SecretFlaw {
    pub(crate) fn of(kind: SecretKind, text: &str) -> Option<Self> {
        let is_webhook = matches!(
            kind,
            SecretKind::WebhookSecret | SecretKind::PreviousWebhookSecret
        );
        let is_short = is_webhook && text.len() < MIN_WEBHOOK_SECRET_BYTES;
        Self::of_text(text).or(is_short.then_some(Self::Short))
    }

    /// What is wrong with it whatever it is for.
    pub(crate) fn of_text(text: &str) -> Option<Self> {
        if text.trim().is_empty() {
            Some(Self::Blank)
        } else if text.trim() != text {
            Some(Self::WhiteSpace)
        } else if text.chars().any(char::is_control) {
            Some(Self::ControlCharacter)
        } else if ['"', '\'', '`']
            .into_iter()
            .any(|quote| text.len() > 1 && text.starts_with(quote) && text.ends_with(quote))
        {
            Some(Self::Quoted)
        } else if is_assignment(text) {
            Some(Self::Assignment)
        } else {
            None
        }
    }
}

/// Whether the text begins with the name of a variable, such as `KYCPORT_CLIENT_SECRET=`. A secret
/// may contain `=` and end in it, so that only names in capitals with an underscore count, and only
/// with a value after them.
fn is_assignment(text: &str) -> bool {
    let text = text.strip_prefix("export ").unwrap_or(text);
    let Some((name, value)) = text.split_once('=') else {
        return false;
    };
    name.starts_with(|first: char| first.is_ascii_uppercase())
        && name.contains('_')
        && name
            .bytes()
            .all(|byte| matches!(byte, b'A'..=b'Z' | b'0'..=b'9' | b'_'))
        && !value.trim_matches('=').is_empty()
}
