//! From a webhook to the open page: whose status changed, and who listens.

use std::convert::Infallible;

use axum::{
    extract::State,
    response::{
        Sse,
        sse::{Event, KeepAlive},
    },
};
use futures_util::{Stream, stream};
use kycport::{SignedIn, web::Delivery};
use tokio::sync::broadcast::{self, error::RecvError};

/// Of whom there is news. A page that misses some looks again anyway.
#[derive(Clone)]
pub(crate) struct News(broadcast::Sender<String>);

impl News {
    pub(crate) fn new() -> Self {
        Self(broadcast::channel(64).0)
    }

    /// What the app does with each event of KYCPort's, once. Guards know of it already.
    pub(crate) fn tell(&self, delivery: &Delivery) {
        if let Some(person) = delivery.event().person_id() {
            // Nobody may be listening.
            let _ = self.0.send(person.to_owned());
        }
    }
}

/// Tells the page of whoever is signed in that there is news of them, and not what it is.
pub(crate) async fn news(
    State(news): State<News>,
    person: SignedIn,
) -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
    let listening = (news.0.subscribe(), person.subject().to_owned());
    let told = stream::unfold(listening, async |(mut news, person)| {
        loop {
            match news.recv().await {
                Ok(of) if of == person => break,
                Ok(_) => {}
                // Perhaps of this person.
                Err(RecvError::Lagged(_)) => break,
                Err(RecvError::Closed) => return None,
            }
        }
        Some((Ok(Event::default().data("look")), (news, person)))
    });
    Sse::new(told).keep_alive(KeepAlive::default())
}
