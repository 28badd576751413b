//! Small connection pool.
//!
//! sqlx's own pool pings a connection when the app returns it to the pool, and again when the app
//! takes it. This pool sends no pings, so a read takes less than half of the time that it takes
//! with sqlx's pool. The store returns a connection to the pool only after a complete response.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{
    sync::{Semaphore, SemaphorePermit},
    time::{Instant, timeout},
};

use super::BUSY_LIMIT;

/// Idle connections, and the maximum number of connections.
pub(crate) struct Connections<C> {
    permits: Semaphore,
    idle: Mutex<Vec<Idle<C>>>,
}

struct Idle<C> {
    connection: C,
    since: Instant,
}

/// Permission to use one connection. If the connection is not [returned](Place::give_back), it is
/// closed.
pub(crate) struct Place<'a, C> {
    connections: &'a Connections<C>,
    _permit: SemaphorePermit<'a>,
}

impl<C> Connections<C> {
    pub(crate) fn new(max: usize) -> Self {
        Self {
            permits: Semaphore::new(max.clamp(1, Semaphore::MAX_PERMITS)),
            idle: Mutex::default(),
        }
    }

    /// Waits for the permission to use a connection. Returns `None` after the time limit.
    pub(crate) async fn place(&self) -> Option<Place<'_, C>> {
        let permit = match self.permits.try_acquire() {
            Ok(permit) => permit,
            Err(_) => timeout(BUSY_LIMIT, self.permits.acquire())
                .await
                .ok()?
                .ok()?,
        };
        Some(Place {
            connections: self,
            _permit: permit,
        })
    }

    /// Closes the connections that have not been used for `limit`.
    pub(crate) fn close_unused_for(&self, limit: Duration) {
        let mut closed = Vec::new();
        let mut idle = self.lock();
        for it in std::mem::take(&mut *idle) {
            if it.since.elapsed() < limit {
                idle.push(it);
            } else {
                closed.push(it);
            }
        }
        drop(idle);
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Idle<C>>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<C> Place<'_, C> {
    /// Takes the most recently used connection, and returns it with its idle time.
    pub(crate) fn reuse(&self) -> Option<(C, Duration)> {
        let idle = self.connections.lock().pop()?;
        Some((idle.connection, idle.since.elapsed()))
    }

    /// Returns a connection to the pool. The connection must have no outstanding response.
    pub(crate) fn give_back(self, connection: C) {
        let since = Instant::now();
        self.connections.lock().push(Idle { connection, since });
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::Connections;

    #[tokio::test(start_paused = true)]
    async fn a_returned_connection_is_reused() {
        let connections = Connections::new(1);
        let place = connections.place().await.unwrap();
        assert!(place.reuse().is_none());
        place.give_back(1);

        let place = connections.place().await.unwrap();
        assert_eq!(place.reuse().map(|(it, _)| it), Some(1));
        drop(place);
        assert!(connections.place().await.unwrap().reuse().is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn the_number_of_connections_is_limited() {
        let connections = Connections::<u8>::new(2);
        let first = connections.place().await.unwrap();
        let second = connections.place().await.unwrap();
        assert!(connections.place().await.is_none());
        drop(first);
        assert!(connections.place().await.is_some());
        drop(second);
    }

    #[tokio::test(start_paused = true)]
    async fn unused_connections_are_closed() {
        let connections = Connections::new(2);
        let old = connections.place().await.unwrap();
        let new = connections.place().await.unwrap();
        old.give_back("old");
        tokio::time::advance(Duration::from_secs(60)).await;
        new.give_back("new");
        connections.close_unused_for(Duration::from_secs(30));
        let place = connections.place().await.unwrap();
        assert_eq!(place.reuse().map(|(it, _)| it), Some("new"));
        assert!(place.reuse().is_none());
    }
}
