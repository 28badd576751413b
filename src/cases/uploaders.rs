//! Uploads in progress, by person.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// Maximum concurrent uploads of one person. It allows for two tabs and their cancelled uploads.
const MAX_UPLOADS_PER_PERSON: usize = 4;

/// Counts the uploads of each person. Clones share the counts.
#[derive(Clone, Default)]
pub(super) struct Uploaders(Arc<Mutex<HashMap<String, usize>>>);

/// Permit for one upload. Dropping the permit releases it.
pub(crate) struct UploadPermit {
    uploaders: Uploaders,
    person_id: String,
}

impl Uploaders {
    /// Returns a permit, or `None` if this person has the maximum number of uploads in progress.
    pub(super) fn enter(&self, person_id: &str) -> Option<UploadPermit> {
        let mut counts = self.lock();
        let count = counts.get(person_id).copied().unwrap_or_default();
        if count >= MAX_UPLOADS_PER_PERSON {
            return None;
        }
        counts.insert(person_id.to_owned(), count.saturating_add(1));
        drop(counts);
        Some(UploadPermit {
            uploaders: self.clone(),
            person_id: person_id.to_owned(),
        })
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, usize>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for UploadPermit {
    fn drop(&mut self) {
        let mut counts = self.uploaders.lock();
        let left = counts.get(&self.person_id).copied().unwrap_or_default();
        match left.saturating_sub(1) {
            0 => counts.remove(&self.person_id),
            left => counts.insert(self.person_id.clone(), left),
        };
    }
}
