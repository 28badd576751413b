//! A live issuer held against the contract, by reading alone.

mod api;
mod ask;
mod documents;
mod finding;
mod protocol;
mod report;
mod tls;
mod unprobed;

use std::time::Duration;

use reqwest::Certificate;
use url::Url;

use crate::mock::http::endpoint::Endpoint;
use ask::Asker;

pub use finding::{Finding, Verdict};
pub use report::Report;

/// Holds the issuer at this origin against [the contract](crate::guide::contract).
///
/// It only reads: documents, pages, and how requests are refused that nothing could come of. It
/// sends no credential, follows no redirect, and is done within 30 s. A row that it could not judge
/// is `not reached` or `not probed`, and never a match.
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

/// [`verify_against`], with more to say.
#[derive(Debug, Clone)]
#[must_use = "a probe asks when it is `run`"]
pub struct Probe {
    origin: String,
    issuer: Option<String>,
    roots: Option<Vec<Certificate>>,
    patience: Duration,
}

impl Probe {
    /// For the issuer at this origin, such as `https://www.kycport.com`.
    pub fn new(origin: &str) -> Self {
        Self {
            origin: origin.to_owned(),
            issuer: None,
            roots: None,
            patience: Duration::from_secs(5),
        }
    }

    /// Expects this issuer in the metadata instead of the origin (K2).
    pub fn issuer(mut self, issuer: &str) -> Self {
        self.issuer = Some(issuer.to_owned());
        self
    }

    /// Believes the certificate authorities of this PEM text, and none of the machine's. A text
    /// that cannot be read leaves none to believe.
    pub fn trust_only(mut self, roots_pem: &str) -> Self {
        let roots = Certificate::from_pem_bundle(roots_pem.as_bytes());
        self.roots = Some(roots.unwrap_or_default());
        self
    }

    /// Sets how long one answer may take; all together may take six times that. 5 s.
    pub fn patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// Asks, and says what was found. An origin that is none is not reached.
    pub async fn run(self) -> Report {
        let asker = Asker::new(origin(&self.origin), self.roots, self.patience);
        let issuer = self.issuer.unwrap_or_else(|| asker.origin());
        let discovery = asker.get(&asker.at(Endpoint::Discovery.path())).await;

        let mut findings = documents::discovery(&asker, &issuer, &discovery);
        let named = documents::Named::in_document(&asker, &discovery);
        findings.extend(documents::keys(&asker, &named).await);
        findings.extend(protocol::authorize(&asker, &named).await);
        findings.extend(protocol::token(&asker, &named).await);
        findings.extend(protocol::userinfo(&asker, &named).await);
        findings.extend(api::api(&asker).await);
        findings.extend(api::pages(&asker).await);
        findings.extend(tls::tls(&asker, &discovery).await);
        findings.extend(unprobed::unprobed());
        Report::new(asker.origin(), findings)
    }
}

/// Scheme, host and port, and nothing else: what stands in an address is sent, or was meant to be.
fn origin(text: &str) -> Result<Url, &'static str> {
    let url = Url::parse(text).map_err(|_| "this is no address")?;
    if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
        return Err("only `https` and `http` can be probed");
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("no credential is sent: take the user name out of the address");
    }
    if url.path() != "/" || url.query().is_some() || url.fragment().is_some() {
        return Err("an origin is meant, without a path or anything after it");
    }
    Ok(url)
}
