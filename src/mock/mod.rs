//! A strict KYCPort in the same process, for tests and for the examples.
//!
//! [`MockIssuer::start`] listens on a random loopback port, on a thread of its own, for as long as
//! a handle to it lives. It is as strict as KYCPort's documentation reads, and stricter where the
//! standards are: exact redirect URIs, PKCE with S256 alone, codes that work once, client
//! authentication in the body. Every laxness is a named switch ([`Switches`]), and every fact it
//! rests on is a row of [the contract](crate::guide::contract).
//!
//! From nothing to the callback of a signed-in person:
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
//! With an app behind `login_url`, [`Browser::sign_in`] goes all the way and gives the page the
//! person lands on.
//!
//! A test that is not async starts it with [`start_blocking`](MockIssuer::start_blocking) and waits
//! with [`block_on`](MockIssuer::block_on).
//!
//! What happens to a person is delivered to whoever [subscribed](Webhooks), signed and in order, and
//! comes again on the mock's clock until it is taken: `kyc.webhooks().subscribe(url)`,
//! `ada.reject()`, `kyc.webhooks().settled().await`.
//!
//! What can go wrong at an endpoint is in [`On`], from a wrong status to a reset connection:
//! `kyc.on(Endpoint::Token).reset().times(2)`. What can go wrong before an endpoint is known is in
//! [`OnAccept`]. Tokens are bent by [`Tokens`].
//!
//! Besides what a tenant's code calls there are, as in production, the hosted page at which a person
//! verifies ([`Endpoint::Verify`]) and `/llms.txt`, the guidance for coding assistants, in this
//! mock's own addresses ([`Endpoint::LlmsTxt`]).
//!
//! Under TLS it has a certificate authority of its own, which the configuration and the browser
//! that it gives trust alone:
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
//! Whether the live service is as the contract says can be looked at as far as reading goes:
//! [`verify_against`].
//!
//! The mock shares the names of the wire with the SDK and nothing else: its signing, its S256,
//! its HMAC and its rules are its own, so that a wrong rule in the SDK is not mirrored here.

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
pub use cases::{CaseSnapshot, Cases, FileSnapshot};
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
pub use records::{old_secret::OldSecret, verification::Verification};
pub use remote::{
    NewRemotePerson, RemoteError, RemoteFault, RemoteMock, RemoteOn, RemotePerson, RemoteRule,
    RemoteWebhooks,
};
pub use switches::{Switches, signatures::DeliverySignatures};
pub use tenants::Tenant;
pub use webhooks::{Webhooks, by_hand::HandMade, endpoint::WebhookEndpoint};
