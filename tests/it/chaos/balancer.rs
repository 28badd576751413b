//! Load balancer that behaves like nginx. The balancer sends requests to the instances in turn. If
//! an instance refuses the connection, the balancer sends the request to the other instance. After
//! a broken connection, the balancer repeats only a `GET`.

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

/// Header of responses that the balancer has created itself.
pub(crate) const OWN: &str = "x-balancer";
/// Header of responses to a request that another instance may already have processed.
pub(crate) const SECOND: &str = "x-second";

const MAX_BODY: usize = 1 << 20;

/// Load balancer. Clones share their state.
#[derive(Clone)]
pub(crate) struct Balancer(Arc<Inner>);

struct Inner {
    client: Client<HttpConnector, Body>,
    places: [Mutex<Place>; 2],
    turn: AtomicUsize,
    broken_off: AtomicUsize,
}

/// Address and state of an instance.
#[derive(Debug, Clone, Copy, Default)]
struct Place {
    port: u16,
    /// Number of earlier processes of this instance.
    life: usize,
    is_dying: bool,
}

enum Sent {
    Answered(Response),
    /// The instance cannot have received the request.
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

    /// Marks an instance as about to be killed. The balancer then expects broken connections to
    /// this instance.
    pub(crate) fn expect_kill(&self, at: usize) {
        self.0.places[at].lock().unwrap().is_dying = true;
    }

    /// Sets the port of the instance that replaces a killed instance.
    pub(crate) fn is_at(&self, at: usize, port: u16) {
        let mut place = self.0.places[at].lock().unwrap();
        *place = Place {
            port,
            life: place.life + 1,
            is_dying: false,
        };
    }

    /// Returns how often a running instance broke a connection.
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
            // Another process now uses the port of the killed instance.
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
