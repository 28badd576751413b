//! Detection of writes that the store has sent twice.

use crate::store::{Change, Snapshot, Write};

/// Returns whether a repeated write conflicts with the result of its first attempt. The store
/// repeats a write if the response to the first attempt was lost. Versions are random, so only this
/// write can have stored its versions.
pub(super) fn is_own_result(writes: &[Write], found: &Snapshot) -> bool {
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

    use super::is_own_result;
    use crate::store::{Change, Condition, Entry, Family, RecordKey, Snapshot, Write};

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

    fn entry(version: u64) -> Entry {
        Entry {
            version,
            body: Bytes::new(),
        }
    }

    fn found(versions: &[Option<u64>]) -> Snapshot {
        let entries = versions.iter().map(|it| it.map(entry));
        Snapshot {
            fence: None,
            entries: entries.collect(),
        }
    }

    #[test]
    fn a_write_knows_its_own_result() {
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
}
