//! Map with a bounded number of entries that expire.

use std::{borrow::Borrow, collections::HashMap, hash::Hash, time::Duration};

/// Map for data that the crate can lose without harm. A full map removes the expired entries. If no
/// entry has expired, a full map removes the half that expires first.
#[derive(Debug)]
pub(crate) struct ExpiringMap<K, V, const CAPACITY: usize> {
    entries: HashMap<K, Entry<V>>,
}

#[derive(Debug)]
struct Entry<V> {
    value: V,
    expires_at: Duration,
}

impl<K: Eq + Hash, V, const CAPACITY: usize> ExpiringMap<K, V, CAPACITY> {
    /// Returns the value of this key, if the value has not expired.
    pub(crate) fn get<Q>(&self, now: Duration, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ?Sized,
    {
        let entry = self.entries.get(key)?;
        (now < entry.expires_at).then_some(&entry.value)
    }

    pub(crate) fn insert(&mut self, now: Duration, key: K, value: V, expires_at: Duration) {
        if self.entries.len() >= CAPACITY && !self.entries.contains_key(&key) {
            self.make_room(now);
        }
        self.entries.insert(key, Entry { value, expires_at });
    }

    fn make_room(&mut self, now: Duration) {
        self.entries.retain(|_, entry| now < entry.expires_at);
        if self.entries.len() >= CAPACITY {
            let mut times: Vec<_> = self.entries.values().map(|it| it.expires_at).collect();
            times.sort_unstable();
            let middle = times.get(CAPACITY / 2).copied().unwrap_or(Duration::MAX);
            self.entries.retain(|_, entry| middle < entry.expires_at);
        }
    }
}

impl<K, V, const CAPACITY: usize> Default for ExpiringMap<K, V, CAPACITY> {
    fn default() -> Self {
        Self {
            entries: HashMap::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::ExpiringMap;

    const ZERO: Duration = Duration::ZERO;

    fn seconds(n: u64) -> Duration {
        Duration::from_secs(n)
    }

    #[test]
    fn an_entry_expires() {
        let mut map = ExpiringMap::<_, _, 4>::default();
        map.insert(ZERO, "a", 1, seconds(5));
        assert_eq!(map.get(seconds(4), "a"), Some(&1));
        assert_eq!(map.get(seconds(5), "a"), None);
        map.insert(seconds(5), "a", 2, seconds(9));
        assert_eq!(map.get(seconds(5), "a"), Some(&2));
    }

    #[test]
    fn a_full_map_removes_expired_entries_first() {
        let mut map = ExpiringMap::<_, _, 4>::default();
        for n in 1..=4 {
            map.insert(ZERO, n, n, seconds(n));
        }
        map.insert(seconds(1), 5, 5, seconds(5));
        for n in 2..=5 {
            assert_eq!(map.get(seconds(1), &n), Some(&n));
        }
        // No entry has expired, so the map removes the half that expires first.
        map.insert(seconds(1), 6, 6, seconds(6));
        let left: Vec<u64> = (1..=6).filter(|n| map.get(ZERO, n).is_some()).collect();
        assert_eq!(left, [5, 6]);
    }

    #[test]
    fn the_number_of_entries_is_bounded() {
        let mut map = ExpiringMap::<_, _, 64>::default();
        for n in 0..1000 {
            map.insert(ZERO, n, (), seconds(n % 7 + 1));
            assert!(map.entries.len() <= 64);
        }
    }
}
