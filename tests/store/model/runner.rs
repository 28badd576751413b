//! Runner that draws random operations and compares the store with the model.

use std::{collections::HashMap, fmt::Debug, time::Duration};

use bytes::Bytes;
use kycport::store::{
    Acquired, Change, Condition, Family, LeaseFamily, LeaseKey, LeaseToken, Owner, RecordId,
    RecordKey, RevocationMark, Settlement, Store, Write,
};

use super::{
    REAL_WAIT, Time,
    leases::{Expected, Leases},
    random::Random,
    records::{Records, Ticks},
};

const FAMILIES: [Family; 3] = [Family::Session, Family::Tokens, Family::Assurance];
const IDS: [RecordId; 4] = [
    RecordId([0; 16]),
    RecordId([1; 16]),
    RecordId([0x80; 16]),
    RecordId([0xff; 16]),
];
const TOKENS: [LeaseToken; 3] = [
    LeaseToken([1; 16]),
    LeaseToken([2; 16]),
    LeaseToken([3; 16]),
];
/// Lifetime of records that expire in real time. This lifetime is shorter than [`REAL_WAIT`].
const SHORT: Duration = Duration::from_millis(50);
/// Lifetime of records that do not expire in real time.
const LONG: Duration = Duration::from_secs(600);

pub(super) struct Runner<'a> {
    store: &'a dyn Store,
    time: Time,
    seed: u64,
    random: Random,
    steps: usize,
    now: Ticks,
    records: Records,
    leases: Leases,
    namespaces: [[u8; 16]; 2],
    /// Mark of the last revocation and highest mark of each namespace. A mark is a value of the
    /// revocation counter.
    marks: HashMap<[u8; 16], (RevocationMark, RevocationMark)>,
}

impl<'a> Runner<'a> {
    pub(super) fn new(store: &'a dyn Store, seed: u64, time: Time) -> Self {
        Self {
            store,
            time,
            seed,
            random: Random::of(seed),
            steps: 0,
            now: 0,
            records: Records::default(),
            leases: Leases::default(),
            // The namespaces are random and do not depend on the seed, because another sequence may
            // run on the same store.
            namespaces: [LeaseToken::random().0, LeaseToken::random().0],
            marks: HashMap::new(),
        }
    }

    pub(super) async fn step(&mut self) {
        self.steps += 1;
        match self.random.below(100) {
            0..20 => self.read().await,
            20..55 => self.write(false).await,
            55..60 => self.revoke().await,
            60..70 => self.list().await,
            70..80 => self.acquire(false).await,
            80..90 => self.settle().await,
            90..92 => self.sweep().await,
            _ => self.pass().await,
        }
    }

    async fn read(&mut self) {
        let owner = self.owner().await;
        let count = self.random.below(6);
        let keys: Vec<_> = (0..count).map(|_| self.key()).collect();
        let found = self.store.read(&owner, &keys).await;
        let expected = self.records.snapshot(owner, keys.into_iter(), self.now);
        self.compare("read", &found, &Ok(expected));
    }

    async fn write(&mut self, is_short: bool) {
        let owner = self.owner().await;
        let mut writes: Vec<Write> = Vec::new();
        for _ in 0..=self.random.below(4) {
            let write = self.draw_write(owner, is_short);
            if writes.iter().all(|it| it.key != write.key) {
                writes.push(write);
            }
        }
        let stores = writes
            .iter()
            .any(|it| matches!(it.change, Change::Put { .. }));
        // No fence may expire if the store runs in real time. A fence is the lowest mark that is
        // still valid.
        let may_admit = stores && !is_short || matches!(self.time, Time::Exact(_));
        let admitted_at = self.mark(owner).filter(|_| may_admit);
        let found = self.store.write(&owner, &writes, admitted_at).await;
        let ticks = |duration| ticks(&self.time, duration);
        let expected = self
            .records
            .write(owner, &writes, admitted_at, self.now, ticks);
        self.compare("write", &found, &Ok(expected));
    }

    fn draw_write(&mut self, owner: Owner, is_short: bool) -> Write {
        let key = self.key();
        let entry = self.records.entry(owner, key, self.now);
        let version = entry.map(|entry| entry.version);
        let condition = match self.random.below(10) {
            0..4 => Condition::Any,
            4..6 => Condition::Absent,
            6..8 => Condition::Present,
            _ if self.random.chance(70) => Condition::Version(version.unwrap_or(1)),
            _ => Condition::Version(self.random.next()),
        };
        let change = match self.random.below(10) {
            0..6 => Change::Put {
                version: self.random.next(),
                body: self.body(),
                keep_for: self.lifetime(is_short),
            },
            6..8 => Change::Delete,
            _ => Change::Keep,
        };
        Write {
            key,
            condition,
            change,
        }
    }

    async fn revoke(&mut self) {
        let owner = self.owner().await;
        let count = self.random.below(4);
        let families: Vec<_> = (0..count)
            .map(|_| self.random.of_these(&FAMILIES))
            .collect();
        let keep_for = self.lifetime(false);
        let found = self.store.revoke(&owner, &families, keep_for).await;
        let mark = self.expect_ok("revoke", found);
        let before = self.marks.get(&owner.namespace);
        let is_higher = before.is_none_or(|(_, highest)| mark > *highest);
        self.require(is_higher, "revoke", "the mark is not higher");
        self.marks.insert(owner.namespace, (mark, mark));
        let until = self.now.saturating_add(ticks(&self.time, keep_for));
        self.records.revoke(owner, &families, mark, until, self.now);
    }

    async fn list(&mut self) {
        let owner = self.owner().await;
        let family = self.random.of_these(&FAMILIES);
        let after = self.random.chance(50).then(|| self.random.of_these(&IDS));
        let limit = 1 + self.random.below(5);
        let found = self.store.list(&owner, family, after, limit).await;
        let expected = self.records.list(owner, family, after, limit, self.now);
        self.compare("list", &found, &Ok(expected));
    }

    async fn acquire(&mut self, is_short: bool) {
        let (key, token) = (self.lease(), self.random.of_these(&TOKENS));
        let length = self.lifetime(is_short);
        let left = self.leases.get(&key).map_or(0, |it| it.left(self.now));
        let found = self.store.acquire(&key, token, length).await;
        let found = self.expect_ok("acquire", found);
        let length = ticks(&self.time, length);
        let expected = self.leases.acquire(&key, token, length, self.now);
        let fits = match (&found, &expected) {
            (Acquired::Granted { mark }, Expected::Granted) => {
                let marks = self
                    .marks
                    .entry(key.namespace)
                    .or_insert((RevocationMark(0), *mark));
                marks.1 = marks.1.max(*mark);
                *mark >= marks.0
            }
            (Acquired::Held(time), Expected::Held) => {
                let most = match self.time {
                    Time::Exact(_) => Duration::from_millis(left),
                    Time::Real { .. } => LONG,
                };
                !time.is_zero() && *time <= most
            }
            (Acquired::Done(found), Expected::Done(expected)) => found == expected,
            _ => false,
        };
        self.require(fits, "acquire", &(found, expected));
    }

    async fn settle(&mut self) {
        let key = self.lease();
        let holder = self.leases.get(&key).map(|lease| lease.token);
        let token = match holder {
            Some(holder) if self.random.chance(70) => holder,
            _ => self.random.of_these(&TOKENS),
        };
        let (now, duration) = (self.now, self.lifetime(false));
        let length = ticks(&self.time, duration);
        let (settlement, expected) = match self.random.below(3) {
            0 => {
                let released = self.leases.release(&key, token, now);
                (Settlement::Release, released)
            }
            1 => {
                let extended = self.leases.extend(&key, token, length, now);
                (Settlement::Extend(duration), extended)
            }
            _ => {
                let result = self.body();
                let done = self.leases.done(&key, token, result.clone(), length, now);
                let Some(done) = done else { return };
                let keep_for = duration;
                (Settlement::Done { result, keep_for }, done)
            }
        };
        let found = self.store.settle(&key, token, settlement.clone()).await;
        self.compare("settle", &found, &Ok(expected));
    }

    async fn sweep(&mut self) {
        let limit = self.random.below(10);
        let found = self.store.sweep(limit).await;
        let removed = self.expect_ok("sweep", found);
        self.require(removed <= limit, "sweep", &removed);
    }

    async fn pass(&mut self) {
        match &mut self.time {
            Time::Exact(clock) => {
                let millis = u64::try_from(self.random.below(2_000)).unwrap();
                clock.advance(Duration::from_millis(millis));
                self.now += millis;
            }
            Time::Real { waits: 0 } => {}
            Time::Real { waits } => {
                *waits -= 1;
                // The runner writes short-lived records and waits for their expiry within this
                // step. The speed of the machine therefore has no effect.
                self.write(true).await;
                self.acquire(true).await;
                #[expect(clippy::disallowed_methods, reason = "the store has its own clock")]
                tokio::time::sleep(REAL_WAIT).await;
                self.now += 1;
            }
        }
    }

    /// Returns an owner whose fence the model knows.
    async fn owner(&mut self) -> Owner {
        let owner = Owner {
            namespace: self.random.of_these(&self.namespaces.clone()),
            id: self.random.of_these(&[[0; 16], [7; 16], [8; 16]]),
        };
        if self.records.is_fence_due(owner, self.now) {
            let found = self.store.read(&owner, &[]).await;
            let fence = self.expect_ok("read", found).fence;
            let fits = fence.is_none() || fence == self.records.fence(owner);
            self.require(fits, "fence", &fence);
            if fence.is_none() {
                self.records.drop_fence(owner);
            }
        }
        owner
    }

    fn key(&mut self) -> RecordKey {
        let family = self.random.of_these(&FAMILIES);
        RecordKey::new(family, self.random.of_these(&IDS))
    }

    fn lease(&mut self) -> LeaseKey {
        let families = [LeaseFamily::Login, LeaseFamily::Event, LeaseFamily::Job];
        LeaseKey {
            namespace: self.random.of_these(&self.namespaces.clone()),
            family: self.random.of_these(&families),
            id: [9; 16],
        }
    }

    fn body(&mut self) -> Bytes {
        let length = self.random.below(3);
        (0..length)
            .flat_map(|_| self.random.next().to_be_bytes())
            .collect()
    }

    fn lifetime(&mut self, is_short: bool) -> Duration {
        match self.time {
            Time::Exact(_) => {
                let millis = self.random.of_these(&[0, 1, 500, 2_000, 10_000]);
                Duration::from_millis(millis)
            }
            Time::Real { .. } if is_short => SHORT,
            Time::Real { .. } => LONG,
        }
    }

    /// Returns `None`, or a mark near the owner's fence.
    fn mark(&mut self, owner: Owner) -> Option<RevocationMark> {
        let marks = self.marks.get(&owner.namespace);
        let highest = marks.map_or(RevocationMark(0), |(_, highest)| *highest);
        let fence = self.records.fence(owner).unwrap_or(RevocationMark(0));
        match self.random.below(6) {
            0..2 => None,
            2 => Some(RevocationMark(fence.0.saturating_sub(1))),
            3 => Some(fence),
            _ => Some(highest),
        }
    }

    fn expect_ok<T, E: Debug>(&self, what: &str, result: Result<T, E>) -> T {
        match result {
            Ok(value) => value,
            Err(error) => self.fail(what, &error),
        }
    }

    fn require(&self, holds: bool, what: &str, found: &(impl Debug + ?Sized)) {
        if !holds {
            self.fail(what, found);
        }
    }

    fn compare<T: Debug + PartialEq>(&self, what: &str, found: &T, expected: &T) {
        if found != expected {
            self.fail(what, &format_args!("{found:?} instead of {expected:?}"));
        }
    }

    fn fail(&self, what: &str, found: &(impl Debug + ?Sized)) -> ! {
        let (seed, step) = (self.seed, self.steps);
        panic!("KYCPORT_MODEL_SEED={seed}, step {step}, {what}: {found:?}");
    }
}

/// Converts a lifetime to the time of the model.
fn ticks(time: &Time, duration: Duration) -> Ticks {
    match time {
        Time::Exact(_) => u64::try_from(duration.as_millis()).unwrap(),
        Time::Real { .. } if duration == SHORT => 1,
        Time::Real { .. } => 1_000_000 + duration.as_secs(),
    }
}
