//! Server-sent events that tell an open page about a webhook.

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

/// Channel with the ids of people whose status has changed. If a page misses an event, it reads the
/// status at the next event.
#[derive(Clone)]
pub(crate) struct News(broadcast::Sender<String>);

impl News {
    pub(crate) fn new() -> Self {
        Self(broadcast::channel(64).0)
    }

    /// Sends the person of a KYCPort event to all open pages. The crate has already updated the
    /// guards.
    pub(crate) fn tell(&self, delivery: &Delivery) {
        if let Some(person) = delivery.event().person_id() {
            // `send` returns an error if no page is open.
            let _ = self.0.send(person.to_owned());
        }
    }
}

/// Sends an event to the page of the signed-in person when the status changes. The event does not
/// contain the new status.
pub(crate) async fn news(
    State(news): State<News>,
    person: SignedIn,
) -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
    let listening = (news.0.subscribe(), person.subject().to_owned());
    let events = stream::unfold(listening, async |(mut news, person)| {
        loop {
            match news.recv().await {
                Ok(of) if of == person => break,
                Ok(_) => {}
                // The channel dropped events. A dropped event may be about this person.
                Err(RecvError::Lagged(_)) => break,
                Err(RecvError::Closed) => return None,
            }
        }
        Some((Ok(Event::default().data("look")), (news, person)))
    });
    Sse::new(events).keep_alive(KeepAlive::default())
}
