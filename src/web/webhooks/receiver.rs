//! The service that is mounted.

use std::{
    convert::Infallible,
    fmt,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
    time::Duration,
};

use axum::{extract::Request, response::Response};
use futures_util::future::BoxFuture;
use http::Method;
use tower_service::Service;

use super::{
    answer::Outcome,
    intake::{Intake, Mismatch},
    names::ReceiverName,
    processing::{Processed, Processing},
};
use crate::{
    clock::Clock,
    observe::{self, DeliverySpan, EventName, LogKey},
    oidc::printable,
    web::request::reference::Reference,
    webhook::Event,
};

/// The reason of a mismatch is looked for no more often.
const DIAGNOSIS_INTERVAL: Duration = Duration::from_secs(60);
/// … and only in bodies of so many bytes: it hashes each a dozen times.
const MAX_DIAGNOSED_BYTES: usize = 64 * 1024;

/// Receives KYCPort's webhooks: a service for `Router::route_service`. Made by
/// [`RelyingParty::webhooks`](crate::RelyingParty::webhooks) or, for a service that does only that,
/// by [`builder`](Self::builder). Cheap to clone; clones are the same receiver.
///
/// A delivery goes through these, and the first that says no answers:
///
/// | step | answer if not |
/// |---|---|
/// | POST | 405 |
/// | a signature in the headers | 401 |
/// | a body of 1 MiB at most, within 10 s | 413; 408; 400 if it breaks off |
/// | no slower than 1 KiB/s, with 5 s of grace | 408 |
/// | not the slowest when a new body needs its place | 408 |
/// | the signature is by one of the secrets, over these very bytes | 401 |
/// | an event, 96 h old at most and no more than 5 min ahead | 400 |
/// | of a type that is known | 200, and the log says so |
/// | not too many handled at once (64) | 503, `Retry-After` |
/// | not done before | 200 |
/// | nobody else has it | 409, `Retry-After` |
/// | the store works | 503, `Retry-After` |
/// | KYCPort says where the person stands, if there is a tenant key | 503, `Retry-After` |
/// | the handler ends well within 10 s | 500 |
/// | that is remembered | 503, `Retry-After`; 409 if another has the event by now |
///
/// and then it is 200. Bodies that declare 16 KiB or less have 1,024 places, and all others share
/// 256 places and 48 MiB. When the places are taken, a new body gets the place of the slowest, so
/// that clients which send slowly keep no delivery out.
///
/// Everything but 2xx makes KYCPort come again (K62). From the claim on it runs
/// in a task of its own: a client that hangs up changes nothing. What is over the handler's deadline
/// is dropped at its next `await`; a handler that never awaits cannot be stopped.
///
/// An event takes effect at least once, never twice at the same time, and not again once its effect
/// is remembered. It takes effect exactly once if the handler settles it in its own transaction:
/// see [`Delivery::lease`](crate::web::Delivery::lease).
#[derive(Clone)]
pub struct WebhookReceiver {
    inner: Arc<Inner>,
}

struct Inner {
    intake: Intake,
    processing: Processing,
    log_key: LogKey,
    clock: Arc<dyn Clock>,
    /// When a mismatch was last looked into.
    diagnosed: Mutex<Option<Duration>>,
    /// The name stays taken while the receiver exists.
    _name: Arc<ReceiverName>,
}

impl WebhookReceiver {
    pub(super) fn new(
        intake: Intake,
        processing: Processing,
        log_key: LogKey,
        clock: Arc<dyn Clock>,
        name: Arc<ReceiverName>,
    ) -> Self {
        Self {
            inner: Arc::new(Inner {
                intake,
                processing,
                log_key,
                clock,
                diagnosed: Mutex::default(),
                _name: name,
            }),
        }
    }

    async fn receive(&self, request: Request) -> Response {
        let reference = Reference::default();
        observe::receive(&reference, |span| self.take(request, span, &reference)).await
    }

    async fn take(&self, request: Request, span: DeliverySpan, reference: &Reference) -> Response {
        let inner = &self.inner;
        let respond = |outcome: Outcome| {
            span.end(outcome.delivered(None), outcome.code(), None, reference);
            outcome.answer(reference.as_str())
        };
        if *request.method() != Method::POST {
            return respond(Outcome::MethodNotAllowed);
        }
        let verified = match inner.intake.take(request).await {
            Ok(verified) => verified,
            Err((outcome, mismatch)) => {
                if let Some(mismatch) = mismatch {
                    inner.diagnose(&mismatch);
                }
                return respond(outcome);
            }
        };
        let (own, its_span) = (Arc::clone(inner), span.clone());
        let drawn = reference.as_str().to_owned();
        let task = tokio::spawn(span.around(async move {
            let Processed {
                outcome,
                event,
                error,
            } = own.processing.process(verified).await;
            let key = event.as_ref().map(Event::key);
            // A type that is not known is text from outside, though it was signed.
            let event_type = event.map(|event| printable(event.event_type()));
            let name = key.as_ref().zip(event_type.as_deref());
            let name = name.map(|(key, event_type)| EventName {
                event: own.log_key.event(key.as_str()),
                event_type,
            });
            let delivered = outcome.delivered(error.as_deref());
            its_span.end(delivered, outcome.code(), name, &drawn);
            outcome.answer(&drawn)
        }));
        match task.await {
            Ok(response) => response,
            // The runtime is ending.
            Err(_) => respond(Outcome::Busy),
        }
    }
}

impl Inner {
    /// For the log of whoever sets webhooks up.
    fn diagnose(&self, mismatch: &Mismatch) {
        if mismatch.body.len() > MAX_DIAGNOSED_BYTES {
            return;
        }
        let now = self.clock.monotonic();
        {
            let mut last = self
                .diagnosed
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            if last.is_some_and(|last| now.saturating_sub(last) < DIAGNOSIS_INTERVAL) {
                return;
            }
            *last = Some(now);
        }
        let verifier = &self.intake.verifier;
        let diagnosis = verifier.diagnose(&mismatch.headers, &mismatch.body);
        observe::signature_mismatch(&diagnosis);
    }
}

impl Service<Request> for WebhookReceiver {
    type Response = Response;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request) -> Self::Future {
        let own = self.clone();
        Box::pin(async move { Ok(own.receive(request).await) })
    }
}

impl fmt::Debug for WebhookReceiver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WebhookReceiver")
            .field("verifier", &self.inner.intake.verifier)
            .field("processing", &self.inner.processing)
            .finish_non_exhaustive()
    }
}
