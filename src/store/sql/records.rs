//! Rows found by an engine, and the snapshot that they form.

use bytes::Bytes;

use super::{Failure, Key};
use crate::store::{Change, Entry, Mark, Snapshot, Write};

/// Live records and live fences by their keys.
pub(crate) struct Records(Vec<(Key, Entry)>);

impl Records {
    /// Collects rows in any order.
    pub(crate) fn collect(
        rows: impl Iterator<Item = Result<(Key, Entry), Failure>>,
    ) -> Result<Self, Failure> {
        let mut records: Vec<_> = rows.collect::<Result<_, _>>()?;
        records.sort_unstable_by_key(|(key, _)| *key);
        Ok(Self(records))
    }

    fn find(&self, key: &Key) -> Option<&Entry> {
        let found = self.0.binary_search_by(|(it, _)| it.cmp(key)).ok()?;
        self.0.get(found).map(|(_, entry)| entry)
    }

    /// Builds the snapshot of one owner. The first key is that of the owner's fence.
    pub(crate) fn snapshot(&self, keys: &[Key]) -> Snapshot {
        let (fence, keys) = match keys.split_first() {
            Some((fence, keys)) => (self.find(fence), keys),
            None => (None, keys),
        };
        Snapshot {
            fence: fence.map(|entry| Mark(entry.version)),
            entries: keys.iter().map(|key| self.find(key).cloned()).collect(),
        }
    }
}

/// Builds an entry from a row.
pub(crate) fn entry(version: i64, body: &[u8]) -> Entry {
    Entry {
        version: version.cast_unsigned(),
        body: Bytes::copy_from_slice(body),
    }
}

/// Returns whether a conflict is with the result of an earlier attempt of the same write whose
/// response was lost. Versions are random, so only this write can have stored them.
pub(crate) fn is_own_result(writes: &[Write], found: &Snapshot) -> bool {
    let mut stored = false;
    for (write, entry) in writes.iter().zip(&found.entries) {
        match (&write.change, entry) {
            (Change::Put { version, .. }, Some(entry)) if entry.version == *version => {
                stored = true;
            }
            (Change::Delete, None) | (Change::Keep, _) => {}
            _ => return false,
        }
    }
    stored
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use bytes::Bytes;

    use super::{Records, entry, is_own_result};
    use crate::store::{Change, Condition, Family, Mark, RecordKey, Snapshot, Write};

    fn write(change: Change) -> Write {
        Write {
            key: RecordKey::only(Family::Session),
            condition: Condition::Absent,
            change,
        }
    }

    fn put(version: u64) -> Write {
        write(Change::Put {
            version,
            body: Bytes::new(),
            keep_for: Duration::MAX,
        })
    }

    fn found(versions: &[Option<i64>]) -> Snapshot {
        let entries = versions.iter().map(|it| it.map(|it| entry(it, &[])));
        Snapshot {
            fence: None,
            entries: entries.collect(),
        }
    }

    #[test]
    fn a_repeated_write_recognises_its_own_result() {
        let writes = [put(1), put(2), write(Change::Delete), write(Change::Keep)];
        let own = found(&[Some(1), Some(2), None, Some(9)]);
        assert!(is_own_result(&writes, &own));
        for other in [
            [Some(1), Some(3), None, Some(9)],
            [Some(1), None, None, Some(9)],
            [Some(1), Some(2), Some(4), Some(9)],
        ] {
            assert!(!is_own_result(&writes, &found(&other)));
        }
        assert!(!is_own_result(&[write(Change::Delete)], &found(&[None])));
    }

    #[test]
    fn a_snapshot_has_the_order_of_its_keys() {
        let rows = [3, 1, 7].map(|it| Ok(([it; 49], entry(it.into(), &[it]))));
        let records = Records::collect(rows.into_iter()).unwrap();
        let snapshot = records.snapshot(&[[3; 49], [7; 49], [2; 49], [1; 49], [7; 49]]);
        assert_eq!(snapshot.fence, Some(Mark(3)));
        let bodies = snapshot
            .entries
            .iter()
            .map(|it| it.as_ref().map(|it| it.body[0]));
        assert!(bodies.eq([Some(7), None, Some(1), Some(7)]));
        assert_eq!(records.snapshot(&[[9; 49]]).fence, None);
    }
}
