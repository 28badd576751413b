//! Checks that the issuer requires TLS 1.2 or newer (K70).

use std::io::ErrorKind;

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::timeout_at,
};
use url::{Host, Url};

use super::{
    client::{ProbeClient, ProbeResponse, ProbeResult},
    difference::differs,
    finding::{Finding, Verdict},
};
use crate::mock::{http::endpoint::Endpoint, loopback::is_loopback};

pub(super) async fn tls(client: &ProbeClient, discovery: &ProbeResult) -> Vec<Finding> {
    let finding = |what: &str, verdict| Finding {
        row: "K70",
        what: what.to_owned(),
        verdict,
    };
    let url = match client.url() {
        Ok(url) => url,
        Err(reason) => return vec![finding("the issuer uses TLS", Verdict::NotReached(reason))],
    };
    if url.scheme() == "http" {
        let verdict = if is_loopback(url) {
            Verdict::NotProbed("plain HTTP on loopback does not leave the machine (K73)")
        } else {
            Verdict::Differs {
                expected: "https".to_owned(),
                found: "plain HTTP".to_owned(),
            }
        };
        return vec![finding("the issuer uses TLS", verdict)];
    }
    let old = match discovery {
        Ok(_) => tls_1_1(client, url).await,
        // If the server does not respond, the probe cannot know whether the server rejects TLS 1.1.
        Err(reason) => Verdict::NotReached(reason.clone()),
    };
    vec![
        // The HTTP client supports only TLS 1.2 and newer, so any response proves TLS 1.2 or newer.
        Finding::of(
            "K70",
            "the issuer accepts TLS 1.2 or newer",
            discovery,
            |_| Ok(()),
        ),
        finding("the issuer rejects TLS 1.1", old),
        plain(client, url).await,
    ]
}

/// Checks port 80, the usual port for plain HTTP.
async fn plain(client: &ProbeClient, url: &Url) -> Finding {
    let what = "the issuer redirects or rejects plain HTTP";
    if url.port().is_some() {
        return Finding {
            row: "K70",
            what: what.to_owned(),
            verdict: Verdict::NotProbed(
                "no plain HTTP port is known for an issuer on a custom port",
            ),
        };
    }
    let host = url.host_str().unwrap_or_default();
    let address = (host.trim_matches(['[', ']']), 80);
    let knock = timeout_at(client.deadline(), TcpStream::connect(address)).await;
    let is_closed = matches!(knock, Ok(Err(error)) if error.kind() == ErrorKind::ConnectionRefused);
    if is_closed {
        return Finding {
            row: "K70",
            what: what.to_owned(),
            verdict: Verdict::Match,
        };
    }
    let result = client
        .get(&Ok(format!("http://{host}{}", Endpoint::Discovery.path())))
        .await;
    Finding::of(
        "K70",
        what,
        &result,
        |response: &ProbeResponse| match response.status {
            301 | 302 | 307 | 308 if response.header("location").starts_with("https://") => Ok(()),
            400..=499 => Ok(()),
            _ => Err(differs(
                "a redirect to https, or a rejection",
                &response.summary(),
            )),
        },
    )
}

/// Sends a TLS 1.1 `ClientHello` and reads the first byte of the response. Builds the `ClientHello`
/// without a TLS library, because rustls does not support TLS 1.1.
async fn tls_1_1(client: &ProbeClient, url: &Url) -> Verdict {
    let name = match url.host() {
        Some(Host::Domain(name)) => Some(name.to_owned()),
        _ => None,
    };
    let host = match url.host() {
        Some(Host::Domain(name)) => name.to_owned(),
        Some(Host::Ipv4(address)) => address.to_string(),
        Some(Host::Ipv6(address)) => address.to_string(),
        None => return Verdict::NotReached("the URL has no host".to_owned()),
    };
    let port = url.port_or_known_default().unwrap_or(443);
    let greet = async {
        let mut stream = TcpStream::connect((host.as_str(), port)).await.ok()?;
        stream
            .write_all(&client_hello(name.as_deref()))
            .await
            .ok()?;
        // A server that closes the connection also rejects TLS 1.1.
        let mut first = [0];
        let came = stream.read(&mut first).await.unwrap_or(0);
        Some((came == 1).then_some(first))
    };
    match timeout_at(client.deadline(), greet).await {
        Ok(Some(Some([HANDSHAKE]))) => Verdict::Differs {
            expected: "an alert or a closed connection".to_owned(),
            found: "a handshake".to_owned(),
        },
        Ok(Some(_)) => Verdict::Match,
        Ok(None) => Verdict::NotReached("no connection".to_owned()),
        Err(_) => Verdict::NotReached("no response in time".to_owned()),
    }
}

/// Builds a `ClientHello` (RFC 4346 section 7.4.1.2) with the extensions that current servers
/// expect.
fn client_hello(name: Option<&str>) -> Vec<u8> {
    let mut extensions = Vec::new();
    if let Some(name) = name {
        // The `server_name` extension: a list with one name of type `host_name` (RFC 6066 section
        // 3).
        let entry = [&[0][..], &prefixed::<2>(name.as_bytes())].concat();
        extensions.extend([0x00, 0x00]);
        extensions.extend(prefixed::<2>(&prefixed::<2>(&entry)));
    }
    // The first extension is `supported_groups` with x25519, secp256r1 and secp384r1. The second
    // extension is `ec_point_formats` with uncompressed points.
    extensions.extend([0x00, 0x0a, 0, 8, 0, 6, 0x00, 0x1d, 0x00, 0x17, 0x00, 0x18]);
    extensions.extend([0x00, 0x0b, 0, 2, 1, 0]);
    let hello = [
        &TLS_1_1[..],
        // The random value is fixed, because the handshake never completes.
        &[0x4b; 32],
        &[0],
        &prefixed::<2>(&OLD_SUITES),
        &prefixed::<1>(&[0]),
        &prefixed::<2>(&extensions),
    ]
    .concat();
    let message = [&[CLIENT_HELLO][..], &prefixed::<3>(&hello)].concat();
    [&[HANDSHAKE, 3, 1][..], &prefixed::<2>(&message)].concat()
}

/// Returns `bytes` with their length before them. The length has `N` bytes.
fn prefixed<const N: usize>(bytes: &[u8]) -> Vec<u8> {
    let length = bytes.len().to_be_bytes();
    let length = length.get(length.len().saturating_sub(N)..);
    [length.unwrap_or_default(), bytes].concat()
}

const HANDSHAKE: u8 = 22;
const CLIENT_HELLO: u8 = 1;
const TLS_1_1: [u8; 2] = [3, 2];

/// Cipher suites of TLS 1.1: AES-CBC with SHA-1, with the key exchanges ECDHE-RSA, ECDHE-ECDSA and
/// RSA.
const OLD_SUITES: [u8; 12] = [
    0xc0, 0x13, 0xc0, 0x14, 0xc0, 0x09, 0xc0, 0x0a, 0x00, 0x2f, 0x00, 0x35,
];

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _},
        net::TcpListener,
    };
    use url::Url;

    use super::{super::client::ProbeClient, TLS_1_1, Verdict, client_hello, tls_1_1};

    #[tokio::test]
    async fn accepting_tls_1_1_is_a_difference() {
        for (answer, label) in [(&[22][..], "differs"), (&[21], "match"), (&[], "match")] {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let origin = format!("https://{}", listener.local_addr().unwrap());
            let url = Url::parse(&origin).unwrap();
            let server = async {
                let (mut stream, _) = listener.accept().await.unwrap();
                let mut hello = vec![0; client_hello(None).len()];
                stream.read_exact(&mut hello).await.unwrap();
                stream.write_all(answer).await.unwrap();
            };
            let client = ProbeClient::new(Ok(url.clone()), None, Duration::from_secs(20));
            let (verdict, ()) = tokio::join!(tls_1_1(&client, &url), server);
            assert_eq!(verdict.label(), label, "{answer:?}");
        }
        let gone = Url::parse("https://127.0.0.1:1").unwrap();
        let client = ProbeClient::new(Ok(gone.clone()), None, Duration::from_secs(20));
        assert!(matches!(
            tls_1_1(&client, &gone).await,
            Verdict::NotReached(_)
        ));
    }

    #[test]
    fn the_client_hello_states_its_length() {
        let hello = client_hello(Some("www.kycport.com"));
        let length = |bytes: &[u8]| {
            bytes
                .iter()
                .fold(0, |sum, byte| sum * 256 + usize::from(*byte))
        };
        assert_eq!(length(&hello[3..5]), hello.len() - 5);
        assert_eq!(length(&hello[6..9]), hello.len() - 9);
        assert_eq!(hello[9..11], TLS_1_1);
    }
}
