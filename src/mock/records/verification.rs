//! Result of a verification on the mock's hosted page.

/// Action of a person on the verification page. The mock shows the verification page to a person
/// below the requested tier ([K15](crate::guide::contract), [K19](crate::guide::contract)).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Verification {
    /// The verification passes: the person is `verified` at the requested tier.
    Pass,
    /// The verification fails: the person is `rejected`.
    Fail,
    /// The person submits all documents and waits for the decision. The status is `pending` until
    /// the test calls [`Person::verify`](crate::mock::Person::verify) or
    /// [`Person::reject`](crate::mock::Person::reject).
    Pending,
    /// The person leaves the page without a verification. The status and the tier do not change.
    Skip,
}

impl Verification {
    const ALL: [Self; 4] = [Self::Pass, Self::Fail, Self::Pending, Self::Skip];

    /// Returns the value of the form field `verification`.
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
