//! Parameters of a query or a form, each at most once.

use url::form_urlencoded;

/// Parameters in the order they came.
#[derive(Debug, Clone, Default)]
pub(in crate::mock) struct Params(Vec<(String, String)>);

impl Params {
    pub(in crate::mock) fn parse(bytes: &[u8]) -> Self {
        Self(form_urlencoded::parse(bytes).into_owned().collect())
    }

    /// The value of a parameter that came exactly once and is not empty.
    pub(in crate::mock) fn get(&self, name: &str) -> Option<&str> {
        let mut values = self.values(name);
        let first = values.next()?;
        (values.next().is_none() && !first.is_empty()).then_some(first)
    }

    pub(in crate::mock) fn has(&self, name: &str) -> bool {
        self.values(name).next().is_some()
    }

    /// What RFC 6749 section 3.1 forbids of any parameter, and what no sane one needs (K26).
    pub(in crate::mock) fn flaw(&self) -> Option<String> {
        for (place, (name, value)) in self.0.iter().enumerate() {
            let twice = self.0.iter().skip(place).filter(|(n, _)| n == name).count() > 1;
            let name = printable(name);
            if twice {
                return Some(format!("`{name}` came more than once"));
            }
            if value.len() > MAX_VALUE {
                return Some(format!("`{name}` is longer than {MAX_VALUE} bytes"));
            }
            if value.contains(|c: char| c.is_control() || c == char::REPLACEMENT_CHARACTER) {
                return Some(format!("`{name}` has control characters or is not UTF-8"));
            }
        }
        None
    }

    /// The first of `names` that came without a value (K27).
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

/// A name that may stand in an error text.
fn printable(name: &str) -> String {
    name.chars().filter(|c| !c.is_control()).take(40).collect()
}

/// Longer than anything a sane relying party sends, shorter than what fills a log.
const MAX_VALUE: usize = 2048;
