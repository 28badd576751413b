//! Web layer for axum: the login router, the session layer, and the extractors.

mod capture;
mod context;
mod evaluation;
mod guard;
mod login;
mod pages;
mod pending;
mod ready;
mod request;
mod router;
mod session;
mod settings;
mod signed_in;
mod webhooks;

pub use capture::error::CaptureError;
pub use capture::upload::CaptureUpload;
pub use context::MissingSessionLayer;
pub use guard::bearer::{BearerLayer, BearerRejection, BearerService, BearerToken};
pub use guard::layer::{AcceptedAssurance, Guard, GuardService, MissingGuard};
pub use ready::Readiness;
pub use session::{
    AccessTokenError, InvalidSessionId, Revocation, SessionId, SessionSummary, Sessions,
};
pub use settings::{SignedOutMe, StepUpHint};
pub use signed_in::extractor::{SignedIn, SignedInRejection};
pub use signed_in::layer::{SessionLayer, SessionService};
pub use webhooks::{
    Delivery, ReceiverError, UnknownEventPolicy, WebhookReceiver, WebhookReceiverBuilder,
};

pub use crate::state::{SealingKeys, SealingKeysError};

pub(crate) use request::cookies::CookieNames;
pub(crate) use session::{LONGEST_SESSION, SessionLimits};
pub(crate) use settings::Settings;

use std::sync::Arc;

use axum::{Router, routing::MethodRouter};

use futures_util::FutureExt as _;

use crate::{
    cases::{CaseClient, OnDecided},
    clock::Clock,
    kyc::{Assurances, StatusClient},
    observe,
    oidc::OidcClient,
    state::{Namespace, State},
    store::{MemoryStore, Properties, StoreError},
    webhook::WebhookVerifierBuilder,
    wire::kyc::KycTier,
};
use context::Shared;

/// Maximum number of sessions in memory, if no store is configured.
const MEMORY_SESSIONS: usize = 100_000;

/// Web layer of one relying party. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Web {
    oidc: OidcClient,
    status: StatusClient,
    settings: Arc<Settings>,
    assurances: Assurances,
    clock: Arc<dyn Clock>,
    shared: Shared,
    probe: ready::Probe,
    receivers: webhooks::ReceiverNames,
}

impl Web {
    pub(crate) fn new(
        oidc: OidcClient,
        status: StatusClient,
        settings: Settings,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let store = settings.store.clone().unwrap_or_else(|| {
            observe::state_in_memory();
            Arc::new(MemoryStore::new(MEMORY_SESSIONS, Arc::clone(&clock)))
        });
        let namespace = Namespace::of(oidc.issuer(), oidc.client_id());
        let state = State::new(store, namespace, settings.sealing_keys.clone());
        let settings = Arc::new(settings);
        let assurances = Assurances::new(state.clone());
        let probe = ready::Probe::new(oidc.clone(), state.clone(), Arc::clone(&clock));
        let shared = Shared::new(
            oidc.clone(),
            status.clone(),
            Arc::clone(&settings),
            Arc::clone(&clock),
            assurances.clone(),
            state,
        );
        Self {
            oidc,
            status,
            assurances,
            settings,
            clock,
            shared,
            probe,
            receivers: webhooks::ReceiverNames::default(),
        }
    }

    pub(crate) fn router<S: Clone + Send + Sync + 'static>(&self) -> Router<S> {
        router::router(&self.settings)
    }

    pub(crate) fn session_layer(&self) -> SessionLayer {
        SessionLayer::new(self.shared.clone())
    }

    pub(crate) fn sessions(&self) -> Sessions {
        self.shared.administration()
    }

    pub(crate) async fn readiness(&self) -> Readiness {
        self.probe.readiness().await
    }

    pub(crate) fn ready_route<S: Clone + Send + Sync + 'static>(&self) -> MethodRouter<S> {
        self.probe.route()
    }

    /// Checks the store, for the doctor.
    pub(crate) async fn check_store(&self) -> (Properties, Result<(), StoreError>) {
        let state = self.shared.state();
        (state.properties(), state.check().await)
    }

    /// Returns the function that updates the active sessions of a person after a decision.
    pub(crate) fn on_decided(&self) -> OnDecided {
        let updater = self.assurance_updater();
        Arc::new(move |case, decision| updater.clone().apply_decision(case, decision).boxed())
    }

    /// Returns a builder for a webhook receiver. The receiver accepts a delivery if `verifier`
    /// accepts it.
    pub(crate) fn webhooks<H, F, E>(
        &self,
        verifier: WebhookVerifierBuilder,
        cases: CaseClient,
        handler: H,
    ) -> WebhookReceiverBuilder
    where
        H: Fn(Delivery) -> F + Send + Sync + 'static,
        F: Future<Output = Result<(), E>> + Send + 'static,
        E: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        WebhookReceiverBuilder::new(verifier.build(), handler)
            .clock(Arc::clone(&self.clock))
            .log_key(self.settings.log_key.clone())
            .keeping_in(self.shared.state(), self.receivers.clone())
            .updates(webhooks::EventUpdates::new(
                self.assurance_updater(),
                cases,
                self.oidc.status_aliases().clone(),
            ))
    }

    fn assurance_updater(&self) -> webhooks::AssuranceUpdater {
        webhooks::AssuranceUpdater {
            status: self.status.clone(),
            assurances: self.assurances.clone(),
            clock: Arc::clone(&self.clock),
            skew: self.settings.skew,
        }
    }

    pub(crate) fn require(tier: KycTier) -> Guard {
        Guard::new(tier)
    }

    pub(crate) fn bearer_layer(&self) -> BearerLayer {
        BearerLayer::new(
            self.oidc.clone(),
            self.shared.sessions().clone(),
            self.settings.skew,
        )
    }
}
