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

/// Channel of the people whose status changed. A page that misses an event reads the status at the
/// next one.
#[derive(Clone)]
pub(crate) struct News(broadcast::Sender<String>);

impl News {
    pub(crate) fn new() -> Self {
        Self(broadcast::channel(64).0)
    }

    /// Announces an event of KYCPort. The guards have already been updated.
    pub(crate) fn tell(&self, delivery: &Delivery) {
        if let Some(person) = delivery.event().person_id() {
            // There may be no listeners.
            let _ = self.0.send(person.to_owned());
        }
    }
}

/// Tells the signed-in person's page that their status changed, without the new status.
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
                // The missed events may have concerned this person.
                Err(RecvError::Lagged(_)) => break,
                Err(RecvError::Closed) => return None,
            }
        }
        Some((Ok(Event::default().data("look")), (news, person)))
    });
    Sse::new(events).keep_alive(KeepAlive::default())
}
