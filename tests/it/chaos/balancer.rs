//! A load balancer, as nginx is set up: each request goes to the instance whose turn it is, and to
//! the other one if the first could not be connected to. Only a `GET` is sent twice if it was.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicUsize, Ordering},
};

use axum::{
    Router,
    body::{Body, Bytes, to_bytes},
    extract::Request,
    http::{Method, StatusCode, Uri, request::Parts},
    response::{IntoResponse as _, Response},
};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use tokio::{net::TcpListener, task::JoinHandle};

use crate::app_process::MARK;

/// An answer of the balancer's own bears it.
pub(crate) const OWN: &str = "x-balancer";
/// An answer to a request that another instance may have begun with bears it.
pub(crate) const SECOND: &str = "x-second";

const MAX_BODY: usize = 1 << 20;

/// Cheap to clone.
#[derive(Clone)]
pub(crate) struct Balancer(Arc<Inner>);

struct Inner {
    client: Client<HttpConnector, Body>,
    places: [Mutex<Place>; 2],
    turn: AtomicUsize,
    broken_off: AtomicUsize,
}

/// Where an instance is.
#[derive(Debug, Clone, Copy, Default)]
struct Place {
    port: u16,
    /// It has so many predecessors.
    life: usize,
    is_dying: bool,
}

enum Sent {
    Answered(Response),
    /// It cannot have arrived.
    Rejected,
    BrokenOff,
}

impl Balancer {
    pub(crate) fn new() -> Self {
        Self(Arc::new(Inner {
            client: Client::builder(TokioExecutor::new()).build_http(),
            places: Default::default(),
            turn: AtomicUsize::new(0),
            broken_off: AtomicUsize::new(0),
        }))
    }

    pub(crate) fn serve(&self, listener: TcpListener) -> JoinHandle<()> {
        let own = self.clone();
        let forward = async move |request: Request| own.forward(request).await;
        tokio::spawn(async move {
            let app = Router::new().fallback(forward);
            axum::serve(listener, app).await.unwrap();
        })
    }

    /// From here on this instance may break off.
    pub(crate) fn expects_death(&self, at: usize) {
        self.0.places[at].lock().unwrap().is_dying = true;
    }

    /// The instance is there now.
    pub(crate) fn is_at(&self, at: usize, port: u16) {
        let mut place = self.0.places[at].lock().unwrap();
        *place = Place {
            port,
            life: place.life + 1,
            is_dying: false,
        };
    }

    /// How often an instance broke off that was not to die.
    pub(crate) fn broken_off(&self) -> usize {
        self.0.broken_off.load(Ordering::SeqCst)
    }

    async fn forward(&self, request: Request) -> Response {
        let (parts, body) = request.into_parts();
        let Ok(body) = to_bytes(body, MAX_BODY).await else {
            return StatusCode::BAD_REQUEST.into_response();
        };
        let first = self.0.turn.fetch_add(1, Ordering::SeqCst);
        let mut may_have_arrived = false;
        for at in [first % 2, (first + 1) % 2] {
            match self.send(at, &parts, body.clone()).await {
                Sent::Answered(mut answer) => {
                    if may_have_arrived {
                        answer.headers_mut().insert(SECOND, 1.into());
                    }
                    return answer;
                }
                Sent::Rejected => {}
                Sent::BrokenOff if parts.method == Method::GET => may_have_arrived = true,
                Sent::BrokenOff => break,
            }
        }
        (StatusCode::BAD_GATEWAY, [(OWN, "1")]).into_response()
    }

    async fn send(&self, at: usize, parts: &Parts, body: Bytes) -> Sent {
        let place = *self.0.places[at].lock().unwrap();
        let path = parts.uri.path_and_query().map_or("/", |it| it.as_str());
        let uri: Uri = format!("http://127.0.0.1:{}{path}", place.port)
            .parse()
            .unwrap();
        let mut request = Request::new(Body::from(body));
        *request.method_mut() = parts.method.clone();
        *request.uri_mut() = uri;
        *request.headers_mut() = parts.headers.clone();
        let answer = match self.0.client.request(request).await {
            Ok(answer) => answer,
            Err(error) if error.is_connect() => return Sent::Rejected,
            Err(_) => return self.broke_off(at, place),
        };
        if !answer.headers().contains_key(MARK) {
            // Somebody else has the port of the dead.
            return Sent::Rejected;
        }
        let (head, body) = answer.into_parts();
        match to_bytes(Body::new(body), MAX_BODY).await {
            Ok(body) => Sent::Answered(Response::from_parts(head, Body::from(body))),
            Err(_) => self.broke_off(at, place),
        }
    }

    fn broke_off(&self, at: usize, then: Place) -> Sent {
        let now = *self.0.places[at].lock().unwrap();
        if now.life == then.life && !now.is_dying {
            self.0.broken_off.fetch_add(1, Ordering::SeqCst);
        }
        Sent::BrokenOff
    }
}
