//! Limits on the uploads of each person: number in progress, and rate.

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use crate::{
    clock::Clock,
    http::{RateLimit, RateLimiter},
};

/// Maximum concurrent uploads of one person. The limit allows for two tabs and their cancelled
/// uploads.
const MAX_UPLOADS_PER_PERSON: usize = 4;
/// Maximum number of consecutive uploads of one person. The limit protects the tenant's quota,
/// because each upload reads the case at KYCPort.
const BURST: u32 = 30;
/// Time after which one more upload is allowed.
const INTERVAL: Duration = Duration::from_secs(5);

/// Counts and limits the uploads of each person. Clones share the counts.
#[derive(Clone)]
pub(super) struct Uploaders {
    in_progress: Arc<Mutex<HashMap<String, usize>>>,
    starts: RateLimiter<String>,
}

/// Permit for one upload. Drop the permit to allow another upload.
pub(crate) struct UploadPermit {
    uploaders: Uploaders,
    person_id: String,
}

impl Uploaders {
    pub(super) fn new(clock: Arc<dyn Clock>) -> Self {
        Self {
            in_progress: Arc::default(),
            starts: RateLimiter::new(RateLimit::new(BURST, INTERVAL), clock),
        }
    }

    /// Returns a permit. Returns `None` if this person has the maximum number of uploads in
    /// progress, or starts uploads too often.
    pub(super) fn enter(&self, person_id: &str) -> Option<UploadPermit> {
        let mut in_progress = self.lock();
        let others = in_progress.get(person_id).copied().unwrap_or_default();
        if others >= MAX_UPLOADS_PER_PERSON || self.starts.take(person_id).is_err() {
            return None;
        }
        in_progress.insert(person_id.to_owned(), others.saturating_add(1));
        drop(in_progress);
        Some(UploadPermit {
            uploaders: self.clone(),
            person_id: person_id.to_owned(),
        })
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, usize>> {
        self.in_progress
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Uploaders {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Uploaders(…)")
    }
}

impl Drop for UploadPermit {
    fn drop(&mut self) {
        let mut in_progress = self.uploaders.lock();
        let others = in_progress.get(&self.person_id).copied();
        match others.unwrap_or_default().saturating_sub(1) {
            0 => in_progress.remove(&self.person_id),
            others => in_progress.insert(self.person_id.clone(), others),
        };
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
