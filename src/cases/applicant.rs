//! Fields that the applicant filled in (K51). A field must not be a verdict (K53).

use std::fmt;

use crate::wire::cases::APPLICANT_PREFIX;

/// Maximum number of fields.
const MAX_FIELDS: usize = 32;
/// Maximum length of a name without the prefix, in bytes.
const MAX_NAME_BYTES: usize = 64;
/// Maximum length of a value, in bytes.
const MAX_VALUE_BYTES: usize = 1024;

/// Fields that the applicant filled in, sent as `applicant_*`.
///
/// A field with the name of a verdict, such as `face_match`, is an error, because only KYCPort
/// computes verdicts (K53).
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Applicant {
    fields: Vec<(String, String)>,
}

/// Error for an invalid applicant field. The error does not contain the value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ApplicantError {
    /// The field has the name of a verdict, and only KYCPort computes verdicts.
    #[error("the name of a field is the name of a verdict, and only KYCPort computes verdicts")]
    Verdict,
    /// The name contains characters other than `a` to `z`, digits and `_`, or is longer than 64
    /// bytes.
    #[error("the name of a field must be 1 to 64 characters: a to z, digits and _")]
    Name,
    /// The value is longer than 1 KiB or contains control characters.
    #[error("the value of a field is longer than 1024 bytes or contains control characters")]
    Value,
    /// The name is already in use.
    #[error("two fields have the same name")]
    Twice,
    /// The list already has the maximum of 32 fields.
    #[error("there are more than 32 fields")]
    TooMany,
}

impl Applicant {
    /// Creates an empty list of fields.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds the field `applicant_{name}`. The prefix in `name` is optional.
    ///
    /// # Errors
    /// Returns [`ApplicantError`] if the name or the value is not allowed.
    pub fn field(
        mut self,
        name: impl AsRef<str>,
        value: impl Into<String>,
    ) -> Result<Self, ApplicantError> {
        let name = name.as_ref();
        let name = name.strip_prefix(APPLICANT_PREFIX).unwrap_or(name);
        let value = value.into();
        if is_verdict(name) {
            return Err(ApplicantError::Verdict);
        }
        let is_plain = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_');
        if name.is_empty() || name.len() > MAX_NAME_BYTES || !name.bytes().all(is_plain) {
            return Err(ApplicantError::Name);
        }
        if value.len() > MAX_VALUE_BYTES || value.contains(char::is_control) {
            return Err(ApplicantError::Value);
        }
        let name = format!("{APPLICANT_PREFIX}{name}");
        if self.fields.iter().any(|(known, _)| *known == name) {
            return Err(ApplicantError::Twice);
        }
        if self.fields.len() >= MAX_FIELDS {
            return Err(ApplicantError::TooMany);
        }
        self.fields.push((name, value));
        Ok(self)
    }

    pub(super) fn fields(&self) -> &[(String, String)] {
        &self.fields
    }
}

/// `Debug` shows the number of fields, and hides their contents.
impl fmt::Debug for Applicant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Applicant({} fields)", self.fields.len())
    }
}

/// Words of verdicts: a name with one of these words is a verdict.
const VERDICT_WORDS: [&str; 24] = [
    "verdict",
    "outcome",
    "decision",
    "decided",
    "score",
    "scores",
    "confidence",
    "approved",
    "approve",
    "rejected",
    "reject",
    "verified",
    "risk",
    "liveness",
    "fraud",
    "spoof",
    "deepfake",
    "aml",
    "kyc",
    "sanctions",
    "automation",
    "forensics",
    "similarity",
    "dedup",
];
/// Ambiguous words. A name with one of these words is a verdict only if the name has no other word,
/// or also contains a word of [`CHECKED`]. Other names with these words are allowed, such as
/// `marital_status`.
const VERDICT_NAMES: [&str; 7] = [
    "status", "result", "results", "match", "passed", "level", "tier",
];
/// Words for the objects that KYCPort checks.
const CHECKED: [&str; 6] = [
    "face",
    "document",
    "selfie",
    "identity",
    "verification",
    "case",
];

/// Returns whether the name is the name of a verdict, in any spelling: `faceMatch`, `face-match`,
/// `FACE_MATCH`.
fn is_verdict(name: &str) -> bool {
    let words = words(name);
    let has = |list: &[&str]| words.iter().any(|word| list.contains(&word.as_str()));
    let is_one_word = words.len() == 1;
    has(&VERDICT_WORDS) || (has(&VERDICT_NAMES) && (is_one_word || has(&CHECKED)))
}

fn words(name: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut was_lower = false;
    for letter in name.chars() {
        let begins = !letter.is_alphanumeric() || (letter.is_uppercase() && was_lower);
        if begins {
            words.push(String::new());
        }
        if letter.is_alphanumeric()
            && let Some(word) = words.last_mut()
        {
            word.extend(letter.to_lowercase());
        }
        was_lower = letter.is_lowercase();
    }
    words.retain(|word| !word.is_empty());
    words
}

#[cfg(test)]
mod tests {
    use super::{Applicant, ApplicantError};

    #[test]
    fn names_of_verdicts_are_rejected() {
        for name in [
            "outcome",
            "applicant_outcome",
            "verdict",
            "risk_level",
            "riskLevel",
            "kyc_status",
            "kyc_tier",
            "status",
            "result",
            "match",
            "face_match",
            "faceMatch",
            "face-match",
            "FACE_MATCH",
            "human_verified",
            "liveness_score",
            "score",
            "automation_tier",
            "document_result",
            "verification_status",
            "aml_clear",
            "decision",
            "level",
            "tier",
            "approved",
            "fraud_score",
            "match_confidence",
        ] {
            let result = Applicant::new().field(name, "approved");
            assert_eq!(result.unwrap_err(), ApplicantError::Verdict, "{name}");
        }
    }

    #[test]
    fn names_of_personal_details_are_accepted() {
        for name in [
            "given_name",
            "applicant_family_name",
            "birth_date",
            "document_type",
            "document_number",
            "marital_status",
            "employment_status",
            "country",
            "address_line_1",
            "passport_number",
            "tax_id",
            "match_day",
        ] {
            Applicant::new().field(name, "x").unwrap();
        }
    }

    #[test]
    fn invalid_fields_are_rejected() {
        let long = "a".repeat(65);
        for (name, value, error) in [
            ("", "x", ApplicantError::Name),
            ("applicant_", "x", ApplicantError::Name),
            ("Given", "x", ApplicantError::Name),
            ("given\r\nname", "x", ApplicantError::Name),
            ("given\"name", "x", ApplicantError::Name),
            (long.as_str(), "x", ApplicantError::Name),
            ("given_name", "a\nb", ApplicantError::Value),
            ("given_name", &"x".repeat(1025), ApplicantError::Value),
        ] {
            assert_eq!(Applicant::new().field(name, value).unwrap_err(), error);
        }
        let mut full = Applicant::new();
        for i in 0..32 {
            full = full.field(format!("line_{i}"), "x").unwrap();
        }
        assert_eq!(
            full.clone().field("line_0", "y").unwrap_err(),
            ApplicantError::Twice
        );
        assert_eq!(
            full.field("line_32", "y").unwrap_err(),
            ApplicantError::TooMany
        );
    }
}
