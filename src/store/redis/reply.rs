//! Parsing of replies. An invalid reply is an error, and is never treated as an absent record.

use bytes::{Buf as _, Bytes};
use redis::Value;

use super::{
    failure::Failure,
    key::{FENCE, FIELD},
};
use crate::store::{Entry, Family, RecordId, RevocationMark, Snapshot};

/// Length of the header before each body. The header contains the version and the expiry.
const HEAD: usize = 16;

/// Converts a reply to `TIME` to milliseconds since the epoch.
pub(super) fn time(reply: Option<Value>) -> Result<u64, Failure> {
    let Some(Value::Array(parts)) = reply else {
        return Err(Failure::damaged());
    };
    let [seconds, micros] = &parts[..] else {
        return Err(Failure::damaged());
    };
    let millis = number(seconds)?.saturating_mul(1000);
    let rest = number(micros)?.checked_div(1000).unwrap_or_default();
    Ok(millis.saturating_add(rest))
}

/// Parses a snapshot from the fence (the lowest mark that is still valid) and `count` records. A
/// record that has expired at `now` is absent.
pub(super) fn snapshot(reply: Value, count: usize, now: u64) -> Result<Snapshot, Failure> {
    let Value::Array(values) = reply else {
        return Err(Failure::damaged());
    };
    let mut values = values.into_iter();
    let fence = values.next().ok_or_else(Failure::damaged)?;
    let fence = mark(&fence)?;
    let entries: Result<Vec<_>, _> = values.map(|value| entry(value, now)).collect();
    let entries = entries?;
    if entries.len() != count {
        return Err(Failure::damaged());
    }
    Ok(Snapshot { fence, entries })
}

fn mark(value: &Value) -> Result<Option<RevocationMark>, Failure> {
    match value {
        Value::Nil => Ok(None),
        value => Ok(Some(RevocationMark(number(value)?))),
    }
}

fn entry(value: Value, now: u64) -> Result<Option<Entry>, Failure> {
    let bytes = match value {
        Value::Nil => return Ok(None),
        Value::BulkString(bytes) => bytes,
        _ => return Err(Failure::damaged()),
    };
    let mut body = Bytes::from(bytes);
    if body.len() < HEAD {
        return Err(Failure::damaged());
    }
    let version = body.get_u64();
    let ends_at = body.get_u64();
    Ok((now < ends_at).then_some(Entry { version, body }))
}

/// Returns the live records of a family by ascending id, from all fields of a hash.
pub(super) fn list(
    reply: Value,
    family: Family,
    after: Option<RecordId>,
    now: u64,
) -> Result<Vec<(RecordId, Entry)>, Failure> {
    let mut list = Vec::new();
    for (field, value) in pairs(reply)? {
        let Value::BulkString(field) = field else {
            return Err(Failure::damaged());
        };
        let Some(id) = id_in(&field, family) else {
            continue;
        };
        if after.is_some_and(|after| id <= after) {
            continue;
        }
        if let Some(entry) = entry(value, now)? {
            list.push((id, entry));
        }
    }
    list.sort_unstable_by_key(|(id, _)| *id);
    Ok(list)
}

fn id_in(field: &[u8], family: Family) -> Option<RecordId> {
    if field == FENCE {
        return None;
    }
    let (first, id) = field.split_first()?;
    let is_of_family = *first == family.number() && field.len() == FIELD;
    is_of_family.then_some(RecordId(id.try_into().ok()?))
}

/// Returns fields and values. In RESP3, the reply is a map.
fn pairs(reply: Value) -> Result<Vec<(Value, Value)>, Failure> {
    match reply {
        Value::Map(pairs) => Ok(pairs),
        Value::Array(values) => {
            let mut pairs = Vec::with_capacity(values.len().div_ceil(2));
            let mut values = values.into_iter();
            while let Some(field) = values.next() {
                pairs.push((field, values.next().ok_or_else(Failure::damaged)?));
            }
            Ok(pairs)
        }
        _ => Err(Failure::damaged()),
    }
}

/// Parses an integer reply or a decimal string.
pub(super) fn number(value: &Value) -> Result<u64, Failure> {
    let number = match value {
        Value::Int(number) => u64::try_from(*number).ok(),
        Value::BulkString(digits) => digits_of(digits),
        _ => None,
    };
    number.ok_or_else(Failure::damaged)
}

fn digits_of(digits: &[u8]) -> Option<u64> {
    // Check the digits first, because `parse` would also accept a sign.
    let are_digits = digits.iter().all(u8::is_ascii_digit);
    let digits = std::str::from_utf8(digits).ok()?;
    digits.parse().ok().filter(|_| are_digits)
}

/// Splits the reply of a script into the leading number and the other values.
pub(super) fn tagged(reply: Value) -> Result<(u64, std::vec::IntoIter<Value>), Failure> {
    let Value::Array(values) = reply else {
        return Err(Failure::damaged());
    };
    let mut values = values.into_iter();
    let tag = values.next().ok_or_else(Failure::damaged)?;
    Ok((number(&tag)?, values))
}

#[cfg(test)]
mod tests {
    use redis::Value;

    use super::{Failure, entry, list, number, snapshot, time};
    use crate::store::{Family, RecordId, RevocationMark, StoreError};

    fn bulk(bytes: impl AsRef<[u8]>) -> Value {
        Value::BulkString(bytes.as_ref().to_vec())
    }

    fn record(version: u64, ends_at: u64, body: &[u8]) -> Value {
        bulk([&version.to_be_bytes(), &ends_at.to_be_bytes(), body].concat())
    }

    fn is_damaged<T>(result: Result<T, Failure>) -> bool {
        result.is_err_and(|it| it.error == StoreError::Damaged)
    }

    #[test]
    fn a_record_is_absent_from_its_expiry() {
        let found = entry(record(u64::MAX, 5, b"body"), 4).unwrap().unwrap();
        assert_eq!((found.version, &found.body[..]), (u64::MAX, &b"body"[..]));
        assert_eq!(entry(record(1, 5, b""), 5).unwrap(), None);
        assert_eq!(entry(Value::Nil, 5).unwrap(), None);
    }

    #[test]
    fn invalid_replies_are_damaged_and_not_absent() {
        assert!(is_damaged(entry(bulk([0; 15]), 0)));
        assert!(is_damaged(entry(Value::Int(1), 0)));
        assert!(is_damaged(snapshot(Value::Nil, 1, 0)));
        assert!(is_damaged(snapshot(Value::Array(vec![]), 0, 0)));
        let short = Value::Array(vec![Value::Nil, Value::Nil]);
        assert!(is_damaged(snapshot(short, 2, 0)));
        for fence in ["", "-1", "+1", "1e3", "nan", "18446744073709551616"] {
            let reply = Value::Array(vec![bulk(fence)]);
            assert!(is_damaged(snapshot(reply, 0, 0)), "{fence}");
        }
        assert!(is_damaged(time(Some(Value::Array(vec![bulk("1")])))));
        assert!(is_damaged(time(None)));
        assert!(is_damaged(number(&Value::Int(-1))));
    }

    #[test]
    fn a_snapshot_has_the_fence_first() {
        let reply = Value::Array(vec![bulk("17"), Value::Nil, record(3, 9, b"x")]);
        let found = snapshot(reply, 2, 8).unwrap();
        assert_eq!(found.fence, Some(RevocationMark(17)));
        assert_eq!(found.entries[0], None);
        assert_eq!(found.entries[1].as_ref().unwrap().version, 3);
    }

    #[test]
    fn a_list_has_one_family_in_order() {
        let field = |family: Family, id: u8| {
            let mut field = vec![family.number()];
            field.extend([id; 16]);
            bulk(field)
        };
        let fields = vec![
            (bulk("f"), bulk("1")),
            (field(Family::Session, 9), record(1, 9, b"")),
            (field(Family::Tokens, 4), record(1, 9, b"")),
            (field(Family::Session, 3), record(2, 9, b"")),
            (field(Family::Session, 5), record(3, 1, b"")),
            (field(Family::Session, 1), record(4, 9, b"")),
        ];
        let flat = fields.iter().cloned().flat_map(|(a, b)| [a, b]).collect();
        for reply in [Value::Array(flat), Value::Map(fields)] {
            let after = Some(RecordId([1; 16]));
            let found = list(reply, Family::Session, after, 5).unwrap();
            let ids: Vec<_> = found.iter().map(|(id, _)| id.0[0]).collect();
            assert_eq!(ids, [3, 9]);
        }
    }

    #[test]
    fn the_time_is_in_milliseconds() {
        let reply = Value::Array(vec![bulk("12"), bulk("345999")]);
        assert_eq!(time(Some(reply)).unwrap(), 12_345);
    }
}
