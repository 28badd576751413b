//! URLs of Redis servers and clusters.

use redis::{ConnectionInfo, IntoConnectionInfo as _, ProtocolVersion};
use url::Url;

/// Invalid Redis URL. The error contains no part of the URL.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidRedisUrl {
    /// The text is not a URL with a host, or its port, database number or escape is invalid.
    #[error("the URL of the store is malformed: expected redis://user:password@host:port/database")]
    Malformed,
    /// The scheme is not `redis`, `rediss`, `redis+cluster` or `rediss+cluster`.
    #[error("the scheme of the store's URL must be redis, rediss, redis+cluster or rediss+cluster")]
    Scheme,
    /// The URL has an unknown parameter or a fragment.
    #[error(
        "the URL of the store has an unknown parameter: only node=host:port is known, for a \
         cluster"
    )]
    Parameter,
    /// The URL selects a database on a cluster, but a cluster has only database 0.
    #[error("the URL of the store names a database, but a cluster has only database 0")]
    ClusterDatabase,
}

impl InvalidRedisUrl {
    /// Returns a short code for logs.
    pub fn code(self) -> &'static str {
        match self {
            Self::Malformed => "url_malformed",
            Self::Scheme => "url_scheme",
            Self::Parameter => "url_parameter",
            Self::ClusterDatabase => "url_cluster_database",
        }
    }
}

/// Content of a URL.
#[derive(Debug)]
pub(super) enum Parsed {
    Server(Box<ConnectionInfo>),
    /// Nodes of a cluster, at least one.
    Cluster(Vec<ConnectionInfo>),
}

/// Parses `redis[s][+cluster]://[user][:password]@host[:port][/database][?node=host:port]…`.
pub(super) fn parse(text: &str) -> Result<Parsed, InvalidRedisUrl> {
    let (scheme, rest) = text.split_once("://").ok_or(InvalidRedisUrl::Malformed)?;
    let (scheme, is_cluster) = match scheme {
        "redis" | "rediss" => (scheme, false),
        "redis+cluster" => ("redis", true),
        "rediss+cluster" => ("rediss", true),
        _ => return Err(InvalidRedisUrl::Scheme),
    };
    let url = Url::parse(&format!("{scheme}://{rest}")).map_err(|_| InvalidRedisUrl::Malformed)?;
    if url.fragment().is_some() {
        return Err(InvalidRedisUrl::Parameter);
    }
    let mut nodes = Vec::new();
    for (name, value) in url.query_pairs() {
        if name != "node" || !is_cluster {
            return Err(InvalidRedisUrl::Parameter);
        }
        nodes.push(value.into_owned());
    }
    let mut first = url;
    first.set_query(None);
    if !is_cluster {
        return Ok(Parsed::Server(Box::new(connection(first)?)));
    }
    if !first.path().trim_matches('/').is_empty() {
        return Err(InvalidRedisUrl::ClusterDatabase);
    }
    let mut all = vec![connection(first.clone())?];
    for node in nodes {
        let mut url = first.clone();
        let (host, port) = match node.rsplit_once(':') {
            Some((host, port)) if !host.is_empty() => (
                host,
                Some(port.parse().map_err(|_| InvalidRedisUrl::Malformed)?),
            ),
            _ => (node.as_str(), None),
        };
        url.set_host(Some(host))
            .map_err(|_| InvalidRedisUrl::Malformed)?;
        url.set_port(port)
            .map_err(|()| InvalidRedisUrl::Malformed)?;
        all.push(connection(url)?);
    }
    Ok(Parsed::Cluster(all))
}

fn connection(url: Url) -> Result<ConnectionInfo, InvalidRedisUrl> {
    let info = url.into_connection_info();
    let info = info.map_err(|_| InvalidRedisUrl::Malformed)?;
    let settings = info.redis_settings().clone();
    // Use RESP2, because each of its replies has only one form.
    let settings = settings.set_protocol(ProtocolVersion::RESP2);
    Ok(info.set_redis_settings(settings))
}

#[cfg(test)]
mod tests {
    use redis::ConnectionAddr;

    use super::{InvalidRedisUrl, Parsed, parse};

    fn addresses(text: &str) -> Vec<String> {
        match parse(text).unwrap() {
            Parsed::Server(info) => vec![info.addr().to_string()],
            Parsed::Cluster(nodes) => nodes.iter().map(|it| it.addr().to_string()).collect(),
        }
    }

    #[test]
    fn a_url_names_one_server() {
        assert_eq!(addresses("redis://localhost"), ["localhost:6379"]);
        assert_eq!(addresses("rediss://10.0.0.1:7000/3"), ["10.0.0.1:7000"]);
        let Parsed::Server(info) = parse("rediss://us%40er:p%2Fw@cache.internal/2").unwrap() else {
            panic!("the URL was parsed as a cluster");
        };
        assert!(matches!(
            info.addr(),
            ConnectionAddr::TcpTls {
                insecure: false,
                ..
            }
        ));
        let settings = info.redis_settings();
        assert_eq!(settings.username(), Some("us@er"));
        assert_eq!(settings.password(), Some("p/w"));
        assert_eq!(settings.db(), 2);
    }

    #[test]
    fn a_url_names_nodes_of_a_cluster() {
        assert_eq!(addresses("redis+cluster://a"), ["a:6379"]);
        let text = "rediss+cluster://:pw@a:7000?node=b:7001&node=c&node=[::1]:7002";
        assert_eq!(addresses(text), ["a:7000", "b:7001", "c:6379", "::1:7002"]);
        let Parsed::Cluster(nodes) = parse(text).unwrap() else {
            panic!("the URL was parsed as a server");
        };
        for node in nodes {
            assert_eq!(node.redis_settings().password(), Some("pw"));
            assert!(matches!(node.addr(), ConnectionAddr::TcpTls { .. }));
        }
    }

    #[test]
    fn invalid_urls_are_rejected() {
        for (text, error) in [
            ("", InvalidRedisUrl::Malformed),
            ("localhost:6379", InvalidRedisUrl::Malformed),
            ("redis://", InvalidRedisUrl::Malformed),
            ("redis://:secret@", InvalidRedisUrl::Malformed),
            ("redis://host:99999", InvalidRedisUrl::Malformed),
            ("redis://host/one", InvalidRedisUrl::Malformed),
            ("redis://0.0.0.0", InvalidRedisUrl::Malformed),
            ("redis+cluster://a?node=b:x", InvalidRedisUrl::Malformed),
            ("postgres://host", InvalidRedisUrl::Scheme),
            ("redis+sentinel://host", InvalidRedisUrl::Scheme),
            ("redis://host?cluster=true", InvalidRedisUrl::Parameter),
            ("redis://host?node=b", InvalidRedisUrl::Parameter),
            ("rediss://host#insecure", InvalidRedisUrl::Parameter),
            ("redis+cluster://a/1", InvalidRedisUrl::ClusterDatabase),
        ] {
            assert_eq!(parse(text).err(), Some(error), "{text}");
        }
    }

    #[test]
    fn errors_contain_nothing_of_the_url() {
        let error = parse("redis://:canary@host/one").unwrap_err();
        assert!(!format!("{error} {error:?}").contains("canary"));
    }
}
