//! Validation of secrets from any source.

use super::{kind::SecretKind, webhook::MIN_WEBHOOK_SECRET_BYTES};

/// Reason why a text cannot be used as a secret. The reason never contains any part of the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidSecret {
    /// The text is empty or contains only white space.
    #[error("is blank")]
    Blank,
    /// The text has white space before or after the secret. A file may end in one newline.
    #[error("has white space before or after it")]
    WhiteSpace,
    /// The text contains a control character.
    #[error("contains a control character")]
    ControlCharacter,
    /// The text is in quotation marks, as in a shell script.
    #[error("is in quotation marks")]
    Quoted,
    /// The text has the form `NAME=value`, like a line of an environment file. The text must be
    /// only the value.
    #[error("begins with NAME=, like a line of an environment file")]
    Assignment,
    /// The webhook secret has fewer than 16 bytes. An attacker who sees one delivery could guess a
    /// secret of fewer than 16 bytes (K80).
    #[error("is shorter than {MIN_WEBHOOK_SECRET_BYTES} bytes")]
    Short,
    /// The webhook secret does not have the encoding that the signature scheme requires.
    #[error("does not have the encoding of the signature scheme")]
    Encoding,
    /// The file is not UTF-8.
    #[error("is not UTF-8")]
    NotText,
    /// The file is larger than 64 KiB.
    #[error("is larger than 64 KiB")]
    TooLarge,
}

impl InvalidSecret {
    pub(crate) fn in_secret(kind: SecretKind, text: &str) -> Option<Self> {
        let is_webhook = matches!(
            kind,
            SecretKind::WebhookSecret | SecretKind::PreviousWebhookSecret
        );
        let is_short = is_webhook && text.len() < MIN_WEBHOOK_SECRET_BYTES;
        Self::in_text(text).or(is_short.then_some(Self::Short))
    }

    /// Returns the first general rule that the text breaks. The general rules apply to every kind
    /// of secret.
    pub(crate) fn in_text(text: &str) -> Option<Self> {
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

/// Returns whether the text begins with the name of a variable, such as `KYCPORT_CLIENT_SECRET=`.
///
/// A secret may contain `=` and may end in `=`. The function therefore treats the text before `=`
/// as a name only if the text is in capitals, contains an underscore, and precedes a value.
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
