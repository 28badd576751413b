//! URLs of Postgres databases.

use std::borrow::Cow;

use sqlx::postgres::PgConnectOptions;
use url::Url;

/// Invalid URL or schema name. The error contains no part of the URL.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidPostgresUrl {
    /// The text is not a URL, or a value in the URL is malformed.
    #[error(
        "the URL of the store is malformed: expected postgres://user:password@host:port/database"
    )]
    Malformed,
    /// The scheme is not `postgres` or `postgresql`.
    #[error("the scheme of the store's URL must be postgres or postgresql")]
    Scheme,
    /// The URL has an unknown parameter or a fragment.
    #[error(
        "the URL of the store has an unknown parameter: schema, sslmode, sslrootcert, sslcert, \
         sslkey, application_name, options and those of the address exist"
    )]
    Parameter,
    /// The schema name is empty, is longer than 63 bytes, or contains characters other than ASCII
    /// letters, digits, `_` and `-`.
    #[error(
        "the schema of the store must be named with 1 to 63 ASCII letters, digits, underscores \
         and hyphens"
    )]
    Schema,
}

/// Schema of the tables, as a quoted identifier.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Schema(Cow<'static, str>);

impl Schema {
    pub(super) const PUBLIC: Self = Self(Cow::Borrowed("public"));

    /// Checks a schema name. Accepts only characters that need no escape in an identifier or a
    /// string literal.
    pub(super) fn new(name: &str) -> Result<Self, InvalidPostgresUrl> {
        let is_plain = |it: u8| it.is_ascii_alphanumeric() || it == b'_' || it == b'-';
        if name.is_empty() || name.len() > 63 || !name.bytes().all(is_plain) {
            return Err(InvalidPostgresUrl::Schema);
        }
        Ok(Self(Cow::Owned(name.to_owned())))
    }

    /// Returns the name without quotation marks.
    pub(super) fn name(&self) -> &str {
        &self.0
    }

    /// Replaces the schema `public` in a statement by this schema.
    pub(super) fn qualify(&self, sql: &str) -> String {
        sql.replace("public.", &format!("\"{}\".", self.0))
    }
}

/// Parses a URL. sqlx does not know the parameter `schema`.
pub(super) fn parse(text: &str) -> Result<(PgConnectOptions, Schema), InvalidPostgresUrl> {
    let mut url = Url::parse(text).map_err(|_| InvalidPostgresUrl::Malformed)?;
    if !matches!(url.scheme(), "postgres" | "postgresql") {
        return Err(InvalidPostgresUrl::Scheme);
    }
    if url.fragment().is_some() {
        return Err(InvalidPostgresUrl::Parameter);
    }
    let mut schema = Schema::PUBLIC;
    let mut others = Vec::new();
    for (name, value) in url.query_pairs() {
        match &*name {
            "schema" => schema = Schema::new(&value)?,
            name if is_known(name) => others.push((name.to_owned(), value.into_owned())),
            // sqlx would write the parameter's value to the log.
            _ => return Err(InvalidPostgresUrl::Parameter),
        }
    }
    url.set_query(None);
    if !others.is_empty() {
        url.query_pairs_mut().extend_pairs(others);
    }
    let options: Result<PgConnectOptions, _> = url.as_str().parse();
    let options = options.map_err(|_| InvalidPostgresUrl::Malformed)?;
    Ok((options, schema))
}

fn is_known(parameter: &str) -> bool {
    const KNOWN: [&str; 18] = [
        "sslmode",
        "ssl-mode",
        "sslrootcert",
        "ssl-root-cert",
        "ssl-ca",
        "sslcert",
        "ssl-cert",
        "sslkey",
        "ssl-key",
        "statement-cache-capacity",
        "host",
        "hostaddr",
        "port",
        "dbname",
        "user",
        "password",
        "application_name",
        "options",
    ];
    KNOWN.contains(&parameter) || (parameter.starts_with("options[") && parameter.ends_with(']'))
}

#[cfg(test)]
mod tests {
    use super::{InvalidPostgresUrl, Schema, parse};

    #[test]
    fn a_url_names_a_database_and_a_schema() {
        let (options, schema) = parse("postgres://u:p%40ss@db.internal:6432/app").unwrap();
        assert_eq!(options.get_host(), "db.internal");
        assert_eq!(options.get_port(), 6432);
        assert_eq!(options.get_database(), Some("app"));
        assert_eq!(schema, Schema::PUBLIC);

        let text =
            "postgresql://u@h/app?sslmode=verify-full&schema=kyc_port&application_name=a%26b";
        let (options, schema) = parse(text).unwrap();
        assert_eq!(schema.name(), "kyc_port");
        assert_eq!(options.get_application_name(), Some("a&b"));
        assert_eq!(schema.qualify("FROM public.t"), "FROM \"kyc_port\".t");
    }

    #[test]
    fn invalid_urls_are_rejected() {
        for (text, error) in [
            ("", InvalidPostgresUrl::Malformed),
            ("localhost:5432", InvalidPostgresUrl::Scheme),
            ("postgres://h:99999/d", InvalidPostgresUrl::Malformed),
            ("postgres://h/d?port=x", InvalidPostgresUrl::Malformed),
            (
                "postgres://h/d?sslmode=maybe",
                InvalidPostgresUrl::Malformed,
            ),
            ("redis://h", InvalidPostgresUrl::Scheme),
            ("postgres://h/d?pool=3", InvalidPostgresUrl::Parameter),
            ("postgres://h/d#x", InvalidPostgresUrl::Parameter),
            ("postgres://h/d?schema=", InvalidPostgresUrl::Schema),
            ("postgres://h/d?schema=a.b", InvalidPostgresUrl::Schema),
            ("postgres://h/d?schema=a%22b", InvalidPostgresUrl::Schema),
        ] {
            assert_eq!(parse(text).err(), Some(error), "{text}");
        }
        assert!(Schema::new(&"a".repeat(64)).is_err());
    }

    #[test]
    fn errors_contain_nothing_of_the_url() {
        let error = parse("postgres://u:canary@h/d?canary=1").unwrap_err();
        assert!(!format!("{error} {error:?}").contains("canary"));
    }
}
