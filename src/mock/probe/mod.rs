//! Read-only check of a live issuer against the contract.

mod api;
mod client;
mod difference;
mod documents;
mod finding;
mod not_probed;
mod protocol;
mod report;
mod tls;

use std::time::Duration;

use reqwest::Certificate;
use url::Url;

use crate::mock::http::endpoint::Endpoint;
use client::ProbeClient;

pub use finding::{Finding, Verdict};
pub use report::Report;

/// Checks the issuer at this origin against [the contract](crate::guide::contract).
///
/// The probe sends only requests that change no data at the issuer. The probe requests documents
/// and pages, and sends invalid requests, which the issuer rejects. The probe sends no valid
/// credential, follows no redirect and runs for at most 30 s. The report shows `not reached` or
/// `not probed` for a row that the probe could not check.
///
/// ```
/// use kycport::mock::{MockIssuer, verify_against};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let kyc = MockIssuer::start().await;
/// let report = verify_against(kyc.origin()).await;
/// assert!(report.is_match(), "{report}");
/// # }
/// ```
pub async fn verify_against(origin: &str) -> Report {
    Probe::new(origin).run().await
}

/// Builder for a probe with custom settings. The probe runs the checks of [`verify_against`].
#[derive(Debug, Clone)]
#[must_use = "call `run` to run the probe"]
pub struct Probe {
    origin: String,
    issuer: Option<String>,
    roots: Option<Vec<Certificate>>,
    response_timeout: Duration,
}

impl Probe {
    /// Creates a probe of the issuer at this origin, such as `https://www.kycport.com`.
    pub fn new(origin: &str) -> Self {
        Self {
            origin: origin.to_owned(),
            issuer: None,
            roots: None,
            response_timeout: Duration::from_secs(5),
        }
    }

    /// Sets the issuer that the metadata must name. Default: the origin
    /// ([K2](crate::guide::contract)).
    pub fn issuer(mut self, issuer: &str) -> Self {
        self.issuer = Some(issuer.to_owned());
        self
    }

    /// Trusts only the certificate authorities in this PEM text. The probe then ignores the
    /// certificate authorities of the system. If the text is invalid, the probe trusts no
    /// certificate authority.
    pub fn trust_only(mut self, roots_pem: &str) -> Self {
        let roots = Certificate::from_pem_bundle(roots_pem.as_bytes());
        self.roots = Some(roots.unwrap_or_default());
        self
    }

    /// Sets the maximum time for one response. Default: 5 s. The limit for all responses together
    /// is six times this time.
    pub fn response_timeout(mut self, response_timeout: Duration) -> Self {
        self.response_timeout = response_timeout;
        self
    }

    /// Runs the probe and returns its report. If the origin is invalid, every check is `not
    /// reached`.
    pub async fn run(self) -> Report {
        let client = ProbeClient::new(origin(&self.origin), self.roots, self.response_timeout);
        let issuer = self.issuer.unwrap_or_else(|| client.origin());
        let discovery = client.get(&client.at(Endpoint::Discovery.path())).await;

        let mut findings = documents::discovery(&client, &issuer, &discovery);
        let urls = documents::DocumentUrls::from_document(&client, &discovery);
        findings.extend(documents::keys(&client, &urls).await);
        findings.extend(protocol::authorize(&client, &urls).await);
        findings.extend(protocol::token(&client, &urls).await);
        findings.extend(protocol::userinfo(&client, &urls).await);
        findings.extend(api::api(&client).await);
        findings.extend(api::pages(&client).await);
        findings.extend(tls::tls(&client, &discovery).await);
        findings.extend(not_probed::not_probed());
        Report::new(client.origin(), findings)
    }
}

/// Parses an origin, which consists of scheme, host and port. The probe rejects a URL with more
/// components, because those components may contain secrets.
fn origin(text: &str) -> Result<Url, &'static str> {
    let url = Url::parse(text).map_err(|_| "the URL is invalid")?;
    if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
        return Err("the scheme must be `https` or `http`");
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("the URL must not contain a user name or password");
    }
    if url.path() != "/" || url.query().is_some() || url.fragment().is_some() {
        return Err("the URL must be an origin, without a path, query or fragment");
    }
    Ok(url)
}
