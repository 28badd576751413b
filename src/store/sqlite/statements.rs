//! SQL statements on a given connection.

use bytes::Bytes;
use sqlx::{Executor as _, Row as _, SqliteConnection, query, sqlite::SqliteRow};

use crate::{
    clock::{Clock as _, SystemClock},
    store::{
        Acquired, Change, Condition, Entry, Family, LeaseKey, LeaseToken, Owner, RecordId,
        RevocationMark, Settlement, Snapshot, Write,
        sql::{
            Failure, Key, LATE_SETTLEMENT, Records, entry, family_bounds, fence_key, lease_key,
            left, list_start, millis, record_key,
        },
    },
};

/// Statements that create the tables, version 1. The file may also contain tables of the app.
pub(super) const TABLES: &str = include_str!("tables.sql");

/// Maximum number of keys in one statement. For each power of two up to this number, the store has
/// one statement.
const MAX_KEYS: usize = 512;

const PUT: &str = "
INSERT INTO kycport_records (key, version, expires_at, body) VALUES (?1, ?2, ?3, ?4)
ON CONFLICT (key) DO UPDATE
SET version = excluded.version, expires_at = excluded.expires_at, body = excluded.body";

const PUT_FENCE: &str = "
INSERT INTO kycport_records (key, version, expires_at, body) VALUES (?1, ?2, ?3, x'')
ON CONFLICT (key) DO UPDATE
SET version = excluded.version, expires_at = max(expires_at, excluded.expires_at)";

const LIST: &str = "
SELECT key, version, body FROM kycport_records
WHERE key > ?1 AND key < ?2 AND expires_at > ?3 ORDER BY key LIMIT ?4";

const PUT_LEASE: &str = "
INSERT INTO kycport_leases (key, token, held_until, expires_at, result)
VALUES (?1, ?2, ?3, ?4, x'')
ON CONFLICT (key) DO UPDATE
SET token = excluded.token, held_until = excluded.held_until, expires_at = excluded.expires_at,
    result = excluded.result";

const SWEEP_RECORDS: &str = "
DELETE FROM kycport_records WHERE key IN (
    SELECT key FROM kycport_records WHERE expires_at <= ?1 ORDER BY expires_at LIMIT ?2)";

const SWEEP_LEASES: &str = "
DELETE FROM kycport_leases WHERE key IN (
    SELECT key FROM kycport_leases WHERE expires_at <= ?1 ORDER BY expires_at LIMIT ?2)";

/// Returns the machine's time in milliseconds. All processes that share a file share this clock.
pub(super) fn now() -> i64 {
    SystemClock::new().now().as_unix_millis()
}

/// Statements that fetch rows by their keys, one for each power of two.
pub(super) struct FetchStatements(Vec<String>);

impl FetchStatements {
    pub(super) fn new() -> Self {
        let counts = std::iter::successors(Some(1_usize), |count| count.checked_mul(2));
        let counts = counts.take_while(|count| *count <= MAX_KEYS);
        Self(counts.map(fetch_statement).collect())
    }

    /// Returns the shortest statement for this number of keys, and its capacity.
    fn get(&self, keys: usize) -> Option<(&str, usize)> {
        let count = keys.checked_next_power_of_two()?;
        let statement = self.0.get(usize::try_from(count.trailing_zeros()).ok()?)?;
        Some((statement, count))
    }
}

/// Builds a statement that returns each row with the position of its key. The position is shorter
/// than the key.
fn fetch_statement(count: usize) -> String {
    let wanted: Vec<_> = (0..count).map(|number| format!("({number}, ?)")).collect();
    format!(
        "WITH wanted (number, key) AS (VALUES {}) \
         SELECT wanted.number, found.version, found.body \
         FROM wanted CROSS JOIN kycport_records AS found ON found.key = wanted.key \
         WHERE found.expires_at > ?",
        wanted.join(", ")
    )
}

/// Fetches live rows by their keys. The rows form one snapshot if one statement suffices or if the
/// connection is in a transaction.
pub(super) async fn fetch(
    connection: &mut SqliteConnection,
    statements: &FetchStatements,
    keys: &[Key],
    now: i64,
) -> Result<Records, Failure> {
    let mut found = Vec::new();
    for keys in keys.chunks(MAX_KEYS) {
        let (statement, count) = statements.get(keys.len()).ok_or_else(Failure::damaged)?;
        let mut query = query(statement);
        for number in 0..count {
            query = query.bind(keys.get(number).map(Key::as_slice));
        }
        for row in query.bind(now).fetch_all(&mut *connection).await? {
            let number: i64 = row.try_get(0)?;
            let key = usize::try_from(number).ok().and_then(|it| keys.get(it));
            let key = key.ok_or_else(Failure::damaged)?;
            found.push((*key, entry(row.try_get(1)?, row.try_get(2)?)));
        }
    }
    Records::collect(found.into_iter().map(Ok))
}

/// Returns whether all conditions of a write hold.
pub(super) fn holds(writes: &[Write], found: &Snapshot) -> bool {
    let mut pairs = writes.iter().zip(&found.entries);
    pairs.all(|(write, entry)| match write.condition {
        Condition::Any => true,
        Condition::Absent => entry.is_none(),
        Condition::Present => entry.is_some(),
        Condition::Version(version) => entry.as_ref().is_some_and(|it| it.version == version),
    })
}

/// Applies the changes of a write. Returns the latest expiry among the stored records.
pub(super) async fn change(
    connection: &mut SqliteConnection,
    owner: &Owner,
    writes: &[Write],
    now: i64,
) -> Result<i64, Failure> {
    let mut last_end = now;
    for write in writes {
        let key = record_key(owner, write.key);
        match &write.change {
            Change::Keep => {}
            Change::Put {
                version,
                body,
                keep_for,
            } => {
                let ends_at = now.saturating_add(millis(*keep_for));
                last_end = last_end.max(ends_at);
                let put = query(PUT).bind(&key[..]).bind(version.cast_signed());
                let put = put.bind(ends_at).bind(&body[..]);
                connection.execute(put).await?;
            }
            Change::Delete => {
                let delete = query("DELETE FROM kycport_records WHERE key = ?1").bind(&key[..]);
                connection.execute(delete).await?;
            }
        }
    }
    Ok(last_end)
}

/// Stores a fence: the lowest mark that is still valid. The lifetime of a fence is never
/// shortened.
pub(super) async fn put_fence(
    connection: &mut SqliteConnection,
    owner: &Owner,
    mark: RevocationMark,
    expires_at: i64,
) -> Result<(), Failure> {
    let key = fence_key(owner);
    let put = query(PUT_FENCE).bind(&key[..]).bind(mark.0.cast_signed());
    connection.execute(put.bind(expires_at)).await?;
    Ok(())
}

/// Raises the revocation counter, which all namespaces share.
pub(super) async fn raise_counter(
    connection: &mut SqliteConnection,
) -> Result<RevocationMark, Failure> {
    let raise = "UPDATE kycport_counter SET mark = mark + 1 RETURNING mark";
    mark(&connection.fetch_one(query(raise)).await?)
}

pub(super) async fn counter(connection: &mut SqliteConnection) -> Result<RevocationMark, Failure> {
    let select = query("SELECT mark FROM kycport_counter");
    mark(&connection.fetch_one(select).await?)
}

fn mark(row: &SqliteRow) -> Result<RevocationMark, Failure> {
    let mark: i64 = row.try_get(0)?;
    Ok(RevocationMark(
        u64::try_from(mark).map_err(|_| Failure::damaged())?,
    ))
}

pub(super) async fn delete_families(
    connection: &mut SqliteConnection,
    owner: &Owner,
    families: &[Family],
) -> Result<(), Failure> {
    for family in families {
        let [lower, upper] = family_bounds(owner, *family);
        let delete = query("DELETE FROM kycport_records WHERE key > ?1 AND key < ?2");
        let delete = delete.bind(&lower[..]).bind(&upper[..]);
        connection.execute(delete).await?;
    }
    Ok(())
}

pub(super) async fn list(
    connection: &mut SqliteConnection,
    owner: &Owner,
    family: Family,
    after: Option<RecordId>,
    limit: usize,
) -> Result<Vec<(RecordId, Entry)>, Failure> {
    let start = list_start(owner, family, after);
    let [_, end] = family_bounds(owner, family);
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let list = query(LIST).bind(&start[..]).bind(&end[..]);
    let rows = connection.fetch_all(list.bind(now()).bind(limit)).await?;
    let rows = rows.iter().map(|row| {
        let key: &[u8] = row.try_get(0)?;
        let id = key.last_chunk().copied().ok_or_else(Failure::damaged)?;
        Ok((RecordId(id), entry(row.try_get(1)?, row.try_get(2)?)))
    });
    rows.collect()
}

/// Determines who holds a lease. Returns `None` if the token may acquire the lease.
pub(super) async fn lease(
    connection: &mut SqliteConnection,
    key: &LeaseKey,
    token: LeaseToken,
    now: i64,
) -> Result<Option<Acquired>, Failure> {
    let select = "SELECT token, held_until, result FROM kycport_leases \
                  WHERE key = ?1 AND expires_at > ?2";
    let key = lease_key(key);
    let select = query(select).bind(&key[..]).bind(now);
    let Some(row) = connection.fetch_optional(select).await? else {
        return Ok(None);
    };
    let holder: &[u8] = row.try_get(0)?;
    let held_until: Option<i64> = row.try_get(1)?;
    Ok(match held_until {
        None => Some(Acquired::Done(Bytes::copy_from_slice(row.try_get(2)?))),
        Some(until) if now < until && holder != token.0 => {
            Some(Acquired::Held(left(until.saturating_sub(now))))
        }
        Some(_) => None,
    })
}

pub(super) async fn put_lease(
    connection: &mut SqliteConnection,
    key: &LeaseKey,
    token: LeaseToken,
    until: i64,
) -> Result<(), Failure> {
    let key = lease_key(key);
    let expires_at = until.saturating_add(millis(LATE_SETTLEMENT));
    let put = query(PUT_LEASE).bind(&key[..]).bind(&token.0[..]);
    connection.execute(put.bind(until).bind(expires_at)).await?;
    Ok(())
}

pub(super) async fn settle(
    connection: &mut SqliteConnection,
    key: &LeaseKey,
    token: LeaseToken,
    settlement: &Settlement,
) -> Result<bool, Failure> {
    let now = now();
    let key = lease_key(key);
    let done = "UPDATE kycport_leases SET held_until = NULL, result = ?4, expires_at = ?5 \
                WHERE key = ?1 AND token = ?2 AND expires_at > ?3";
    let release = "DELETE FROM kycport_leases WHERE key = ?1 AND token = ?2 AND held_until > ?3";
    let extend = "UPDATE kycport_leases SET held_until = ?4, expires_at = ?5 \
                  WHERE key = ?1 AND token = ?2 AND held_until > ?3";
    let settle = |statement| query(statement).bind(&key[..]).bind(&token.0[..]).bind(now);
    let statement = match settlement {
        Settlement::Done { result, keep_for } => {
            let expires_at = now.saturating_add(millis(*keep_for));
            settle(done).bind(&result[..]).bind(expires_at)
        }
        Settlement::Release => settle(release),
        Settlement::Extend(length) => {
            let until = now.saturating_add(millis(*length));
            let expires_at = until.saturating_add(millis(LATE_SETTLEMENT));
            settle(extend).bind(until).bind(expires_at)
        }
    };
    Ok(connection.execute(statement).await?.rows_affected() == 1)
}

/// Removes expired rows, and returns their number.
pub(super) async fn sweep(
    connection: &mut SqliteConnection,
    limit: usize,
) -> Result<usize, Failure> {
    let now = now();
    let mut removed = 0_usize;
    for statement in [SWEEP_RECORDS, SWEEP_LEASES] {
        let left = i64::try_from(limit.saturating_sub(removed)).unwrap_or(i64::MAX);
        let sweep = query(statement).bind(now).bind(left);
        let rows = connection.execute(sweep).await?.rows_affected();
        removed = removed.saturating_add(usize::try_from(rows).unwrap_or(usize::MAX));
    }
    Ok(removed)
}

#[cfg(test)]
mod tests {
    use super::{FetchStatements, MAX_KEYS};

    #[test]
    fn there_is_a_statement_for_every_number_of_keys() {
        let statements = FetchStatements::new();
        for keys in 1..=MAX_KEYS {
            let (statement, count) = statements.get(keys).unwrap();
            assert!((keys..keys * 2).contains(&count));
            assert_eq!(statement.matches('?').count(), count + 1);
        }
        assert!(statements.get(MAX_KEYS + 1).is_none());
    }
}
