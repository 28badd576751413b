//! TLS 1.2 or newer, everywhere (K70).

use std::io::ErrorKind;

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::timeout_at,
};
use url::{Host, Url};

use super::{
    ask::{Asked, Asker, Seen},
    finding::{Finding, Verdict, differs},
};
use crate::mock::{here::is_here, http::endpoint::Endpoint};

pub(super) async fn tls(asker: &Asker, discovery: &Asked) -> Vec<Finding> {
    let finding = |what: &str, verdict| Finding {
        row: "K70",
        what: what.to_owned(),
        verdict,
    };
    let url = match asker.url() {
        Ok(url) => url,
        Err(why) => return vec![finding("TLS is spoken", Verdict::NotReached(why))],
    };
    if url.scheme() == "http" {
        let verdict = if is_here(url) {
            Verdict::NotProbed("plain HTTP on loopback, where nothing leaves the machine (K73)")
        } else {
            Verdict::Differs {
                expected: "https".to_owned(),
                found: "plain HTTP".to_owned(),
            }
        };
        return vec![finding("TLS is spoken", verdict)];
    }
    let old = match discovery {
        Ok(_) => old_hello(asker, url).await,
        // Whoever does not speak refuses nothing.
        Err(why) => Verdict::NotReached(why.clone()),
    };
    vec![
        // The client that asked speaks nothing older.
        Finding::of("K70", "TLS 1.2 or newer is spoken", discovery, |_| Ok(())),
        finding("TLS 1.1 is refused", old),
        plain(asker, url).await,
    ]
}

/// The port for plain HTTP, where there is one by custom.
async fn plain(asker: &Asker, url: &Url) -> Finding {
    let what = "what is asked in plain HTTP is not answered";
    if url.port().is_some() {
        return Finding {
            row: "K70",
            what: what.to_owned(),
            verdict: Verdict::NotProbed("at a port of its own nobody asks in plain HTTP"),
        };
    }
    let host = url.host_str().unwrap_or_default();
    let address = (host.trim_matches(['[', ']']), 80);
    let knock = timeout_at(asker.deadline(), TcpStream::connect(address)).await;
    let is_closed = matches!(knock, Ok(Err(error)) if error.kind() == ErrorKind::ConnectionRefused);
    if is_closed {
        return Finding {
            row: "K70",
            what: what.to_owned(),
            verdict: Verdict::Match,
        };
    }
    let asked = asker
        .get(&format!("http://{host}{}", Endpoint::Discovery.path()))
        .await;
    Finding::of("K70", what, &asked, |seen: &Seen| match seen.status {
        301 | 302 | 307 | 308 if seen.header("location").starts_with("https://") => Ok(()),
        400..=499 => Ok(()),
        _ => Err(differs(
            "a redirect to https, or a refusal",
            &seen.summary(),
        )),
    })
}

/// Greets as TLS 1.1 does, which no client here speaks, and looks at the first record that comes
/// back.
async fn old_hello(asker: &Asker, url: &Url) -> Verdict {
    let name = match url.host() {
        Some(Host::Domain(name)) => Some(name.to_owned()),
        _ => None,
    };
    let host = match url.host() {
        Some(Host::Domain(name)) => name.to_owned(),
        Some(Host::Ipv4(address)) => address.to_string(),
        Some(Host::Ipv6(address)) => address.to_string(),
        None => return Verdict::NotReached("there is no host".to_owned()),
    };
    let port = url.port_or_known_default().unwrap_or(443);
    let greet = async {
        let mut stream = TcpStream::connect((host.as_str(), port)).await.ok()?;
        stream
            .write_all(&client_hello(name.as_deref()))
            .await
            .ok()?;
        // Whoever hangs up refuses too.
        let mut first = [0];
        let came = stream.read(&mut first).await.unwrap_or(0);
        Some((came == 1).then_some(first))
    };
    match timeout_at(asker.deadline(), greet).await {
        Ok(Some(Some([HANDSHAKE]))) => Verdict::Differs {
            expected: "an alert, or nothing".to_owned(),
            found: "a handshake".to_owned(),
        },
        Ok(Some(_)) => Verdict::Match,
        Ok(None) => Verdict::NotReached("no connection".to_owned()),
        Err(_) => Verdict::NotReached("no answer in time".to_owned()),
    }
}

/// RFC 4346 section 7.4.1.2, with the extensions that a server of today wants to see.
fn client_hello(name: Option<&str>) -> Vec<u8> {
    let mut extensions = Vec::new();
    if let Some(name) = name {
        // One name of the type `host_name` (RFC 6066 section 3).
        let entry = [&[0][..], &prefixed::<2>(name.as_bytes())].concat();
        extensions.extend([0x00, 0x00]);
        extensions.extend(prefixed::<2>(&prefixed::<2>(&entry)));
    }
    // supported_groups: x25519, secp256r1, secp384r1; ec_point_formats: uncompressed.
    extensions.extend([0x00, 0x0a, 0, 8, 0, 6, 0x00, 0x1d, 0x00, 0x17, 0x00, 0x18]);
    extensions.extend([0x00, 0x0b, 0, 2, 1, 0]);
    let hello = [
        &TLS_1_1[..],
        // What it is for needs no randomness: nothing is ever agreed on.
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

/// The length in `N` bytes, and the bytes.
fn prefixed<const N: usize>(bytes: &[u8]) -> Vec<u8> {
    let length = bytes.len().to_be_bytes();
    let length = length.get(length.len().saturating_sub(N)..);
    [length.unwrap_or_default(), bytes].concat()
}

const HANDSHAKE: u8 = 22;
const CLIENT_HELLO: u8 = 1;
const TLS_1_1: [u8; 2] = [3, 2];

/// AES in CBC with SHA-1, by ECDHE with either kind of key, and by RSA.
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

    use super::{super::ask::Asker, TLS_1_1, Verdict, client_hello, old_hello};

    #[tokio::test]
    async fn whoever_shakes_hands_with_an_old_client_differs() {
        for (answer, word) in [(&[22][..], "differs"), (&[21], "match"), (&[], "match")] {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let origin = format!("https://{}", listener.local_addr().unwrap());
            let url = Url::parse(&origin).unwrap();
            let server = async {
                let (mut stream, _) = listener.accept().await.unwrap();
                let mut hello = vec![0; client_hello(None).len()];
                stream.read_exact(&mut hello).await.unwrap();
                stream.write_all(answer).await.unwrap();
            };
            let asker = Asker::new(Ok(url.clone()), None, Duration::from_secs(20));
            let (verdict, ()) = tokio::join!(old_hello(&asker, &url), server);
            assert_eq!(verdict.word(), word, "{answer:?}");
        }
        let gone = Url::parse("https://127.0.0.1:1").unwrap();
        let asker = Asker::new(Ok(gone.clone()), None, Duration::from_secs(20));
        assert!(matches!(
            old_hello(&asker, &gone).await,
            Verdict::NotReached(_)
        ));
    }

    #[test]
    fn the_greeting_says_how_long_it_is() {
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
