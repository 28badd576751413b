//! State shared by all handles and the server.

pub(super) mod rules;
pub(super) mod snapshot;
pub(super) mod transition;

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use crate::{
    clock::{Clock as _, TestClock, Timestamp},
    mock::{
        access::Access,
        deliveries::outbox::Outbox,
        http::{
            log::{Log, Watcher},
            tls::Tls,
        },
        jws::key_ring::KeyRing,
        records::{
            case::CaseBook,
            client::Clients,
            grants::Grants,
            person::{PersonRecord, Persons},
            tenant::Tenants,
        },
        switches::Switches,
    },
};
use rules::Rules;

/// State of one issuer.
///
/// Each part of the state has its own lock. No function holds a lock during I/O. A function that
/// needs several locks takes these locks in this order: cases, persons, outbox. The decision of a
/// case, the change of the person and the events are therefore one atomic change.
pub(super) struct Core {
    pub(super) clock: TestClock,
    pub(super) origin: String,
    pub(super) issuer: String,
    /// TLS configuration, or `None` for plain HTTP.
    pub(super) tls: Option<Tls>,
    pub(super) access: Access,
    /// Callback that receives each request after the mock has sent the response.
    pub(super) watcher: Option<Watcher>,
    switches: Mutex<Switches>,
    keys: Mutex<KeyRing>,
    clients: Mutex<Clients>,
    tenants: Mutex<Tenants>,
    persons: Mutex<Persons>,
    grants: Mutex<Grants>,
    log: Mutex<Log>,
    rules: Mutex<Rules>,
    cases: Mutex<CaseBook>,
    outbox: Mutex<Outbox>,
}

impl Core {
    pub(super) fn new(
        clock: TestClock,
        origin: String,
        issuer: String,
        tls: Option<Tls>,
        access: Access,
        switches: Switches,
        watcher: Option<Watcher>,
    ) -> Self {
        Self {
            clock,
            origin,
            issuer,
            tls,
            access,
            watcher,
            switches: Mutex::new(switches),
            keys: Mutex::default(),
            clients: Mutex::default(),
            tenants: Mutex::default(),
            persons: Mutex::default(),
            grants: Mutex::default(),
            log: Mutex::default(),
            rules: Mutex::default(),
            cases: Mutex::default(),
            outbox: Mutex::default(),
        }
    }

    pub(super) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Returns whether the clock can advance by this time and still show a year that RFC 3339 can
    /// express.
    pub(super) fn may_advance(&self, by: Duration) -> bool {
        self.now().saturating_add(by) <= LAST_TIMESTAMP
    }

    /// Returns a copy of the current switch settings.
    pub(super) fn switches(&self) -> Switches {
        lock(&self.switches).clone()
    }

    pub(super) fn switch(&self, change: impl FnOnce(&mut Switches)) {
        change(&mut lock(&self.switches));
    }

    pub(super) fn keys(&self) -> MutexGuard<'_, KeyRing> {
        lock(&self.keys)
    }

    pub(super) fn clients(&self) -> MutexGuard<'_, Clients> {
        lock(&self.clients)
    }

    pub(super) fn tenants(&self) -> MutexGuard<'_, Tenants> {
        lock(&self.tenants)
    }

    /// Returns the current state of a person. `hint` is an ID, a slug or an email address.
    pub(super) fn person(&self, hint: &str) -> Option<PersonRecord> {
        let known = self.persons().find(hint)?;
        Some(known.at(self.now()))
    }

    /// Returns the current state of all persons, in the order of creation.
    pub(super) fn everyone(&self) -> Vec<PersonRecord> {
        let (now, all) = (self.now(), self.persons().all());
        all.into_iter().map(|person| person.at(now)).collect()
    }

    /// Locks the stored persons. A stored person may still have the status from before the expiry
    /// of the verification.
    pub(super) fn persons(&self) -> MutexGuard<'_, Persons> {
        lock(&self.persons)
    }

    pub(super) fn grants(&self) -> MutexGuard<'_, Grants> {
        lock(&self.grants)
    }

    pub(super) fn rules(&self) -> MutexGuard<'_, Rules> {
        lock(&self.rules)
    }

    pub(super) fn cases(&self) -> MutexGuard<'_, CaseBook> {
        lock(&self.cases)
    }

    pub(super) fn outbox(&self) -> MutexGuard<'_, Outbox> {
        lock(&self.outbox)
    }

    pub(super) fn log(&self) -> MutexGuard<'_, Log> {
        lock(&self.log)
    }
}

/// The last second of the year 9999.
const LAST_TIMESTAMP: Timestamp = Timestamp::from_unix(253_402_300_799);

/// Locks a mutex. Ignores a poisoned mutex. The mock therefore still works after a panic in another
/// thread, such as a failed assertion.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
