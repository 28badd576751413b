//! Rows of records, and what they mean together.

use bytes::Bytes;

use super::keys::{FENCE, OWNER};
use crate::store::{Change, Entry, Family, Mark, RecordId, RecordKey, Snapshot, Write};

/// Row of a live record, or of a live fence.
pub(crate) struct Row<'a> {
    pub(crate) key: &'a [u8],
    pub(crate) version: i64,
    pub(crate) body: &'a [u8],
}

impl Row<'_> {
    /// The id of the record, if the key is one.
    pub(crate) fn id(&self) -> Option<RecordId> {
        self.key.last_chunk().copied().map(RecordId)
    }

    fn family(&self) -> Option<u8> {
        self.key.get(OWNER).copied()
    }

    fn is_at(&self, key: RecordKey) -> bool {
        self.family() == Some(key.family.number()) && self.id() == Some(key.id)
    }

    pub(crate) fn entry(&self) -> Entry {
        Entry {
            version: self.version.cast_unsigned(),
            body: Bytes::copy_from_slice(self.body),
        }
    }
}

/// Sorts rows of one owner by the keys that were requested. `None` if a row is none of this store.
pub(crate) fn snapshot<'a, E>(
    keys: &(impl Iterator<Item = RecordKey> + Clone),
    rows: impl Iterator<Item = Result<Row<'a>, E>>,
) -> Result<Option<Snapshot>, E> {
    let mut snapshot = Snapshot {
        fence: None,
        entries: vec![None; keys.clone().count()],
    };
    for row in rows {
        let row = row?;
        match row.family() {
            Some(FENCE) => snapshot.fence = u64::try_from(row.version).ok().map(Mark),
            Some(number) if Family::from_number(number).is_some() => {
                let entry = row.entry();
                let places = keys.clone().zip(&mut snapshot.entries);
                for (_, place) in places.filter(|(key, _)| row.is_at(*key)) {
                    *place = Some(entry.clone());
                }
            }
            _ => return Ok(None),
        }
    }
    Ok(Some(snapshot))
}

/// Whether a conflict is with the result of the same write, sent before: the answer was lost on the
/// way. Versions are random, so only this write can have stored them.
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

    fn found(versions: &[Option<u64>]) -> Snapshot {
        let entry = |version| Entry {
            version,
            body: Bytes::new(),
        };
        Snapshot {
            fence: None,
            entries: versions.iter().map(|it| it.map(entry)).collect(),
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
