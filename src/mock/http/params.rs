//! Parameters of a query or a form. A valid request contains each parameter at most once.

use url::form_urlencoded;

/// Parameters in the order of the request.
#[derive(Debug, Clone, Default)]
pub(in crate::mock) struct Params(Vec<(String, String)>);

impl Params {
    pub(in crate::mock) fn parse(bytes: &[u8]) -> Self {
        Self(form_urlencoded::parse(bytes).into_owned().collect())
    }

    /// Returns the value of a parameter that occurs exactly once and is not empty.
    pub(in crate::mock) fn get(&self, name: &str) -> Option<&str> {
        let mut values = self.values(name);
        let first = values.next()?;
        (values.next().is_none() && !first.is_empty()).then_some(first)
    }

    pub(in crate::mock) fn has(&self, name: &str) -> bool {
        self.values(name).next().is_some()
    }

    /// Returns the first violation of RFC 6749 section 3.1 or of the mock's limits for values
    /// (K26).
    pub(in crate::mock) fn problem(&self) -> Option<String> {
        for (place, (name, value)) in self.0.iter().enumerate() {
            let twice = self.0.iter().skip(place).filter(|(n, _)| n == name).count() > 1;
            let name = printable(name);
            if twice {
                return Some(format!("`{name}` occurs more than once"));
            }
            if value.len() > MAX_VALUE {
                return Some(format!("`{name}` is longer than {MAX_VALUE} bytes"));
            }
            if value.contains(|c: char| c.is_control() || c == char::REPLACEMENT_CHARACTER) {
                return Some(format!(
                    "`{name}` contains control characters or invalid UTF-8"
                ));
            }
        }
        None
    }

    /// Returns the first of `names` that has an empty value (K27).
    pub(in crate::mock) fn empty<'a>(&self, names: &[&'a str]) -> Option<&'a str> {
        names
            .iter()
            .copied()
            .find(|name| self.values(name).any(str::is_empty))
    }

    pub(in crate::mock) fn pairs(&self) -> &[(String, String)] {
        &self.0
    }

    fn values(&self, name: &str) -> impl Iterator<Item = &str> {
        self.0
            .iter()
            .filter(move |(n, _)| n == name)
            .map(|(_, value)| value.as_str())
    }
}

/// Escapes a parameter name for an error text.
fn printable(name: &str) -> String {
    name.chars().filter(|c| !c.is_control()).take(40).collect()
}

/// Maximum size of a value in bytes. No relying party sends a longer value. The limit bounds the
/// size of the request log.
const MAX_VALUE: usize = 2048;
