//! Location of the file.

use std::path::PathBuf;

/// Invalid location. The error contains no part of the location.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidSqliteLocation {
    /// The location is empty, or is a URL without a path or with an invalid escape.
    #[error(
        "the location of the store is malformed: expected a path, or sqlite:///path/to/file.db"
    )]
    Malformed,
    /// The URL has a parameter or a fragment, which are not supported.
    #[error("the URL of the store has a parameter: SQLite URLs have no parameters")]
    Parameter,
    /// The location is an in-memory database, which belongs to one connection.
    #[error("in-memory SQLite databases are not supported: use the memory store")]
    Memory,
}

/// Parses a path, or a URL: `sqlite:///absolute/path`, `sqlite://relative/path` or
/// `sqlite:relative/path`.
pub(super) fn parse(location: &str) -> Result<PathBuf, InvalidSqliteLocation> {
    let path = match location.strip_prefix("sqlite:") {
        Some(rest) => {
            if rest.contains(['?', '#']) {
                return Err(InvalidSqliteLocation::Parameter);
            }
            decode(rest.strip_prefix("//").unwrap_or(rest))?
        }
        None => location.to_owned(),
    };
    if path.contains(":memory:") {
        return Err(InvalidSqliteLocation::Memory);
    }
    let is_directory = path.ends_with(['/', '\\']);
    // SQLite interprets a location with `file:` as a special URL with parameters.
    if path.is_empty() || is_directory || path.starts_with("file:") || path.contains('\0') {
        return Err(InvalidSqliteLocation::Malformed);
    }
    Ok(PathBuf::from(path))
}

/// Decodes the escapes of a URL's path.
fn decode(path: &str) -> Result<String, InvalidSqliteLocation> {
    let malformed = InvalidSqliteLocation::Malformed;
    let mut decoded = Vec::with_capacity(path.len());
    let mut bytes = path.bytes();
    while let Some(byte) = bytes.next() {
        if byte != b'%' {
            decoded.push(byte);
            continue;
        }
        let digits = [bytes.next(), bytes.next()].map(Option::unwrap_or_default);
        let mut byte = [0];
        base16ct::mixed::decode(digits, &mut byte).map_err(|_| malformed)?;
        decoded.extend_from_slice(&byte);
    }
    String::from_utf8(decoded).map_err(|_| malformed)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use url::Url;

    use super::{InvalidSqliteLocation, parse};

    #[test]
    fn a_location_names_a_file() {
        for (location, path) in [
            (
                "sqlite:///var/lib/app/kycport.db",
                "/var/lib/app/kycport.db",
            ),
            ("sqlite://data/kycport.db", "data/kycport.db"),
            ("sqlite:kycport.db", "kycport.db"),
            ("sqlite:///a%20b%23.db", "/a b#.db"),
            ("/var/lib/app/100%?.db", "/var/lib/app/100%?.db"),
            ("kycport.db", "kycport.db"),
        ] {
            assert_eq!(parse(location).unwrap(), Path::new(path), "{location}");
        }
        let odd = "/tmp/ä %41?#.db";
        let url = Url::from_file_path(odd).unwrap();
        let url = url.as_str().replacen("file:", "sqlite:", 1);
        assert_eq!(parse(&url).unwrap(), Path::new(odd));
    }

    #[test]
    fn invalid_locations_are_rejected() {
        for (location, error) in [
            ("", InvalidSqliteLocation::Malformed),
            ("sqlite:", InvalidSqliteLocation::Malformed),
            ("sqlite:///data/", InvalidSqliteLocation::Malformed),
            ("sqlite:///a%2", InvalidSqliteLocation::Malformed),
            ("sqlite:///a%ff", InvalidSqliteLocation::Malformed),
            ("sqlite:///a%00b", InvalidSqliteLocation::Malformed),
            ("file:a.db?mode=memory", InvalidSqliteLocation::Malformed),
            ("sqlite:///a.db?mode=ro", InvalidSqliteLocation::Parameter),
            ("sqlite://a.db#x", InvalidSqliteLocation::Parameter),
            ("sqlite::memory:", InvalidSqliteLocation::Memory),
            (":memory:", InvalidSqliteLocation::Memory),
        ] {
            assert_eq!(parse(location), Err(error), "{location}");
        }
    }
}
