//! Map that evicts its oldest entries. An issuer can therefore run for days (K96).

use std::collections::{HashMap, VecDeque};

/// Map that keeps the last [`MAX_ENTRIES`] entries by name. A caller inserts each name only once.
pub(super) struct Bounded<T> {
    entries: HashMap<String, T>,
    /// Names, oldest first. The name of a removed entry stays in this list until the map evicts it.
    order: VecDeque<String>,
}

/// Maximum number of entries. A test needs fewer entries than the limit. The limit bounds the
/// memory of an issuer that runs for days, because entries do not expire while the clock is
/// stopped.
pub(in crate::mock) const MAX_ENTRIES: usize = 20_000;

impl<T> Bounded<T> {
    pub(in crate::mock) fn insert(&mut self, name: String, entry: T) {
        if self.order.len() >= MAX_ENTRIES
            && let Some(oldest) = self.order.pop_front()
        {
            self.entries.remove(&oldest);
        }
        self.order.push_back(name.clone());
        self.entries.insert(name, entry);
    }

    pub(in crate::mock) fn get(&self, name: &str) -> Option<&T> {
        self.entries.get(name)
    }

    pub(in crate::mock) fn get_mut(&mut self, name: &str) -> Option<&mut T> {
        self.entries.get_mut(name)
    }

    pub(in crate::mock) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(in crate::mock) fn retain(&mut self, keep: impl Fn(&T) -> bool) {
        self.entries.retain(|_, entry| keep(entry));
        let entries = &self.entries;
        self.order.retain(|name| entries.contains_key(name));
    }

    pub(super) fn values_mut(&mut self) -> impl Iterator<Item = &mut T> {
        self.entries.values_mut()
    }

    pub(in crate::mock) fn clear(&mut self) {
        self.entries.clear();
        self.order.clear();
    }
}

impl<T> Default for Bounded<T> {
    fn default() -> Self {
        Self {
            entries: HashMap::new(),
            order: VecDeque::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Bounded, MAX_ENTRIES};

    #[test]
    fn the_oldest_are_forgotten() {
        let mut all = Bounded::default();
        for n in 0..MAX_ENTRIES + 2 {
            all.insert(n.to_string(), n);
        }
        assert_eq!(all.len(), MAX_ENTRIES);
        assert_eq!((all.get("1"), all.get("2")), (None, Some(&2)));
    }

    #[test]
    fn a_removed_entry_takes_no_place() {
        let mut all = Bounded::default();
        for n in 0..MAX_ENTRIES {
            all.insert(n.to_string(), n);
        }
        all.retain(|n| *n == 0);
        all.insert("new".to_owned(), 1);
        assert_eq!((all.get("0"), all.len()), (Some(&0), 2));
    }
}
