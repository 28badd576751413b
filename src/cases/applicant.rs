//! What the applicant said of themselves, and no verdict about them (K51, K53).

use std::fmt;

use crate::wire::cases::APPLICANT_PREFIX;

/// The most fields there are.
const MOST_FIELDS: usize = 32;
/// The longest name, without the prefix, in bytes.
const LONGEST_NAME: usize = 64;
/// The longest value, in bytes.
const LONGEST_VALUE: usize = 1024;

/// `applicant_*` fields: what the applicant said of themselves.
///
/// What reads like a verdict has no place in it, so that nobody's own score reaches KYCPort as if it
/// were one (K53).
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Applicant {
    fields: Vec<(String, String)>,
}

/// Why a field cannot be sent. Names the field, never its value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ApplicantError {
    /// The name reads like a verdict, and verdicts are KYCPort's.
    #[error("a field is named like a verdict, which KYCPort alone computes")]
    Verdict,
    /// The name is not made of `a` to `z`, digits and `_`, or is longer than 64 bytes.
    #[error("a field's name is not one: a to z, digits and _, 64 bytes at most")]
    Name,
    /// The value is longer than 1 KiB or has control characters in it.
    #[error("a field's value is longer than 1024 bytes, or has control characters in it")]
    Value,
    /// The field is there already.
    #[error("a field is there twice")]
    Twice,
    /// There are 32 already.
    #[error("there are more than 32 fields")]
    TooMany,
}

impl Applicant {
    /// Nothing said.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds `applicant_{name}`; the prefix may be given or left out.
    ///
    /// # Errors
    /// [`ApplicantError`] if it reads like a verdict, or is no field.
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
        if name.is_empty() || name.len() > LONGEST_NAME || !name.bytes().all(is_plain) {
            return Err(ApplicantError::Name);
        }
        if value.len() > LONGEST_VALUE || value.contains(char::is_control) {
            return Err(ApplicantError::Value);
        }
        let name = format!("{APPLICANT_PREFIX}{name}");
        if self.fields.iter().any(|(known, _)| *known == name) {
            return Err(ApplicantError::Twice);
        }
        if self.fields.len() >= MOST_FIELDS {
            return Err(ApplicantError::TooMany);
        }
        self.fields.push((name, value));
        Ok(self)
    }

    pub(super) fn fields(&self) -> &[(String, String)] {
        &self.fields
    }
}

/// Shows how much was said, and nothing of it.
impl fmt::Debug for Applicant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Applicant({} fields)", self.fields.len())
    }
}

/// Words that no name of a field has which is not a verdict's, or a part of one.
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
/// Names that are verdicts by themselves, and words of people's lives within longer ones
/// (`marital_status`, `exam_result`).
const VERDICT_NAMES: [&str; 7] = [
    "status", "result", "results", "match", "passed", "level", "tier",
];
/// Of what is checked about a person.
const CHECKED: [&str; 6] = [
    "face",
    "document",
    "selfie",
    "identity",
    "verification",
    "case",
];

/// Whether a name says that something was judged, in any way of writing it: `faceMatch`,
/// `face-match`, `FACE_MATCH`.
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
    fn a_verdict_cannot_be_said() {
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
            let said = Applicant::new().field(name, "approved");
            assert_eq!(said.unwrap_err(), ApplicantError::Verdict, "{name}");
        }
    }

    #[test]
    fn what_people_say_of_themselves_can_be() {
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
    fn what_is_no_field_is_refused() {
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
