//! Conversion of found rows to a snapshot.

use bytes::Bytes;

use super::{Failure, Key};
use crate::store::{Entry, RevocationMark, Snapshot};

/// Live records and live fences by their keys. A fence is the lowest mark that is still valid.
pub(crate) struct Records(Vec<(Key, Entry)>);

impl Records {
    /// Collects rows, which may be in any order.
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

    /// Builds the snapshot of one owner. The first key belongs to the owner's fence.
    pub(crate) fn snapshot(&self, keys: &[Key]) -> Snapshot {
        let (fence, keys) = match keys.split_first() {
            Some((fence, keys)) => (self.find(fence), keys),
            None => (None, keys),
        };
        Snapshot {
            fence: fence.map(|entry| RevocationMark(entry.version)),
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

#[cfg(test)]
mod tests {
    use super::{Records, entry};
    use crate::store::RevocationMark;

    #[test]
    fn a_snapshot_has_the_order_of_its_keys() {
        let rows = [3, 1, 7].map(|it| Ok(([it; 49], entry(it.into(), &[it]))));
        let records = Records::collect(rows.into_iter()).unwrap();
        let snapshot = records.snapshot(&[[3; 49], [7; 49], [2; 49], [1; 49], [7; 49]]);
        assert_eq!(snapshot.fence, Some(RevocationMark(3)));
        let bodies = snapshot
            .entries
            .iter()
            .map(|it| it.as_ref().map(|it| it.body[0]));
        assert!(bodies.eq([Some(7), None, Some(1), Some(7)]));
        assert_eq!(records.snapshot(&[[9; 49]]).fence, None);
    }
}
