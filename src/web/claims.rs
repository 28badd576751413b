//! Who takes a login: of several callbacks that would at once, one. And who renews tokens, of
//! several instances that would: a lease on the refresh token, which is given back or runs out.
//!
//! A session store has no operation for that. Some refuse an id that is taken, in one step, and a
//! mark under a known id is a claim there. Others look and then write, and two that come together
//! both succeed: there a [`ReplayStore`] claims. A store of a kind that is not known counts as one
//! of those, unless the app vouches for it; a trial can show that it is wrong to, but not that it
//! is right: on a busy machine, one trial in ten of Postgres shows nothing.

use std::{
    fmt::{self, Debug},
    sync::Arc,
    time::Duration,
};

use futures_util::future::join_all;
use serde::{Deserialize, Serialize};
use tokio::sync::OnceCell;

use super::{
    random,
    records::{Created, Creation, Found, Place, Records, StoreUnavailable, Stored},
};
use crate::{
    clock::{Clock, Timestamp},
    observe,
    secret::Secret,
    webhook::{Begun, EventKey, LeaseToken, ReplayStore},
};

/// So many create one record at once, and so often that is tried.
const CROWD: usize = 8;
const TRIALS: usize = 4;

/// A record of a trial that was broken off stays for so long.
const TRIAL_LIFETIME: Duration = Duration::from_secs(600);

#[derive(Clone)]
pub(super) struct Claims {
    records: Records,
    clock: Arc<dyn Clock>,
    by: By,
}

#[derive(Clone)]
enum By {
    /// The mark itself, if the store is found to be up to it.
    Store(Word, Arc<OnceCell<Creation>>),
    Engine(Arc<dyn ReplayStore>),
}

/// What the app says of a store that is not known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Word {
    Nothing,
    Vouched,
}

/// What is created in a trial.
#[derive(Serialize, Deserialize)]
struct Trial {}

impl Stored for Trial {
    const KIND: &'static str = "trial";
}

/// Stands while an instance renews.
#[derive(Serialize, Deserialize)]
struct Renewal {}

impl Stored for Renewal {
    const KIND: &'static str = "renewal";
}

/// The renewal by one refresh token is ours, until this is given back or runs out.
#[must_use]
pub(super) struct Lease(Held);

enum Held {
    Mark { key: Secret, until: Timestamp },
    Claim(Arc<dyn ReplayStore>, EventKey, LeaseToken),
}

impl Claims {
    pub(super) fn by_store(records: Records, clock: Arc<dyn Clock>) -> Self {
        Self {
            records,
            clock,
            by: By::Store(Word::Nothing, Arc::default()),
        }
    }

    pub(super) fn by_vouched_store(self) -> Self {
        Self {
            by: By::Store(Word::Vouched, Arc::default()),
            ..self
        }
    }

    pub(super) fn by_engine(self, engine: Arc<dyn ReplayStore>) -> Self {
        Self {
            by: By::Engine(engine),
            ..self
        }
    }

    /// Whether there is something that claims, which is found out once.
    pub(super) async fn check(&self) -> Result<(), StoreUnavailable> {
        if self.can_claim().await? {
            Ok(())
        } else {
            Err(StoreUnavailable)
        }
    }

    /// Claims something that nobody needs, twice: whether the first did, and the second did not.
    pub(super) async fn rehearse(&self, until: Timestamp) -> Result<bool, StoreUnavailable> {
        if !self.can_claim().await? {
            return Ok(false);
        }
        let key = random::token();
        let first = self.claim(&key, &Trial {}, until).await?;
        let second = self.claim(&key, &Trial {}, until).await?;
        // It expires by itself.
        let _ = self.records.delete::<Trial>(&key).await;
        Ok((first, second) == (Created::New, Created::Taken))
    }

    async fn can_claim(&self) -> Result<bool, StoreUnavailable> {
        let By::Store(word, found) = &self.by else {
            return Ok(true);
        };
        let found = found.get_or_try_init(|| self.find_out(*word)).await?;
        Ok(*found == Creation::Atomic)
    }

    /// Leaves `mark` for `state`, if nobody has before.
    pub(super) async fn claim<M: Stored>(
        &self,
        state: &Secret,
        mark: &M,
        until: Timestamp,
    ) -> Result<Created, StoreUnavailable> {
        self.check().await?;
        let By::Engine(engine) = &self.by else {
            return self.records.create(state, mark, until).await;
        };
        let key = EventKey::of(&format!("login {}", state.expose()));
        let remembered = until.since(self.clock.now());
        let begun = engine.begin(&key, remembered).await;
        let Begun::Acquired(token) = begun.map_err(|_| StoreUnavailable)? else {
            return Ok(Created::Taken);
        };
        if let Err(error) = self.records.put(Place::Empty, state, mark, until).await {
            // Nothing was done with it yet. If it cannot be given back it stays taken.
            let _ = engine.release(&key, &token).await;
            return Err(error);
        }
        // The lease lasts as long; this says so for good, and lets the engine tidy up.
        let _ = engine.complete(&key, &token, remembered).await;
        Ok(Created::New)
    }

    /// Takes the renewal by `refresh_token` for so long, unless somebody has it.
    pub(super) async fn lease(
        &self,
        refresh_token: &Secret,
        length: Duration,
    ) -> Result<Option<Lease>, StoreUnavailable> {
        self.check().await?;
        if let By::Engine(engine) = &self.by {
            let key = EventKey::of(&format!("renewal {}", refresh_token.expose()));
            let begun = engine.begin(&key, length).await;
            return Ok(match begun.map_err(|_| StoreUnavailable)? {
                Begun::Acquired(token) => Some(Lease(Held::Claim(Arc::clone(engine), key, token))),
                Begun::InFlight(_) | Begun::Done => None,
            });
        }
        // Whoever waits comes here often. To look is cheaper than to be refused, which some stores
        // do by an error, and then it matters whether the mark still stands.
        if !matches!(
            self.records.find::<Renewal>(refresh_token).await?,
            Found::Absent
        ) {
            return Ok(None);
        }
        // Records expire at whole seconds.
        let until = self.clock.now().saturating_add(length).as_unix();
        let until = Timestamp::from_unix(until);
        let created = self.records.create(refresh_token, &Renewal {}, until);
        Ok(match created.await? {
            Created::New => Some(Lease(Held::Mark {
                key: refresh_token.clone(),
                until,
            })),
            Created::Taken => None,
        })
    }

    /// Gives a lease back. One that cannot be given back runs out.
    pub(super) async fn give_back(&self, lease: Lease) {
        match lease.0 {
            // After its end it may be somebody else's mark that stands there.
            Held::Mark { key, until } if self.clock.now() < until => {
                let _ = self.records.delete::<Renewal>(&key).await;
            }
            Held::Mark { .. } => {}
            Held::Claim(engine, key, token) => {
                let _ = engine.release(&key, &token).await;
            }
        }
    }

    async fn find_out(&self, word: Word) -> Result<Creation, StoreUnavailable> {
        let found = match (self.records.creation(), word) {
            (Creation::Unknown, Word::Vouched) => self.try_out().await?,
            (known, _) => known,
        };
        if found != Creation::Atomic {
            observe::store_cannot_claim();
        }
        Ok(found)
    }

    async fn try_out(&self) -> Result<Creation, StoreUnavailable> {
        let until = self.clock.now().saturating_add(TRIAL_LIFETIME);
        for _ in 0..TRIALS {
            let key = random::token();
            let crowd = (0..CROWD).map(|_| self.records.create(&key, &Trial {}, until));
            let created = join_all(crowd).await;
            // It expires by itself.
            let _ = self.records.delete::<Trial>(&key).await;
            let created: Vec<_> = created.into_iter().collect::<Result<_, _>>()?;
            match created.iter().filter(|it| **it == Created::New).count() {
                1 => {}
                // What created it did not hear so: nothing is found out.
                0 => return Err(StoreUnavailable),
                _ => return Ok(Creation::Racy),
            }
        }
        Ok(Creation::Atomic)
    }
}

impl Debug for Claims {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Claims(…)")
    }
}
