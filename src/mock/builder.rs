//! How a mock is set up.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::Arc,
};

use super::{
    core::Core,
    error::MockError,
    issuer::MockIssuer,
    server::{Port, Server},
    switches::Switches,
    tls::{Tls, TlsPlan, TlsVersions},
};
use crate::{
    clock::TestClock,
    wire::kyc::{KycStatus, KycTier},
};

/// How a mock comes to be.
impl MockIssuer {
    /// Starts a mock on a random loopback port.
    ///
    /// # Panics
    /// If no loopback port can be bound or no thread be started.
    #[expect(clippy::panic, reason = "a test without its issuer can only fail")]
    pub async fn start() -> Self {
        match Self::builder().start().await {
            Ok(kyc) => kyc,
            Err(error) => panic!("{error}"),
        }
    }

    /// Starts a mock on a random loopback port, from a test that is not async.
    ///
    /// # Panics
    /// If no loopback port can be bound or no thread be started.
    #[expect(clippy::panic, reason = "a test without its issuer can only fail")]
    pub fn start_blocking() -> Self {
        match Self::builder().start_blocking() {
            Ok(kyc) => kyc,
            Err(error) => panic!("{error}"),
        }
    }

    /// Sets up a mock that is not like any other.
    pub fn builder() -> MockIssuerBuilder {
        MockIssuerBuilder::new()
    }
}

/// Sets up a [`MockIssuer`].
#[derive(Debug, Clone)]
#[must_use = "a mock is started by `start`"]
pub struct MockIssuerBuilder {
    address: SocketAddr,
    bind_any: bool,
    public_origin: Option<String>,
    issuer: Option<String>,
    clock: TestClock,
    switches: Switches,
    sample_persons: bool,
    console: bool,
    tls: Option<TlsPlan>,
}

impl MockIssuerBuilder {
    fn new() -> Self {
        Self {
            address: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            bind_any: false,
            public_origin: None,
            issuer: None,
            clock: TestClock::new(),
            switches: Switches::default(),
            sample_persons: false,
            console: false,
            tls: None,
        }
    }

    /// Sets the address to listen on; `127.0.0.1` and a random port otherwise. Only a loopback
    /// address is taken.
    pub fn bind(mut self, address: SocketAddr) -> Self {
        self.address = address;
        self
    }

    /// Listens on this address, even one that others can reach. Whoever reaches it can sign in as
    /// anyone.
    pub fn danger_bind_any(mut self, address: SocketAddr) -> Self {
        self.bind_any = true;
        self.bind(address)
    }

    /// Sets the origin that the documents and links name, where browsers reach the mock by
    /// another address than it binds; without a slash at the end.
    pub fn public_origin(mut self, origin: &str) -> Self {
        self.public_origin = Some(origin.to_owned());
        self
    }

    /// Claims this issuer instead of the server's origin (K2).
    pub fn issuer(mut self, issuer: &str) -> Self {
        self.issuer = Some(issuer.to_owned());
        self
    }

    /// Speaks TLS 1.2 and 1.3, with a certificate for its address, `127.0.0.1`, `::1` and
    /// `localhost` that a certificate authority of its own signs, made at the start (K90). What
    /// [`MockIssuer::config`] gives trusts that authority alone, and so does
    /// [`MockIssuer::browser`]; for others there is [`MockIssuer::root_pem`].
    pub fn tls(mut self) -> Self {
        self.tls.get_or_insert_default();
        self
    }

    /// Speaks TLS with a certificate for this name or address and no other: it is the wrong one at
    /// the mock's own address.
    pub fn tls_for(mut self, name: &str) -> Self {
        self.tls.get_or_insert_default().name = Some(name.to_owned());
        self
    }

    /// Speaks TLS 1.2 and nothing newer (K70).
    pub fn tls_1_2(mut self) -> Self {
        self.tls.get_or_insert_default().versions = TlsVersions::Old;
        self
    }

    /// Shares a clock with the issuer.
    pub fn clock(mut self, clock: TestClock) -> Self {
        self.clock = clock;
        self
    }

    /// Changes the [`Switches`].
    pub fn switch(mut self, change: impl FnOnce(&mut Switches)) -> Self {
        change(&mut self.switches);
        self
    }

    /// Allows at once what `login_hint` names a person for: see [`Switches::auto_consent`].
    pub fn auto_consent(self, on: bool) -> Self {
        self.switch(|switches| switches.auto_consent = on)
    }

    /// Names the parameter that carries the requested tier: see [`Switches::tier_parameter`].
    pub fn tier_parameter(self, name: &str) -> Self {
        self.switch(|switches| name.clone_into(&mut switches.tier_parameter))
    }

    /// Issues refresh tokens: see [`Switches::issue_refresh_tokens`].
    pub fn issue_refresh_tokens(self, on: bool) -> Self {
        self.switch(|switches| switches.issue_refresh_tokens = on)
    }

    /// Shows a page at `/`, for people: who is here and how far they are verified, cases, what was
    /// asked and what was delivered, with buttons for what a test does in code. Whoever reaches it
    /// can change everyone.
    pub fn console(mut self) -> Self {
        self.console = true;
        self
    }

    /// Creates five persons, from verified to expired, for a page that people look at.
    pub fn with_sample_persons(mut self) -> Self {
        self.sample_persons = true;
        self
    }

    /// Starts it.
    ///
    /// # Errors
    /// [`MockError::NotLoopback`], [`MockError::Listen`] if the address is taken, or
    /// [`MockError::Certificate`] if none can be made for the name.
    #[expect(
        clippy::unused_async,
        reason = "async like everything around it in a test; what it does takes no time"
    )]
    pub async fn start(self) -> Result<MockIssuer, MockError> {
        self.start_blocking()
    }

    /// Starts it, from a test that is not async.
    ///
    /// # Errors
    /// [`MockError::NotLoopback`], [`MockError::Listen`] if the address is taken, or
    /// [`MockError::Certificate`] if none can be made for the name.
    pub fn start_blocking(self) -> Result<MockIssuer, MockError> {
        if !self.bind_any && !self.address.ip().is_loopback() {
            return Err(MockError::NotLoopback(self.address));
        }
        let port = Port::bind(self.address)?;
        let address = reachable(port.address());
        let tls = self.tls.map(|plan| Tls::new(&plan, address.ip()));
        let tls = tls.transpose().map_err(MockError::Certificate)?;
        let scheme = if tls.is_some() { "https" } else { "http" };
        let origin = self
            .public_origin
            .unwrap_or_else(|| format!("{scheme}://{address}"));
        let issuer = self.issuer.unwrap_or_else(|| origin.clone());
        let core = Core::new(self.clock, origin, issuer, tls, self.console, self.switches);
        let core = Arc::new(core);
        let server = Server::start(Arc::clone(&core), port)?;
        let kyc = MockIssuer::new(core, server);
        if self.sample_persons {
            sample_persons(&kyc);
        }
        Ok(kyc)
    }
}

/// Where one that listens everywhere is reached from here.
fn reachable(mut address: SocketAddr) -> SocketAddr {
    match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => address.set_ip(Ipv4Addr::LOCALHOST.into()),
        IpAddr::V6(ip) if ip.is_unspecified() => address.set_ip(Ipv6Addr::LOCALHOST.into()),
        _ => {}
    }
    address
}

fn sample_persons(kyc: &MockIssuer) {
    for (slug, name, status, tier) in [
        ("ada", "Ada Lovelace", KycStatus::Verified, KycTier::T2),
        ("grace", "Grace Hopper", KycStatus::Verified, KycTier::T1),
        ("alan", "Alan Turing", KycStatus::Pending, KycTier::T0),
        ("mary", "Mary Shelley", KycStatus::Rejected, KycTier::T0),
        ("edgar", "Edgar Codd", KycStatus::Expired, KycTier::T2),
    ] {
        let clear = status != KycStatus::Rejected;
        kyc.person(slug)
            .name(name)
            .status(status)
            .tier(tier)
            .aml_clear(clear)
            .create();
    }
}
