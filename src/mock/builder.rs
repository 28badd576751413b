//! Builder for the mock.

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
        start::InitialState,
        switches::Switches,
    },
};

/// Functions that create a mock.
impl MockIssuer {
    /// Starts a mock on a random loopback port.
    ///
    /// # Panics
    /// Panics if the mock cannot bind a loopback port or cannot start a thread.
    #[expect(clippy::panic, reason = "a test cannot continue without its issuer")]
    pub async fn start() -> Self {
        match Self::builder().start().await {
            Ok(kyc) => kyc,
            Err(error) => panic!("{error}"),
        }
    }

    /// Starts a mock on a random loopback port from a test that is not async.
    ///
    /// # Panics
    /// Panics if the mock cannot bind a loopback port or cannot start a thread.
    #[expect(clippy::panic, reason = "a test cannot continue without its issuer")]
    pub fn start_blocking() -> Self {
        match Self::builder().start_blocking() {
            Ok(kyc) => kyc,
            Err(error) => panic!("{error}"),
        }
    }

    /// Returns a builder, which creates a mock with custom settings.
    pub fn builder() -> MockIssuerBuilder {
        MockIssuerBuilder::new()
    }
}

/// Builder for a [`MockIssuer`].
#[derive(Debug, Clone)]
#[must_use = "call `start` to start the mock"]
#[expect(
    clippy::struct_excessive_bools,
    reason = "independent flags, each with its own setter"
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
    start: InitialState,
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
            start: InitialState::default(),
        }
    }

    /// Sets the address to listen on, which must be a loopback address. Default: `127.0.0.1` and a
    /// random port.
    pub fn bind(mut self, address: SocketAddr) -> Self {
        self.address = address;
        self
    }

    /// Sets the address to listen on, even if other machines can reach it. Anyone who can reach the
    /// mock can sign in as any person.
    pub fn danger_bind_any(mut self, address: SocketAddr) -> Self {
        self.bind_any = true;
        self.bind(address)
    }

    /// Sets the origin in documents and links, without a slash at the end. Set the origin if
    /// browsers reach the mock at another address than the listening address.
    pub fn public_origin(mut self, origin: &str) -> Self {
        self.public_origin = Some(origin.to_owned());
        self
    }

    /// Sets the issuer identifier (K2). Default: the origin.
    pub fn issuer(mut self, issuer: &str) -> Self {
        self.issuer = Some(issuer.to_owned());
        self
    }

    /// Serves TLS 1.2 and 1.3 (K90). The certificate is valid for the mock's address, `127.0.0.1`,
    /// `::1` and `localhost`. The mock generates a certificate authority when it starts. This
    /// certificate authority signs the TLS certificate.
    ///
    /// [`MockIssuer::config`] and [`MockIssuer::browser`] trust only the mock's certificate
    /// authority. Other clients can use [`MockIssuer::root_pem`].
    pub fn tls(mut self) -> Self {
        self.tls.get_or_insert_default();
        self
    }

    /// Serves TLS with a certificate that is valid only for this host name or IP address. The
    /// certificate is not valid for the mock's own address.
    pub fn tls_for(mut self, name: &str) -> Self {
        self.tls.get_or_insert_default().name = Some(name.to_owned());
        self
    }

    /// Serves TLS 1.2 only (K70).
    pub fn tls_1_2(mut self) -> Self {
        self.tls.get_or_insert_default().versions = TlsVersions::Old;
        self
    }

    /// Sets the clock of the issuer. A test can share this clock with the app.
    pub fn clock(mut self, clock: TestClock) -> Self {
        self.clock = clock;
        self
    }

    /// Changes the [`Switches`].
    pub fn switch(mut self, change: impl FnOnce(&mut Switches)) -> Self {
        change(&mut self.switches);
        self
    }

    /// Makes the mock sign in the person in `login_hint` without showing the sign-in page. See
    /// [`Switches::auto_consent`].
    pub fn auto_consent(self, on: bool) -> Self {
        self.switch(|switches| switches.auto_consent = on)
    }

    /// Sets the name of the authorization request parameter that contains the requested tier. See
    /// [`Switches::tier_parameter`].
    pub fn tier_parameter(self, name: &str) -> Self {
        self.switch(|switches| name.clone_into(&mut switches.tier_parameter))
    }

    /// Sets whether the mock issues refresh tokens. See [`Switches::issue_refresh_tokens`].
    pub fn issue_refresh_tokens(self, on: bool) -> Self {
        self.switch(|switches| switches.issue_refresh_tokens = on)
    }

    /// Serves the console at `/`. The console is a page that shows persons, cases, requests and
    /// deliveries, and has buttons that control the mock. Browsers on other machines must send the
    /// [token](Self::admin_token). If the mock has a public origin, every browser must send the
    /// token.
    pub fn console(mut self) -> Self {
        self.console = true;
        self
    }

    /// Creates five sample persons. Two persons are verified, one is pending, one is rejected, and
    /// one is expired.
    pub fn with_sample_persons(mut self) -> Self {
        self.start.sample_persons = true;
        self
    }

    /// Serves the admin API below `/__mock/`. Tests in other languages can call the functions of
    /// the handles over HTTP, with JSON. `/__mock/openapi.json` describes the admin API.
    ///
    /// The admin API returns every secret of the mock. A client on this machine needs no token if
    /// the mock's origin is a loopback address or `localhost`. All other clients must send the
    /// [token](Self::admin_token), as `Authorization: Bearer` or as the password of the URL.
    /// The admin API rejects requests from web pages of other origins.
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

    /// Sets the token that the admin API and the console require from other machines. Default: a
    /// random token, which [`MockIssuer::admin_token`] returns. An empty token selects the default.
    pub fn admin_token(mut self, token: &str) -> Self {
        self.admin_token = Some(token.to_owned()).filter(|token| !token.is_empty());
        self
    }

    /// Lets the admin API subscribe webhook endpoints on other machines. With this setting, a
    /// client of the admin API can make the mock send POST requests to any address that the mock
    /// reaches. Default: The admin API accepts only webhook endpoints at loopback addresses and
    /// `localhost`.
    pub fn danger_webhooks_anywhere(mut self) -> Self {
        self.webhooks_anywhere = true;
        self
    }

    /// Sets a function that the mock calls for each request to the issuer, after the response is
    /// complete. The mock calls the function on the server thread. `Debug` of a request is one line
    /// without secrets.
    pub fn watch_requests(
        mut self,
        watch: impl Fn(&RecordedRequest) + Send + Sync + 'static,
    ) -> Self {
        self.watcher = Some(Watcher::new(watch));
        self
    }

    /// Sets the initial state from a configuration file.
    #[cfg(feature = "mock-cli")]
    pub(super) fn initial_state(mut self, start: InitialState) -> Self {
        let sample_persons = self.start.sample_persons || start.sample_persons;
        self.start = InitialState {
            sample_persons,
            ..start
        };
        self
    }

    /// Starts the mock.
    ///
    /// # Errors
    /// - [`MockError::NotLoopback`] if the address is not a loopback address.
    /// - [`MockError::Listen`] if the address is in use.
    /// - [`MockError::Certificate`] if the mock cannot create a certificate for the name.
    #[expect(
        clippy::unused_async,
        reason = "async like the other functions that a test calls; the start blocks only briefly"
    )]
    pub async fn start(self) -> Result<MockIssuer, MockError> {
        self.start_blocking()
    }

    /// Starts the mock from a test that is not async.
    ///
    /// # Errors
    /// - [`MockError::NotLoopback`] if the address is not a loopback address.
    /// - [`MockError::Listen`] if the address is in use.
    /// - [`MockError::Certificate`] if the mock cannot create a certificate for the name.
    pub fn start_blocking(mut self) -> Result<MockIssuer, MockError> {
        if !self.bind_any && !self.address.ip().is_loopback() {
            return Err(MockError::NotLoopback(self.address));
        }
        // Generate the admin token before the sandboxes, because all sandboxes use this token.
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
        let (client, public_client) = self.start.apply(&core)?;
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

    /// Returns a factory for sandboxes. Each sandbox has the settings of this builder, but its own
    /// port and clock.
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

/// Replaces an unspecified address by the loopback address at which this machine reaches the mock.
fn reachable(mut address: SocketAddr) -> SocketAddr {
    match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => address.set_ip(Ipv4Addr::LOCALHOST.into()),
        IpAddr::V6(ip) if ip.is_unspecified() => address.set_ip(Ipv6Addr::LOCALHOST.into()),
        _ => {}
    }
    address
}
