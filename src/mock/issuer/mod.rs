//! The handle to a running mock.

mod edit;
mod environment;

use std::{
    fmt::{self, Debug},
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use url::form_urlencoded;

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

/// A running mock issuer. It listens exactly as long as a clone of this handle lives.
///
/// Two clients are there from the start, of two tenants: a confidential one
/// ([`client`](Self::client)) and a public one ([`public_client`](Self::public_client)). Persons
/// are created by the test.
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
    /// Only while it changes, or when the port was lost.
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

    /// The issuer identifier, in `iss` and in the metadata (K2).
    pub fn issuer(&self) -> &str {
        &self.core().issuer
    }

    /// Where it is reached, without a slash at the end.
    pub fn origin(&self) -> &str {
        &self.core().origin
    }

    /// Where it listens. Browsers may know it by [another name](Self::origin).
    pub fn address(&self) -> SocketAddr {
        self.inner.address
    }

    /// The certificate of the authority that vouches for it, in PEM, if it speaks
    /// [TLS](super::MockIssuerBuilder::tls).
    pub fn root_pem(&self) -> Option<&str> {
        self.core().tls.as_ref().map(|tls| tls.root_pem.as_str())
    }

    /// Where its discovery document is. As in production, that is not the issuer with a suffix
    /// (K1, K2).
    pub fn discovery_url(&self) -> String {
        self.url(Endpoint::Discovery)
    }

    /// Where its [admin API](super::MockIssuerBuilder::admin) is, if it has one.
    pub fn admin_url(&self) -> Option<String> {
        self.inner
            .admin
            .as_ref()
            .map(|admin| admin.overview().admin_url)
    }

    /// Token that the admin API and the console ask other machines for; none if the mock has no
    /// [admin API](super::MockIssuerBuilder::admin).
    pub fn admin_token(&self) -> Option<&str> {
        let has_admin = self.inner.admin.is_some();
        has_admin.then_some(self.core().access.token.as_str())
    }

    /// The base of the API, to which `/api/v1/…` is appended (K40).
    pub fn api_base_url(&self) -> &str {
        self.origin()
    }

    /// The address of an endpoint. That of a person's status is [`status_url`](Self::status_url).
    pub fn url(&self, endpoint: Endpoint) -> String {
        format!("{}{}", self.origin(), endpoint.path())
    }

    /// The address of a person's status, the id as one segment whatever is in it (K40).
    pub fn status_url(&self, person_id: &str) -> String {
        let id: String = form_urlencoded::byte_serialize(person_id.as_bytes()).collect();
        let id = id.replace('+', "%20");
        self.url(Endpoint::Status).replace("{person_id}", &id)
    }

    /// The confidential client that is there from the start.
    pub fn client(&self) -> &Client {
        &self.inner.client
    }

    /// The public client that is there from the start, of another tenant.
    pub fn public_client(&self) -> &Client {
        &self.inner.public_client
    }

    /// The tenant of [`client`](Self::client).
    pub fn tenant(&self) -> &Tenant {
        &self.inner.tenant
    }

    /// The tenant of [`public_client`](Self::public_client).
    pub fn other_tenant(&self) -> &Tenant {
        &self.inner.other_tenant
    }

    /// The tenant of any client.
    pub fn tenant_of(&self, client: &Client) -> Tenant {
        Tenant::ensure(Arc::clone(self.core()), client.tenant())
    }

    /// One more client, confidential unless told otherwise.
    pub fn add_client(&self, name: &str) -> NewClient {
        NewClient::new(Arc::clone(self.core()), name)
    }

    /// A person to create, by the short name that the test uses.
    pub fn person(&self, slug: &str) -> NewPerson {
        NewPerson::new(Arc::clone(self.core()), slug)
    }

    /// A person that was created, by slug, id or email address.
    pub fn find_person(&self, hint: &str) -> Option<Person> {
        let record = self.core().person(hint)?;
        Some(Person::new(Arc::clone(self.core()), &record))
    }

    /// The signing keys.
    pub fn keys(&self) -> Keys {
        Keys::new(Arc::clone(self.core()))
    }

    /// The issuer's clock; share it with the app under test.
    pub fn clock(&self) -> &TestClock {
        &self.core().clock
    }

    /// Changes the [`Switches`] while it runs.
    pub fn switch(&self, change: impl FnOnce(&mut Switches)) {
        self.core().switch(change);
    }

    /// The requests that one endpoint got so far.
    pub fn requests(&self, endpoint: Endpoint) -> Requests {
        self.core().log().requests(endpoint)
    }

    /// All requests so far, oldest first, those to no endpoint too; the last 10,000.
    pub fn all_requests(&self) -> Vec<RecordedRequest> {
        self.core().log().all()
    }

    /// Empties the log of requests and sets its counts to zero.
    pub fn forget_requests(&self) {
        self.core().log().clear();
    }

    /// Ends every session that a browser has here: `prompt=none` fails from here (K17).
    pub fn sign_everyone_out(&self) {
        self.core().grants().close_sessions();
    }

    /// The verification cases, and what their decisions are to be.
    pub fn cases(&self) -> Cases {
        Cases::new(Arc::clone(self.core()))
    }

    /// What is delivered to the tenant of [`client`](Self::client).
    pub fn webhooks(&self) -> Webhooks {
        self.tenant().webhooks()
    }

    /// What is to go wrong at an endpoint.
    pub fn on(&self, endpoint: Endpoint) -> On {
        On::new(Arc::clone(self.core()), endpoint)
    }

    /// What is to go wrong with connections, before anything of them is read.
    pub fn on_accept(&self) -> OnAccept {
        OnAccept::new(Arc::clone(self.core()))
    }

    /// Bends the tokens that anyone gets.
    pub fn tokens(&self) -> Tokens {
        Tokens::new(Arc::clone(self.core()), None)
    }

    /// Bends the tokens that one person gets.
    pub fn tokens_for(&self, person: &Person) -> Tokens {
        Tokens::new(Arc::clone(self.core()), Some(person))
    }

    /// Signs tokens without a login.
    pub fn mint(&self) -> Mint {
        Mint::new(Arc::clone(self.core()))
    }

    /// A test browser on this issuer's clock, which trusts its certificate.
    pub fn browser(&self) -> Browser {
        let browser = Browser::with_clock(self.clock().clone());
        match self.root_pem() {
            Some(root) => browser.trust_only(root),
            None => browser,
        }
    }

    /// Waits for a future, from a test that is not async. What was spawned in one call, such as the
    /// app that [`serve`](Self::serve) runs, goes on until the last handle to this issuer is gone.
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
    /// Within a runtime, where there is `.await`.
    pub fn block_on<F: Future>(&self, future: F) -> F::Output {
        self.inner.blocking.block_on(future)
    }

    /// Takes the issuer down: every connection ends and the port refuses. Everything it knows is
    /// kept for [`restart`](Self::restart), and so is the port.
    ///
    /// # Errors
    /// [`MockError::Listen`] if another process took the port in that moment.
    pub fn stop(&self) -> Result<(), MockError> {
        let mut state = lock(&self.inner.server);
        match std::mem::replace(&mut *state, Listening::Gone) {
            Listening::Up(server) => *state = Listening::Down(server.stop()?),
            other => *state = other,
        }
        Ok(())
    }

    /// Brings a [stopped](Self::stop) issuer back, on the same port, with all it knew.
    ///
    /// # Errors
    /// [`MockError::Listen`] if the port cannot be listened on.
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
