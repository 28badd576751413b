//! How a verification at the mock ends.

/// What a person does on the verification page, which someone below the requested tier is shown
/// (K15, K19).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Verification {
    /// Verifies: from here the person is `verified`, to the tier that was asked for.
    Pass,
    /// Fails: from here the person is `rejected`.
    Fail,
    /// Hands everything in, and waits: from here the person is `pending`, until
    /// [`Person::verify`](crate::mock::Person::verify) or [`Person::reject`](crate::mock::Person::reject).
    Pending,
    /// Goes back without: nothing changes.
    Skip,
}

impl Verification {
    const ALL: [Self; 4] = [Self::Pass, Self::Fail, Self::Pending, Self::Skip];

    /// The value of the form's field `verification`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Fail => "fail",
            Self::Pending => "pending",
            Self::Skip => "skip",
        }
    }

    pub(in crate::mock) fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|it| it.as_str() == text)
    }
}
