//! What was installed to go wrong, and how often it still will.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use axum::http::{HeaderMap, HeaderName, HeaderValue};
use serde_json::Value;

use crate::mock::{
    deliveries::{course::Course, draft::DeliveryDraft, hold::Hold},
    http::{
        breakage::{Breakage, Unread},
        endpoint::Endpoint,
    },
    jws::TokenDraft,
    waits::latch::Latch,
};

/// The rules of one issuer, oldest first.
#[derive(Default)]
pub(in crate::mock) struct Rules(Vec<Arc<Installed>>);

impl Rules {
    pub(in crate::mock) fn install(&mut self, rule: &Arc<Installed>) {
        self.0.push(Arc::clone(rule));
    }

    pub(in crate::mock) fn remove(&mut self, rule: &Arc<Installed>) {
        self.0.retain(|own| !Arc::ptr_eq(own, rule));
    }

    /// The one rule whose turn it is: those with a limit before those without, so that a fault
    /// for once shows through one for always; the oldest first, so that faults come in the order
    /// they were asked for.
    pub(in crate::mock) fn take(
        &mut self,
        spot: Spot<'_>,
        wanted: impl Fn(&Effect) -> bool,
    ) -> Option<Arc<Installed>> {
        let live = |r: &&Arc<Installed>| r.is_live() && r.spot_is(spot) && wanted(&r.effect);
        let limited = self.0.iter().filter(live).find(|rule| rule.is_limited());
        let rule = Arc::clone(limited.or_else(|| self.0.iter().find(live))?);
        rule.hit();
        Some(rule)
    }

    /// Every rule that applies, oldest first.
    pub(in crate::mock) fn take_all(
        &mut self,
        spot: Spot<'_>,
        wanted: impl Fn(&Effect) -> bool,
    ) -> Vec<Arc<Installed>> {
        let live = |r: &&Arc<Installed>| r.is_live() && r.spot_is(spot) && wanted(&r.effect);
        let rules: Vec<_> = self.0.iter().filter(live).cloned().collect();
        for rule in &rules {
            rule.hit();
        }
        rules
    }
}

/// A point on the way of a request where rules are asked for.
#[derive(Clone, Copy)]
pub(in crate::mock) enum Spot<'a> {
    /// When a connection has come, and nothing of it is read.
    Accept,
    /// Before the endpoint does its work.
    Before(Endpoint),
    /// When its work is done.
    After(Endpoint),
    /// When an ID token of this person is about to be signed.
    IdToken(&'a str),
    /// When an access token of this person is about to be signed.
    AccessToken(&'a str),
    /// When an event is about to be sent to this tenant.
    Delivery(&'a str),
}

/// Where a rule applies.
#[derive(Clone)]
pub(in crate::mock) enum Place {
    Accept,
    Before(Endpoint),
    After(Endpoint),
    /// Of one person, or of anyone.
    IdToken(Option<String>),
    AccessToken(Option<String>),
    /// To one tenant.
    Delivery(String),
}

pub(super) type Edit<T> = Box<dyn Fn(&mut T) + Send + Sync>;

pub(in crate::mock) enum Effect {
    Unread(Unread),
    Break(Breakage),
    Delay(std::time::Duration),
    Hold(Arc<Latch>),
    /// Cuts the connection when so many bytes of the request's body have come.
    CutAfter(u64),
    /// Reads so many bytes of the request's body, and the rest when the latch opens.
    HoldAfter(u64, Arc<Latch>),
    /// Nothing but the rule's headers.
    Headers,
    EditJson(Edit<Value>),
    EditParams(Edit<Vec<(String, String)>>),
    EditToken(Edit<TokenDraft>),
    EditDelivery(Edit<DeliveryDraft>),
    EditCourse(Edit<Course>),
    DelayDelivery(std::time::Duration),
    HoldDelivery(Arc<Hold>),
}

pub(in crate::mock) struct Installed {
    pub(in crate::mock) name: String,
    pub(in crate::mock) place: Place,
    pub(in crate::mock) effect: Effect,
    pub(in crate::mock) headers: Vec<(HeaderName, HeaderValue)>,
    /// How often it still applies; none for always.
    left: Option<AtomicU64>,
    hits: AtomicU64,
}

impl Installed {
    pub(in crate::mock) fn new(
        name: String,
        place: Place,
        effect: Effect,
        headers: Vec<(HeaderName, HeaderValue)>,
        times: Option<u64>,
    ) -> Self {
        Self {
            name,
            place,
            effect,
            headers,
            left: times.map(AtomicU64::new),
            hits: AtomicU64::new(0),
        }
    }

    /// How often it still applies; none for always.
    pub(in crate::mock) fn left(&self) -> Option<u64> {
        self.left.as_ref().map(|left| left.load(Ordering::SeqCst))
    }

    pub(in crate::mock) fn hits(&self) -> u64 {
        self.hits.load(Ordering::SeqCst)
    }

    pub(in crate::mock) fn add_headers(&self, headers: &mut HeaderMap) {
        for (name, value) in &self.headers {
            headers.append(name.clone(), value.clone());
        }
    }

    fn is_limited(&self) -> bool {
        self.left.is_some()
    }

    fn is_live(&self) -> bool {
        self.left
            .as_ref()
            .is_none_or(|left| left.load(Ordering::SeqCst) > 0)
    }

    /// Called with the rules locked, so that no two requests take the last one.
    fn hit(&self) {
        if let Some(left) = &self.left {
            left.store(
                left.load(Ordering::SeqCst).saturating_sub(1),
                Ordering::SeqCst,
            );
        }
        self.hits.fetch_add(1, Ordering::SeqCst);
    }

    fn spot_is(&self, spot: Spot<'_>) -> bool {
        let same = |own: &Option<String>, id: &str| own.as_deref().is_none_or(|own| own == id);
        match (&self.place, spot) {
            (Place::Accept, Spot::Accept) => true,
            (Place::Before(own), Spot::Before(endpoint))
            | (Place::After(own), Spot::After(endpoint)) => *own == endpoint,
            (Place::IdToken(own), Spot::IdToken(id))
            | (Place::AccessToken(own), Spot::AccessToken(id)) => same(own, id),
            (Place::Delivery(own), Spot::Delivery(tenant)) => own == tenant,
            _ => false,
        }
    }
}
