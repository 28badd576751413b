//! The axum floor: the login router, the session layer, and the extractors.

mod assess;
mod bearer;
mod callback;
mod capture;
mod capture_error;
mod context;
mod cookies;
mod csrf;
mod decided;
mod guard;
mod headers;
mod layer;
mod login;
mod logout;
mod me;
mod memory_store;
mod page;
mod pending;
mod problem;
mod problem_json;
mod random;
mod records;
mod redirect;
mod return_to;
mod router;
mod sessions;
mod settings;
mod shortfall;
mod signed_in;
mod step_up;
mod tokens;

pub use bearer::{BearerLayer, BearerRejection, BearerService, BearerToken};
pub use capture::CaptureUpload;
pub use capture_error::CaptureError;
pub use context::LayerMissing;
pub use guard::{Assured, Guard, GuardMissing, GuardService};
pub use layer::{SessionLayer, SessionService};
pub use memory_store::MemoryStore;
pub use records::StoreUnavailable;
pub use settings::SignedOutMe;
pub use signed_in::{SignedIn, SignedInRejection};
pub use tokens::AccessTokenError;
pub use tower_sessions::SessionStore;

pub(crate) use cookies::CookieNames;
pub(crate) use sessions::SessionLimits;
pub(crate) use settings::Settings;

use std::sync::Arc;

use axum::Router;

use futures_util::FutureExt as _;

use crate::{
    cases::OnDecided,
    clock::Clock,
    kyc::{Assurances, StatusClient},
    oidc::OidcClient,
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
        let news = decided::News {
            status: self.status.clone(),
            assurances: self.assurances.clone(),
            issuer: self.oidc.issuer().to_owned(),
            client_id: self.oidc.client_id().to_owned(),
            clock: Arc::clone(&self.clock),
        };
        Arc::new(move |case, decision| news.clone().spread(case, decision).boxed())
    }

    pub(crate) fn require(tier: KycTier) -> Guard {
        Guard::new(tier)
    }

    pub(crate) fn bearer_layer(&self) -> BearerLayer {
        BearerLayer::new(self.oidc.clone())
    }
}
