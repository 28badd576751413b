//! A strict mock of KYCPort, which runs in the process of the test or example.
//!
//! [`MockIssuer::start`] starts the mock on a random loopback port and on its own thread. The mock
//! runs while a handle exists. The mock enforces KYCPort's documentation and the standards. The
//! mock accepts only exact redirect URIs, PKCE with S256, unused codes, and client authentication
//! in the body. [`Switches`] relax the mock's rules one by one. Each assumption about KYCPort is a
//! row of [the contract](crate::guide::contract).
//!
//! The following example starts a login and stops before the callback request:
//!
//! ```
//! use kycport::{KycTier, mock::MockIssuer};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let kyc = MockIssuer::start().await;
//! kyc.client().register_redirect_uri("http://127.0.0.1:3000/auth/callback")?;
//! let ada = kyc.person("ada").tier(KycTier::T2).create();
//! # let login_url = format!(
//! #     "{}/authorize?response_type=code&client_id={}&redirect_uri=http%3A%2F%2F127.0.0.1%3A3000\
//! #      %2Fauth%2Fcallback&scope=openid%20kyc&state=s&nonce=n&code_challenge_method=S256\
//! #      &code_challenge=E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM",
//! #     kyc.origin(), kyc.client().id());
//! // `login_url` is `/auth/login` of the app under test.
//! let callback = kyc.browser().start_sign_in(&login_url, &ada).await?;
//! assert!(callback.query().is_some_and(|query| query.contains("code=")));
//! # Ok(())
//! # }
//! ```
//!
//! With an app behind `login_url`, [`Browser::sign_in`] completes the login and returns the page
//! that the app shows.
//!
//! A test that is not async uses [`start_blocking`](MockIssuer::start_blocking) and
//! [`block_on`](MockIssuer::block_on).
//!
//! The mock delivers changes of a person to [subscribed webhook endpoints](Webhooks). The mock
//! signs deliveries, sends them in order, and retries them by the mock's clock:
//! `kyc.webhooks().subscribe(url)`, `ada.reject()`, `kyc.webhooks().settled().await`.
//!
//! [`On`] installs faults at an endpoint, from a wrong status to a reset connection:
//! `kyc.on(Endpoint::Token).reset().times(2)`. [`OnAccept`] installs faults of new connections.
//! [`Tokens`] manipulates tokens.
//!
//! Like KYCPort, the mock has a hosted page on which a person verifies ([`Endpoint::Verify`]). The
//! mock also serves `/llms.txt`, the guide for coding assistants ([`Endpoint::LlmsTxt`]). This
//! guide contains the URLs of the mock.
//!
//! With TLS, the mock generates a certificate authority. [`MockIssuer::config`] and
//! [`MockIssuer::browser`] trust only this authority:
//!
//! ```
//! # use kycport::mock::MockIssuer;
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let kyc = MockIssuer::builder().tls().start().await?;
//! assert!(kyc.issuer().starts_with("https://127.0.0.1:"));
//! kyc.browser().fetch(kyc.discovery_url()).await?.assert_ok();
//! # Ok(())
//! # }
//! ```
//!
//! [`verify_against`] sends read requests to a live service and compares the responses with the
//! contract.
//!
//! The mock and the SDK share only the names of the wire format. The mock has separate code for
//! signatures, S256, HMAC and all rules. An error in the SDK's code therefore does not also occur
//! in the mock.

mod access;
mod admin;
mod blocking;
mod browser;
mod builder;
mod cases;
#[cfg(feature = "mock-cli")]
pub mod cli;
mod console;
mod core;
mod deliveries;
mod error;
mod faults;
mod html;
mod http;
mod issuer;
mod jws;
mod llms;
mod loopback;
mod oidc;
mod overview;
mod persons;
mod probe;
mod random;
mod records;
mod remote;
pub mod samples;
mod server;
mod start;
mod switches;
mod tenants;
mod uri;
mod waits;
mod webhooks;

pub use browser::{Browser, BrowserError, Page, Visit};
pub use builder::MockIssuerBuilder;
pub use cases::{CaseSnapshot, Cases};
pub use deliveries::{
    delivery::{Deliveries, Delivery, DeliveryOutcome},
    draft::{DeliveryDraft, DeliverySigning},
    tamper::DeliveryTamper,
};
pub use error::MockError;
pub use faults::{
    Fault, Rule, gate::Gate, held::Held, on::On, on_accept::OnAccept, tokens::Tokens,
};
pub use http::{
    answer::Refusal,
    endpoint::Endpoint,
    log::{RecordedRequest, Requests},
};
pub use issuer::MockIssuer;
pub use jws::{Signing, TokenDraft, tamper::Tamper};
pub use oidc::{
    client::{Client, NewClient},
    keys::Keys,
    mint::{Mint, Minted},
};
pub use persons::{NewPerson, Person};
pub use probe::{Finding, Probe, Report, Verdict, verify_against};
pub use records::{file::FileSnapshot, old_secret::OldSecret, verification::Verification};
pub use remote::{
    NewRemotePerson, RemoteError, RemoteFault, RemoteMock, RemoteOn, RemotePerson, RemoteRule,
    RemoteWebhooks,
};
pub use switches::{Switches, signatures::DeliverySignatures};
pub use tenants::Tenant;
pub use webhooks::{Webhooks, endpoint::WebhookEndpoint, manual::ManualDelivery};
