//! Webhook receiver as a service.

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

/// Minimum time between two diagnoses of a signature mismatch.
const DIAGNOSIS_INTERVAL: Duration = Duration::from_secs(60);
/// Maximum length of a body to diagnose, in bytes. A diagnosis hashes the body about twelve times.
const MAX_DIAGNOSED_BYTES: usize = 64 * 1024;

/// Service that receives KYCPort's webhooks, for `Router::route_service`. The
/// method [`RelyingParty::webhooks`](crate::RelyingParty::webhooks) creates the service. To create
/// the service without a relying party, call [`builder`](Self::builder). The service is cheap to
/// clone, and all clones share one receiver.
///
/// The service checks each delivery in this order. The first check that fails determines the
/// response:
///
/// | check | response if it fails |
/// |---|---|
/// | the method is POST | 405 |
/// | the headers contain a signature | 401 |
/// | the body has at most 1 MiB and arrives within 10 s | 413; 408; 400 if it is incomplete |
/// | the body arrives at 1 KiB/s or more, after 5 s of grace | 408 |
/// | the body is not the slowest when a new body needs its place | 408 |
/// | the signature over the raw bytes matches one of the secrets | 401 |
/// | the body is an event, at most 96 h old and at most 5 min ahead | 400 |
/// | the type of the event is known | 200, and a log line |
/// | fewer than 64 handlers are running | 503, `Retry-After` |
/// | the app knows the person, if the app has a [resolver](crate::web::WebhookReceiverBuilder::person) | 503, `Retry-After` |
/// | the event was not completed before | 200 |
/// | no other delivery of the event is being handled | 409, `Retry-After` |
/// | the store works | 503, `Retry-After` |
/// | KYCPort answers the status query, if there is a tenant key | 503, `Retry-After` |
/// | the handler succeeds within 10 s | 500 |
/// | the completion is recorded | 503, `Retry-After`; 409 if another delivery has the lease |
///
/// If all checks pass, the response is 200. The service reads at most 1,024 small bodies at the
/// same time (declared length 16 KiB or less). The service reads at most 256 larger bodies at the
/// same time, with at most 48 MiB in total. If a further request arrives, the service drops the
/// request with the slowest body and responds to it with 408. Slow clients therefore cannot block
/// deliveries.
///
/// After any response other than 2xx, KYCPort redelivers the event (K62). After the signature is
/// verified, a separate task processes the delivery. The processing therefore continues if the
/// client disconnects. A handler that exceeds its time limit is dropped at its next `await`. A
/// handler that never awaits cannot be stopped.
///
/// A handler handles every event at least once, but two handlers never handle one event
/// simultaneously. After the receiver has recorded the completion, no handler gets the event again.
/// The event takes effect exactly once if the handler completes the event in a transaction of the
/// app: see [`Delivery::lease`](crate::web::Delivery::lease).
#[derive(Clone)]
pub struct WebhookReceiver {
    inner: Arc<Inner>,
}

struct Inner {
    intake: Intake,
    processing: Processing,
    log_key: LogKey,
    clock: Arc<dyn Clock>,
    /// Time of the last diagnosis of a signature mismatch.
    diagnosed: Mutex<Option<Duration>>,
    /// Reserves the name while the receiver exists.
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
            // The event is signed, but the name of an unknown type is still untrusted text.
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
            // The runtime is shutting down.
            Err(_) => respond(Outcome::Busy),
        }
    }
}

impl Inner {
    /// Logs the probable reason of a signature mismatch.
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
