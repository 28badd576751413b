//! Installs faults. The guard of a fault checks that a request or delivery hit the fault.

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

/// Rule that defines a fault. The mock applies the fault after the test has installed the rule.
#[must_use = "call `once`, `times` or `always` to install the fault"]
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

    /// Adds a `Retry-After` header, in seconds.
    pub fn retry_after(self, seconds: u64) -> Self {
        self.add_header("retry-after", &seconds.to_string())
    }

    /// Adds a header to the response or to the delivery. The mock omits a header with an invalid
    /// name or value.
    pub fn add_header(mut self, name: &str, value: &str) -> Self {
        if let (Ok(name), Ok(value)) = (
            HeaderName::from_bytes(name.as_bytes()),
            HeaderValue::from_str(value),
        ) {
            self.headers.push((name, value));
        }
        self
    }

    /// Sets the name of the fault. The panic message contains this name if the fault was never hit.
    pub fn named(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }

    /// Makes the fault optional. The guard then does not panic if the fault was never hit.
    pub fn optional(mut self) -> Self {
        self.optional = true;
        self
    }

    /// Installs the fault for the next request only.
    pub fn once(self) -> Fault {
        self.install(Some(1))
    }

    /// Installs the fault for the next `times` requests.
    pub fn times(self, times: u64) -> Fault {
        self.install(Some(times))
    }

    /// Installs the fault for all requests until the test drops the guard.
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

/// Guard of an installed fault. Dropping the guard removes the fault.
///
/// Dropping the guard panics if no request or delivery hit the fault. Otherwise the test would pass
/// without the fault. An [`optional`](Rule::optional) fault does not panic.
#[must_use = "a dropped guard removes its fault immediately: bind it to a variable, or `keep` it"]
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

    /// Returns the number of requests or deliveries that the fault affected.
    pub fn hits(&self) -> u64 {
        self.rule.hits()
    }

    /// Asserts that the fault was hit.
    ///
    /// # Panics
    /// Panics if the fault was never hit.
    #[track_caller]
    pub fn assert_hit(&self) {
        assert!(
            self.hits() > 0,
            "the fault `{}` was never hit",
            self.rule.name
        );
    }

    /// Removes the fault now.
    ///
    /// # Panics Panics if no request or delivery hit the fault, and the fault is not
    /// [optional](Rule::optional).
    pub fn remove(self) {
        drop(self);
    }

    /// Keeps the fault installed until the issuer stops. The guard then does not check whether a
    /// request or delivery hit the fault.
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
        // Do not panic while the test already panics.
        assert!(
            self.hits() > 0 || self.optional || thread::panicking(),
            "the fault `{}` was never hit; bind its guard to a variable other than \
             `_`, and check that the test sends the request",
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
