//! Handle to a running mock issuer.

mod edit;
mod environment;

use std::{
    fmt::{self, Debug},
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use crate::{
    clock::TestClock,
    mock::{
        admin::Admin,
        blocking::Blocking,
        browser::Browser,
        cases::Cases,
        core::{Core, lock},
        error::MockError,
        faults::{on::On, on_accept::OnAccept, tokens::Tokens},
        http::{
            endpoint::Endpoint,
            log::{RecordedRequest, Requests},
            segment,
        },
        oidc::{
            client::{Client, NewClient},
            keys::Keys,
            mint::Mint,
        },
        persons::{NewPerson, Person},
        server::{Port, Server},
        switches::Switches,
        tenants::Tenant,
        webhooks::Webhooks,
    },
};

/// Handle to a running mock issuer. The issuer stops when the last clone of the handle is dropped.
///
/// A new mock has two clients, which belong to two tenants: a confidential client
/// ([`client`](Self::client)) and a public client ([`public_client`](Self::public_client)). The
/// test creates the persons.
#[derive(Clone)]
pub struct MockIssuer {
    inner: Arc<Inner>,
}

struct Inner {
    core: Arc<Core>,
    server: Mutex<Listening>,
    admin: Option<Arc<Admin>>,
    address: SocketAddr,
    client: Client,
    public_client: Client,
    tenant: Tenant,
    other_tenant: Tenant,
    blocking: Blocking,
}

enum Listening {
    Up(Server),
    Down(Port),
    /// State while `stop` or `restart` runs, and after a failed `stop` or `restart`.
    Gone,
}

impl MockIssuer {
    pub(super) fn new(
        core: Arc<Core>,
        port: Port,
        admin: Option<Arc<Admin>>,
        client: Client,
        public_client: Client,
    ) -> Result<Self, MockError> {
        let address = port.address();
        let server = Server::start(Arc::clone(&core), port, admin.clone())?;
        let tenant = Tenant::ensure(Arc::clone(&core), client.tenant());
        let other_tenant = Tenant::ensure(Arc::clone(&core), public_client.tenant());
        Ok(Self {
            inner: Arc::new(Inner {
                core,
                server: Mutex::new(Listening::Up(server)),
                admin,
                address,
                client,
                public_client,
                tenant,
                other_tenant,
                blocking: Blocking::default(),
            }),
        })
    }

    /// Returns the issuer identifier, which is `iss` in tokens and `issuer` in the metadata
    /// ([K2](crate::guide::contract)).
    pub fn issuer(&self) -> &str {
        &self.core().issuer
    }

    /// Returns the origin of the issuer, without a trailing slash.
    pub fn origin(&self) -> &str {
        &self.core().origin
    }

    /// Returns the socket address on which the issuer listens. Browsers may use [another host
    /// name](Self::origin).
    pub fn address(&self) -> SocketAddr {
        self.inner.address
    }

    /// Returns the mock's CA certificate in PEM, if the mock uses
    /// [TLS](super::MockIssuerBuilder::tls).
    pub fn root_pem(&self) -> Option<&str> {
        self.core().tls.as_ref().map(|tls| tls.root_pem.as_str())
    }

    /// Returns the URL of the discovery document. As in production, this URL is not the issuer
    /// identifier with a suffix ([K1](crate::guide::contract), [K2](crate::guide::contract)).
    pub fn discovery_url(&self) -> String {
        self.url(Endpoint::Discovery)
    }

    /// Returns the URL of the [admin API](super::MockIssuerBuilder::admin), or `None` if the admin
    /// API is disabled.
    pub fn admin_url(&self) -> Option<String> {
        self.inner
            .admin
            .as_ref()
            .map(|admin| admin.overview().admin_url)
    }

    /// Returns the token that clients on other machines must send to the admin API and the console.
    /// Returns `None` if the [admin API](super::MockIssuerBuilder::admin) is disabled.
    pub fn admin_token(&self) -> Option<&str> {
        let has_admin = self.inner.admin.is_some();
        has_admin.then_some(self.core().access.token.as_str())
    }

    /// Returns the base URL of the tenant API, without `/api/v1/…` ([K40](crate::guide::contract)).
    pub fn api_base_url(&self) -> &str {
        self.origin()
    }

    /// Returns the URL of an endpoint. For the status of a person, use
    /// [`status_url`](Self::status_url).
    pub fn url(&self, endpoint: Endpoint) -> String {
        format!("{}{}", self.origin(), endpoint.path())
    }

    /// Returns the status URL of a person. Encodes the ID as one path segment
    /// ([K40](crate::guide::contract)).
    pub fn status_url(&self, person_id: &str) -> String {
        let id = segment::encode(person_id);
        self.url(Endpoint::Status).replace("{person_id}", &id)
    }

    /// Returns the initial confidential client.
    pub fn client(&self) -> &Client {
        &self.inner.client
    }

    /// Returns the initial public client. The public client and [`client`](Self::client) belong to
    /// different tenants.
    pub fn public_client(&self) -> &Client {
        &self.inner.public_client
    }

    /// Returns the tenant of [`client`](Self::client).
    pub fn tenant(&self) -> &Tenant {
        &self.inner.tenant
    }

    /// Returns the tenant of [`public_client`](Self::public_client).
    pub fn other_tenant(&self) -> &Tenant {
        &self.inner.other_tenant
    }

    /// Returns the tenant of a client.
    pub fn tenant_of(&self, client: &Client) -> Tenant {
        Tenant::ensure(Arc::clone(self.core()), client.tenant())
    }

    /// Returns a builder for another client. Default: a confidential client.
    pub fn add_client(&self, name: &str) -> NewClient {
        NewClient::new(Arc::clone(self.core()), name)
    }

    /// Returns a builder for a person. `slug` is a short name that the test chooses.
    pub fn person(&self, slug: &str) -> NewPerson {
        NewPerson::new(Arc::clone(self.core()), slug)
    }

    /// Finds a person by slug, ID or email address.
    pub fn find_person(&self, hint: &str) -> Option<Person> {
        let record = self.core().person(hint)?;
        Some(Person::new(Arc::clone(self.core()), &record))
    }

    /// Returns the handle to the signing keys.
    pub fn keys(&self) -> Keys {
        Keys::new(Arc::clone(self.core()))
    }

    /// Returns the issuer's clock. The app under test should also use this clock.
    pub fn clock(&self) -> &TestClock {
        &self.core().clock
    }

    /// Changes the [`Switches`] while the issuer runs.
    pub fn switch(&self, change: impl FnOnce(&mut Switches)) {
        self.core().switch(change);
    }

    /// Returns the requests that one endpoint has received so far.
    pub fn requests(&self, endpoint: Endpoint) -> Requests {
        self.core().log().requests(endpoint)
    }

    /// Returns the last 10,000 requests, oldest first, including requests whose path matches no
    /// endpoint.
    pub fn all_requests(&self) -> Vec<RecordedRequest> {
        self.core().log().all()
    }

    /// Clears the request log and resets its counts to zero.
    pub fn forget_requests(&self) {
        self.core().log().clear();
    }

    /// Ends every browser session at the issuer. A login with `prompt=none` then fails
    /// ([K17](crate::guide::contract)).
    pub fn sign_everyone_out(&self) {
        self.core().grants().close_sessions();
    }

    /// Returns the handle to the verification cases and their decisions.
    pub fn cases(&self) -> Cases {
        Cases::new(Arc::clone(self.core()))
    }

    /// Returns the handle to the webhook deliveries for the tenant of [`client`](Self::client).
    pub fn webhooks(&self) -> Webhooks {
        self.tenant().webhooks()
    }

    /// Returns the builder for faults at an endpoint.
    pub fn on(&self, endpoint: Endpoint) -> On {
        On::new(Arc::clone(self.core()), endpoint)
    }

    /// Returns the builder for faults of new connections, which act before the server reads from
    /// the connection.
    pub fn on_accept(&self) -> OnAccept {
        OnAccept::new(Arc::clone(self.core()))
    }

    /// Returns the builder for faults that affect the tokens of all persons.
    pub fn tokens(&self) -> Tokens {
        Tokens::new(Arc::clone(self.core()), None)
    }

    /// Returns the builder for faults that affect the tokens of one person.
    pub fn tokens_for(&self, person: &Person) -> Tokens {
        Tokens::new(Arc::clone(self.core()), Some(person))
    }

    /// Returns a builder that signs tokens without a login.
    pub fn mint(&self) -> Mint {
        Mint::new(Arc::clone(self.core()))
    }

    /// Creates a test browser that uses the clock of this issuer and trusts the issuer's
    /// certificate.
    pub fn browser(&self) -> Browser {
        let browser = Browser::with_clock(self.clock().clone());
        match self.root_pem() {
            Some(root) => browser.trust_only(root),
            None => browser,
        }
    }

    /// Runs a future to completion, for a test that is not async. Spawned tasks, such as the app
    /// that [`serve`](Self::serve) runs, continue until the last handle to this issuer is dropped.
    ///
    /// ```
    /// use kycport::{KycTier, mock::MockIssuer};
    ///
    /// # fn app(config: kycport::ConfigBuilder) -> axum::Router {
    /// #     let kycport = kycport::RelyingParty::new(config.build().unwrap()).unwrap();
    /// #     let home = axum::routing::get(async |person: kycport::SignedIn| person.subject().to_owned());
    /// #     let app = axum::Router::new().route("/", home).merge(kycport.router());
    /// #     app.layer(kycport.session_layer())
    /// # }
    /// // In a plain `#[test]`:
    /// let kyc = MockIssuer::start_blocking();
    /// let app = kyc.block_on(kyc.serve(app))?;
    /// let ada = kyc.person("ada").tier(KycTier::T2).create();
    /// let page = kyc.block_on(kyc.browser().sign_in(app.url("/"), &ada))?;
    /// assert_eq!(page.assert_ok().body(), ada.id());
    /// kyc.webhooks().subscribe(app.url("/webhooks/kycport"));
    /// ada.reject();
    /// kyc.block_on(kyc.webhooks().settled());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Panics
    /// Panics if the caller is within an async runtime. An async caller must use `.await`.
    pub fn block_on<F: Future>(&self, future: F) -> F::Output {
        self.inner.blocking.block_on(future)
    }

    /// Stops the issuer. The issuer closes all connections and refuses new connections. The issuer
    /// keeps its state and its port for [`restart`](Self::restart).
    ///
    /// # Errors
    /// [`MockError::Listen`] if another process has taken the port.
    pub fn stop(&self) -> Result<(), MockError> {
        let mut state = lock(&self.inner.server);
        match std::mem::replace(&mut *state, Listening::Gone) {
            Listening::Up(server) => *state = Listening::Down(server.stop()?),
            other => *state = other,
        }
        Ok(())
    }

    /// Restarts a [stopped](Self::stop) issuer on the same port and with the same state.
    ///
    /// # Errors
    /// [`MockError::Listen`] if the issuer cannot listen on the port.
    pub fn restart(&self) -> Result<(), MockError> {
        let mut state = lock(&self.inner.server);
        match std::mem::replace(&mut *state, Listening::Gone) {
            Listening::Down(port) => {
                *state = Listening::Up(Server::start(
                    Arc::clone(self.core()),
                    port,
                    self.inner.admin.clone(),
                )?);
            }
            other => *state = other,
        }
        Ok(())
    }

    pub(super) fn core(&self) -> &Arc<Core> {
        &self.inner.core
    }
}

impl Debug for MockIssuer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MockIssuer")
            .field("origin", &self.origin())
            .finish_non_exhaustive()
    }
}
