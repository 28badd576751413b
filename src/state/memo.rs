//! Cache of decoded records.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use bytes::Bytes;

use crate::store::{Owner, RecordId};

/// Maximum number of values in each of the two generations.
const GENERATION: usize = 4096;

/// Bounded cache of decoded records. A lookup compares the exact stored bytes.
///
/// The cache saves only decoding and decryption. The cache returns a value only for bytes that the
/// store has just returned. The cache therefore never decides whether a record is valid. When the
/// younger generation is full, it replaces the older generation.
pub(crate) struct Memo<T> {
    generations: Mutex<[Generation<T>; 2]>,
}

type Generation<T> = HashMap<(Owner, RecordId), (Bytes, Arc<T>)>;

impl<T> Memo<T> {
    pub(crate) fn new() -> Self {
        Self {
            generations: Mutex::new([HashMap::new(), HashMap::new()]),
        }
    }

    /// Returns the cached value of a record, if the cached bytes equal `body`.
    pub(crate) fn get(&self, owner: &Owner, id: RecordId, body: &Bytes) -> Option<Arc<T>> {
        let generations = self.lock();
        let [young, old] = &*generations;
        let (known, value) = young
            .get(&(*owner, id))
            .or_else(|| old.get(&(*owner, id)))?;
        // The addresses are equal if the engine returns a shared buffer, as the memory engine does.
        let is_same = std::ptr::eq(known.as_ptr(), body.as_ptr()) && known.len() == body.len();
        (is_same || known == body).then(|| Arc::clone(value))
    }

    pub(crate) fn insert(&self, owner: &Owner, id: RecordId, body: Bytes, value: Arc<T>) {
        let mut generations = self.lock();
        let [young, old] = &mut *generations;
        if young.len() >= GENERATION {
            *old = std::mem::take(young);
        }
        young.insert((*owner, id), (body, value));
    }

    fn lock(&self) -> MutexGuard<'_, [Generation<T>; 2]> {
        self.generations
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::{GENERATION, Memo};
    use crate::store::{Owner, RecordId};

    #[test]
    fn only_the_exact_bytes_at_the_same_place_are_found() {
        let memo = Memo::new();
        let owner = Owner::namespace([1; 16]);
        let (one, other) = (RecordId([1; 16]), RecordId([2; 16]));
        memo.insert(&owner, one, "body".into(), Arc::new(7));
        assert_eq!(memo.get(&owner, one, &"body".into()).as_deref(), Some(&7));
        assert_eq!(memo.get(&owner, one, &"bodY".into()), None);
        assert_eq!(memo.get(&owner, one, &"bod".into()), None);
        assert_eq!(memo.get(&owner, other, &"body".into()), None);
        let stranger = Owner::namespace([2; 16]);
        assert_eq!(memo.get(&stranger, one, &"body".into()), None);
    }

    #[test]
    fn the_memo_is_bounded() {
        let memo = Memo::new();
        let owner = Owner::namespace([1; 16]);
        for n in 0..u128::try_from(3 * GENERATION).unwrap() {
            memo.insert(&owner, RecordId(n.to_be_bytes()), "x".into(), Arc::new(n));
        }
        let [young, old] = &*memo.lock();
        assert!(young.len() <= GENERATION && old.len() <= GENERATION);
    }
}
