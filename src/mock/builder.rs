//! How a mock is set up.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::Arc,
};

use crate::{
    clock::TestClock,
    mock::{
        access::Access,
        admin::{Admin, Opened, Sandboxes},
        core::Core,
        error::MockError,
        http::{
            log::{RecordedRequest, Watcher},
            tls::{Tls, TlsPlan, TlsVersions},
        },
        issuer::MockIssuer,
        overview::Overview,
        random,
        server::Port,
        start::Start,
        switches::Switches,
    },
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
#[expect(
    clippy::struct_excessive_bools,
    reason = "independent flags, each set by a method of its own"
)]
pub struct MockIssuerBuilder {
    address: SocketAddr,
    bind_any: bool,
    public_origin: Option<String>,
    issuer: Option<String>,
    clock: TestClock,
    switches: Switches,
    console: bool,
    tls: Option<TlsPlan>,
    has_admin: bool,
    admin_token: Option<String>,
    webhooks_anywhere: bool,
    watcher: Option<Watcher>,
    start: Start,
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
            console: false,
            tls: None,
            has_admin: false,
            admin_token: None,
            webhooks_anywhere: false,
            watcher: None,
            start: Start::default(),
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
    /// asked and what was delivered, with buttons for what a test does in code. Browsers on other
    /// machines, or of a mock with a public origin, are asked for the [token](Self::admin_token).
    pub fn console(mut self) -> Self {
        self.console = true;
        self
    }

    /// Creates five persons, from verified to expired, for a page that people look at.
    pub fn with_sample_persons(mut self) -> Self {
        self.start.sample_persons = true;
        self
    }

    /// Serves the admin API below `/__mock/` too: what the handles do, over HTTP and in JSON, for
    /// tests in other languages. `/__mock/openapi.json` describes it.
    ///
    /// It hands out every secret of the mock. Programs on this machine need no password if the mock's
    /// origin is a loopback address or `localhost`. All others send the
    /// [token](Self::admin_token), as `Authorization: Bearer` or as the password of the URL. No page
    /// of another site is answered: a web page that is open in a browser on this machine cannot drive
    /// it.
    ///
    /// ```
    /// # use kycport::mock::MockIssuer;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let kyc = MockIssuer::builder().admin().start().await?;
    /// let persons = format!("{}/persons", kyc.admin_url().unwrap_or_default());
    /// kyc.browser().get(persons).await?.assert_ok();
    /// # Ok(())
    /// # }
    /// ```
    pub fn admin(mut self) -> Self {
        self.has_admin = true;
        self
    }

    /// Sets the token that the admin API and the console ask other machines for. Default: a random
    /// one, which [`MockIssuer::admin_token`] gives. An empty one stands for that too.
    pub fn admin_token(mut self, token: &str) -> Self {
        self.admin_token = Some(token.to_owned()).filter(|token| !token.is_empty());
        self
    }

    /// Lets the admin API subscribe webhook endpoints on other machines. A client of the admin API
    /// can then make the mock send POST requests to any address that the mock reaches. Default: only
    /// loopback addresses and `localhost`.
    pub fn danger_webhooks_anywhere(mut self) -> Self {
        self.webhooks_anywhere = true;
        self
    }

    /// Is told of each request to the issuer when it is answered, on the thread that serves. Its
    /// `Debug` is a line without a secret.
    pub fn watch_requests(
        mut self,
        watch: impl Fn(&RecordedRequest) + Send + Sync + 'static,
    ) -> Self {
        self.watcher = Some(Watcher::new(watch));
        self
    }

    /// Begins with this besides.
    #[cfg(feature = "mock-cli")]
    pub(super) fn begin_with(mut self, start: Start) -> Self {
        let sample_persons = self.start.sample_persons || start.sample_persons;
        self.start = Start {
            sample_persons,
            ..start
        };
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
    pub fn start_blocking(mut self) -> Result<MockIssuer, MockError> {
        if !self.bind_any && !self.address.ip().is_loopback() {
            return Err(MockError::NotLoopback(self.address));
        }
        // Sandboxes have the same.
        self.admin_token.get_or_insert_with(random::token);
        let sandboxes = self.sandboxes();
        self.start_with(sandboxes)
    }

    fn start_with(self, sandboxes: Sandboxes) -> Result<MockIssuer, MockError> {
        let port = Port::bind(self.address)?;
        let address = reachable(port.address());
        let tls = self.tls.map(|plan| Tls::new(&plan, address.ip()));
        let tls = tls.transpose().map_err(MockError::Certificate)?;
        let scheme = if tls.is_some() { "https" } else { "http" };
        let origin = self
            .public_origin
            .unwrap_or_else(|| format!("{scheme}://{address}"));
        let issuer = self.issuer.unwrap_or_else(|| origin.clone());
        let (clock, switches, watcher) = (self.clock, self.switches, self.watcher);
        let access = Access {
            has_console: self.console || self.has_admin,
            webhooks_anywhere: self.webhooks_anywhere,
            token: self.admin_token.unwrap_or_else(random::token),
        };
        let core = Core::new(clock, origin, issuer, tls, access, switches, watcher);
        let core = Arc::new(core);
        let (client, public_client) = self.start.begin(&core)?;
        let admin = self.has_admin.then(|| {
            let records = (client.record().clone(), public_client.record().clone());
            Arc::new(Admin::new(
                Arc::clone(&core),
                records.0,
                records.1,
                sandboxes,
            ))
        });
        MockIssuer::new(core, port, admin, client, public_client)
    }

    /// Issuers like this one, each with a port and a clock of its own.
    fn sandboxes(&self) -> Sandboxes {
        if !self.has_admin {
            return Sandboxes::default();
        }
        let mut plan = self.clone();
        plan.address.set_port(0);
        plan.public_origin = None;
        Sandboxes::new(move || {
            let mut plan = plan.clone();
            plan.clock = TestClock::new();
            let kyc = plan.start_with(Sandboxes::default())?;
            let (client, public) = (kyc.client().record(), kyc.public_client().record());
            Ok(Opened {
                overview: Overview::of(kyc.core(), client, public),
                issuer: Box::new(kyc),
            })
        })
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
