//! The axum floor: the login router, the session layer, and the extractors.

mod assess;
mod bearer;
mod callback;
mod capture;
mod capture_error;
mod claims;
mod context;
mod cookies;
mod csrf;
mod epochs;
mod guard;
mod headers;
mod layer;
mod login;
mod logout;
mod me;
mod memory_store;
mod news;
mod page;
mod pending;
mod people;
mod problem;
mod problem_json;
mod random;
mod ready;
mod records;
mod redirect;
mod reference;
mod return_to;
mod router;
mod sealed_store;
mod sealing_keys;
mod session_id;
mod session_records;
mod sessions;
mod settings;
mod shortfall;
mod signed_in;
mod step_up;
mod store_check;
mod tokens;
mod unavailable;
mod webhooks;

pub use bearer::{BearerLayer, BearerRejection, BearerService, BearerToken};
pub use capture::CaptureUpload;
pub use capture_error::CaptureError;
pub use context::LayerMissing;
pub use guard::{Assured, Guard, GuardMissing, GuardService};
pub use layer::{SessionLayer, SessionService};
pub use memory_store::MemoryStore;
pub use people::{SessionSummary, Sessions};
pub use ready::Readiness;
pub use records::StoreUnavailable;
pub use sealed_store::SealedStore;
pub use sealing_keys::{SealingKeys, SealingKeysError};
pub use session_id::{NoSessionId, SessionId};
pub use sessions::Ended;
pub use settings::SignedOutMe;
pub use signed_in::{SignedIn, SignedInRejection};
pub use tokens::AccessTokenError;
pub use tower_sessions::SessionStore;
pub use webhooks::{
    Delivery, ReceiverError, UnknownEvents, WebhookReceiver, WebhookReceiverBuilder,
};

pub(crate) use cookies::CookieNames;
pub(crate) use epochs::LONGEST_SESSION;
pub(crate) use sessions::SessionLimits;
pub(crate) use settings::Settings;
pub(crate) use store_check::StoreCheck;

use std::sync::Arc;

use axum::Router;

use futures_util::FutureExt as _;

use crate::{
    cases::{CaseClient, OnDecided},
    clock::Clock,
    kyc::{Assurances, StatusClient},
    oidc::OidcClient,
    webhook::WebhookVerifierBuilder,
    wire::kyc::KycTier,
};
use context::Shared;
use records::Records;

/// The web floor of one relying party. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Web {
    oidc: OidcClient,
    status: StatusClient,
    settings: Arc<Settings>,
    assurances: Assurances,
    clock: Arc<dyn Clock>,
}

impl Web {
    pub(crate) fn new(
        oidc: OidcClient,
        status: StatusClient,
        settings: Settings,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self {
            oidc,
            status,
            assurances: Assurances::new(Arc::clone(&settings.cache), Arc::clone(&clock)),
            settings: Arc::new(settings),
            clock,
        }
    }

    pub(crate) fn router<S: Clone + Send + Sync + 'static>(&self) -> Router<S> {
        router::router(&self.settings)
    }

    pub(crate) fn session_layer(&self, store: impl SessionStore) -> SessionLayer {
        SessionLayer::new(Shared::new(
            self.oidc.clone(),
            self.status.clone(),
            Arc::clone(&self.settings),
            Arc::clone(&self.clock),
            self.assurances.clone(),
            Records::new(store),
        ))
    }

    /// What makes a decision felt by the live sessions of whose case it was.
    pub(crate) fn on_decided(&self) -> OnDecided {
        let news = self.news();
        Arc::new(move |case, decision| news.clone().of_decision(case, decision).boxed())
    }

    /// A receiver that believes whom `verifier` believes.
    pub(crate) fn webhooks<H, F, E>(
        &self,
        verifier: WebhookVerifierBuilder,
        cases: CaseClient,
        handler: H,
    ) -> WebhookReceiverBuilder
    where
        H: Fn(Delivery) -> F + Send + Sync + 'static,
        F: Future<Output = Result<(), E>> + Send + 'static,
    {
        WebhookReceiverBuilder::new(verifier.build(), handler)
            .clock(Arc::clone(&self.clock))
            .log_key(self.settings.log_key.clone())
            .told(webhooks::Told::new(self.news(), cases))
    }

    fn news(&self) -> news::News {
        news::News {
            status: self.status.clone(),
            assurances: self.assurances.clone(),
            issuer: self.oidc.issuer().to_owned(),
            client_id: self.oidc.client_id().to_owned(),
            clock: Arc::clone(&self.clock),
            skew: self.settings.skew,
        }
    }

    pub(crate) fn require(tier: KycTier) -> Guard {
        Guard::new(tier)
    }

    pub(crate) fn bearer_layer(&self) -> BearerLayer {
        BearerLayer::new(self.oidc.clone())
    }
}
