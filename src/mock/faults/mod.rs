//! Faults: how often something goes wrong, and whether it did.

mod deliveries;
pub(super) mod gate;
pub(super) mod held;
pub(super) mod on;
pub(super) mod on_accept;
pub(super) mod tokens;

use std::{
    fmt::{self, Debug},
    sync::Arc,
    thread,
};

use axum::http::{HeaderName, HeaderValue};

use crate::mock::core::{
    Core,
    rules::{Effect, Installed, Place},
};

/// What is to go wrong, and not yet how often.
#[must_use = "a fault is installed by `once`, `times` or `always`"]
pub struct Rule {
    core: Arc<Core>,
    name: String,
    place: Place,
    effect: Effect,
    headers: Vec<(HeaderName, HeaderValue)>,
    optional: bool,
}

impl Rule {
    pub(super) fn new(core: Arc<Core>, name: String, place: Place, effect: Effect) -> Self {
        Self {
            core,
            name,
            place,
            effect,
            headers: Vec::new(),
            optional: false,
        }
    }

    /// Adds `Retry-After`, in seconds.
    pub fn retry_after(self, seconds: u64) -> Self {
        self.add_header("retry-after", &seconds.to_string())
    }

    /// Adds a header to the answer, or to the delivery. What cannot stand in a header is left out.
    pub fn add_header(mut self, name: &str, value: &str) -> Self {
        if let (Ok(name), Ok(value)) = (
            HeaderName::from_bytes(name.as_bytes()),
            HeaderValue::from_str(value),
        ) {
            self.headers.push((name, value));
        }
        self
    }

    /// Names the fault, for the message when it was never hit.
    pub fn named(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }

    /// It is no failure of the test if this is never hit.
    pub fn optional(mut self) -> Self {
        self.optional = true;
        self
    }

    /// Installs it for the next request alone.
    pub fn once(self) -> Fault {
        self.install(Some(1))
    }

    /// Installs it for the next `times` requests.
    pub fn times(self, times: u64) -> Fault {
        self.install(Some(times))
    }

    /// Installs it for as long as the guard lives.
    pub fn always(self) -> Fault {
        self.install(None)
    }

    fn install(self, times: Option<u64>) -> Fault {
        let rule = Installed::new(self.name, self.place, self.effect, self.headers, times);
        let rule = Arc::new(rule);
        self.core.rules().install(&rule);
        Fault {
            core: self.core,
            rule,
            optional: self.optional,
            kept: false,
        }
    }
}

impl Debug for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Rule").field(&self.name).finish()
    }
}

/// An installed fault. It is gone when this is dropped.
///
/// A fault that was never hit fails the test when it is dropped, with its name: a test whose fault
/// did not happen shows nothing. [`optional`](Rule::optional) says otherwise.
#[must_use = "a fault is gone as soon as its guard is dropped: bind it, or `keep` it"]
pub struct Fault {
    core: Arc<Core>,
    rule: Arc<Installed>,
    optional: bool,
    kept: bool,
}

impl Fault {
    pub(super) fn name(&self) -> &str {
        &self.rule.name
    }

    pub(super) fn left(&self) -> Option<u64> {
        self.rule.left()
    }

    /// How often it was hit.
    pub fn hits(&self) -> u64 {
        self.rule.hits()
    }

    /// Asserts that it was hit.
    ///
    /// # Panics
    /// If it was not.
    #[track_caller]
    pub fn assert_hit(&self) {
        assert!(
            self.hits() > 0,
            "the fault `{}` was never hit",
            self.rule.name
        );
    }

    /// Ends it now.
    ///
    /// # Panics
    /// As dropping does.
    pub fn remove(self) {
        drop(self);
    }

    /// Leaves it installed for as long as the issuer lives, hit or not.
    pub fn keep(mut self) {
        self.kept = true;
    }
}

impl Drop for Fault {
    fn drop(&mut self) {
        if self.kept {
            return;
        }
        self.core.rules().remove(&self.rule);
        // A test that fails already fails for its own reason.
        assert!(
            self.hits() > 0 || self.optional || thread::panicking(),
            "the fault `{}` was never hit; is its guard bound to a name other than `_`, and does \
             the test get there?",
            self.rule.name
        );
    }
}

impl Debug for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fault")
            .field("name", &self.rule.name)
            .field("hits", &self.hits())
            .finish_non_exhaustive()
    }
}
