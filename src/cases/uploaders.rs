//! Uploads of each person: how many are in progress, and how often they start.

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use crate::{clock::Clock, http::RateLimit};

/// Maximum concurrent uploads of one person. It allows for two tabs and their cancelled uploads.
const MAX_UPLOADS_PER_PERSON: usize = 4;
/// Maximum number of consecutive uploads of one person. Each upload reads the case at KYCPort, and
/// the quota of these requests belongs to the tenant.
const BURST: u32 = 30;
/// Time after which one more upload is allowed.
const INTERVAL: Duration = Duration::from_secs(5);
const RATE: RateLimit = RateLimit::new(BURST, INTERVAL);
/// Maximum number of people whose rate is remembered.
const MAX_PEOPLE: usize = 10_000;

/// Counts and limits the uploads of each person. Clones share the counts.
#[derive(Clone)]
pub(super) struct Uploaders {
    people: Arc<Mutex<HashMap<String, Uploader>>>,
    clock: Arc<dyn Clock>,
}

/// Uploads of one person.
#[derive(Default)]
struct Uploader {
    in_progress: usize,
    /// Time at which the full number of consecutive uploads is allowed again.
    full_at: Duration,
}

/// Permit for one upload. Dropping the permit releases it.
pub(crate) struct UploadPermit {
    uploaders: Uploaders,
    person_id: String,
}

impl Uploaders {
    pub(super) fn new(clock: Arc<dyn Clock>) -> Self {
        Self {
            people: Arc::default(),
            clock,
        }
    }

    /// Returns a permit, or `None` if this person has the maximum number of uploads in progress, or
    /// starts uploads too often.
    pub(super) fn enter(&self, person_id: &str) -> Option<UploadPermit> {
        let now = self.clock.monotonic();
        let mut people = self.lock();
        if people.len() >= MAX_PEOPLE && !people.contains_key(person_id) {
            people.retain(|_, uploader| uploader.in_progress > 0 || now < uploader.full_at);
            if people.len() >= MAX_PEOPLE {
                people.retain(|_, uploader| uploader.in_progress > 0);
            }
        }
        let uploader = people.entry(person_id.to_owned()).or_default();
        let full_at = uploader.full_at.max(now);
        let is_too_often = now < RATE.allowed_from(full_at);
        if uploader.in_progress >= MAX_UPLOADS_PER_PERSON || is_too_often {
            return None;
        }
        uploader.in_progress = uploader.in_progress.saturating_add(1);
        uploader.full_at = RATE.after_request(full_at);
        drop(people);
        Some(UploadPermit {
            uploaders: self.clone(),
            person_id: person_id.to_owned(),
        })
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Uploader>> {
        self.people.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Uploaders {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Uploaders(…)")
    }
}

impl Drop for UploadPermit {
    fn drop(&mut self) {
        if let Some(uploader) = self.uploaders.lock().get_mut(&self.person_id) {
            uploader.in_progress = uploader.in_progress.saturating_sub(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{sync::Arc, time::Duration};

    use super::{BURST, INTERVAL, MAX_UPLOADS_PER_PERSON, Uploaders};
    use crate::clock::TestClock;

    #[test]
    fn one_person_starts_a_limited_number_of_uploads() {
        let clock = TestClock::new();
        clock.freeze();
        let uploaders = Uploaders::new(Arc::new(clock.clone()));
        for _ in 0..BURST {
            assert!(uploaders.enter("eve").is_some());
        }
        assert!(uploaders.enter("eve").is_none());
        assert!(uploaders.enter("ada").is_some());
        clock.advance(INTERVAL);
        assert!(uploaders.enter("eve").is_some());
        assert!(uploaders.enter("eve").is_none());
        clock.advance(Duration::from_secs(3600));
        let permits: Vec<_> = (0..MAX_UPLOADS_PER_PERSON)
            .map(|_| uploaders.enter("eve").unwrap())
            .collect();
        assert!(uploaders.enter("eve").is_none());
        drop(permits);
        assert!(uploaders.enter("eve").is_some());
    }
}
