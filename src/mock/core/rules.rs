//! Installed faults, and the number of times that each fault can still apply.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use axum::http::{HeaderMap, HeaderName, HeaderValue};
use serde_json::Value;

use crate::mock::{
    deliveries::{draft::DeliveryDraft, hold::Hold, send_plan::SendPlan},
    http::{
        broken_response::{AcceptFault, BrokenResponse},
        endpoint::Endpoint,
    },
    jws::TokenDraft,
    waits::latch::Latch,
};

/// Installed rules of one issuer, oldest first.
#[derive(Default)]
pub(in crate::mock) struct Rules(Vec<Arc<Installed>>);

impl Rules {
    pub(in crate::mock) fn install(&mut self, rule: &Arc<Installed>) {
        self.0.push(Arc::clone(rule));
    }

    pub(in crate::mock) fn remove(&mut self, rule: &Arc<Installed>) {
        self.0.retain(|own| !Arc::ptr_eq(own, rule));
    }

    /// Returns the rule that applies to a hook, and counts one use of the rule.
    ///
    /// Rules with a limit precede rules without a limit. A one-time fault therefore takes
    /// precedence over a permanent fault. Of two rules with a limit, or two rules without a limit,
    /// the older rule comes first.
    pub(in crate::mock) fn take(
        &mut self,
        hook: Hook<'_>,
        wanted: impl Fn(&Effect) -> bool,
    ) -> Option<Arc<Installed>> {
        let live = |r: &&Arc<Installed>| r.is_live() && r.applies_to(hook) && wanted(&r.effect);
        let limited = self.0.iter().filter(live).find(|rule| rule.is_limited());
        let rule = Arc::clone(limited.or_else(|| self.0.iter().find(live))?);
        rule.hit();
        Some(rule)
    }

    /// Returns every rule that applies to a hook, oldest first, and counts one use of each rule.
    pub(in crate::mock) fn take_all(
        &mut self,
        hook: Hook<'_>,
        wanted: impl Fn(&Effect) -> bool,
    ) -> Vec<Arc<Installed>> {
        let live = |r: &&Arc<Installed>| r.is_live() && r.applies_to(hook) && wanted(&r.effect);
        let rules: Vec<_> = self.0.iter().filter(live).cloned().collect();
        for rule in &rules {
            rule.hit();
        }
        rules
    }
}

/// Point in the processing of a request at which rules apply.
#[derive(Clone, Copy)]
pub(in crate::mock) enum Hook<'a> {
    /// The server has accepted a new connection and has not read from the connection yet.
    Accept,
    /// The endpoint has not started to process the request.
    Before(Endpoint),
    /// The endpoint has processed the request.
    After(Endpoint),
    /// The issuer is about to sign an ID token of this person.
    IdToken(&'a str),
    /// The issuer is about to sign an access token of this person.
    AccessToken(&'a str),
    /// The issuer is about to send an event to this tenant.
    Delivery(&'a str),
}

/// Hooks at which a rule applies.
#[derive(Clone)]
pub(in crate::mock) enum Place {
    Accept,
    Before(Endpoint),
    After(Endpoint),
    /// The tokens of one person, or of all persons if the value is `None`.
    IdToken(Option<String>),
    AccessToken(Option<String>),
    /// The deliveries to one tenant.
    Delivery(String),
}

pub(super) type Edit<T> = Box<dyn Fn(&mut T) + Send + Sync>;

pub(in crate::mock) enum Effect {
    Accept(AcceptFault),
    Break(BrokenResponse),
    Delay(std::time::Duration),
    Hold(Arc<Latch>),
    /// Cuts the connection after this many bytes of the request body.
    CutAfter(u64),
    /// Reads this many bytes of the request body. Reads the remaining bytes after the latch has
    /// opened.
    HoldAfter(u64, Arc<Latch>),
    /// Only adds the headers of the rule to the response.
    Headers,
    EditJson(Edit<Value>),
    EditParams(Edit<Vec<(String, String)>>),
    EditToken(Edit<TokenDraft>),
    EditDelivery(Edit<DeliveryDraft>),
    EditSendPlan(Edit<SendPlan>),
    DelayDelivery(std::time::Duration),
    HoldDelivery(Arc<Hold>),
}

pub(in crate::mock) struct Installed {
    pub(in crate::mock) name: String,
    pub(in crate::mock) place: Place,
    pub(in crate::mock) effect: Effect,
    pub(in crate::mock) headers: Vec<(HeaderName, HeaderValue)>,
    /// Remaining number of uses, or `None` without a limit.
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

    /// Returns the remaining number of uses, or `None` without a limit.
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

    /// Counts one use. The caller must hold the lock of the rules. Otherwise two requests could
    /// share the last use.
    fn hit(&self) {
        if let Some(left) = &self.left {
            left.store(
                left.load(Ordering::SeqCst).saturating_sub(1),
                Ordering::SeqCst,
            );
        }
        self.hits.fetch_add(1, Ordering::SeqCst);
    }

    fn applies_to(&self, hook: Hook<'_>) -> bool {
        let same = |own: &Option<String>, id: &str| own.as_deref().is_none_or(|own| own == id);
        match (&self.place, hook) {
            (Place::Accept, Hook::Accept) => true,
            (Place::Before(own), Hook::Before(endpoint))
            | (Place::After(own), Hook::After(endpoint)) => *own == endpoint,
            (Place::IdToken(own), Hook::IdToken(id))
            | (Place::AccessToken(own), Hook::AccessToken(id)) => same(own, id),
            (Place::Delivery(own), Hook::Delivery(tenant)) => own == tenant,
            _ => false,
        }
    }
}
