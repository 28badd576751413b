//! Parser for times in JSON.

use chrono::DateTime;
use serde_json::Value;

use super::timestamp::Timestamp;

/// Parses a string in RFC 3339 format, or whole seconds since the epoch (K81).
pub(crate) fn read(value: &Value) -> Option<Timestamp> {
    match value {
        Value::String(text) => {
            let time = DateTime::parse_from_rfc3339(text).ok()?;
            Some(Timestamp::from_unix_millis(time.timestamp_millis()))
        }
        Value::Number(seconds) => seconds.as_i64().map(Timestamp::from_unix),
        _ => None,
    }
}

/// Parses the time of a past event. A time in the future, and a time that is not after
/// 1970-01-01T00:00:00Z, count as absent. A sender may write 0 for a missing time.
pub(crate) fn read_past(value: &Value, now: Timestamp) -> Option<Timestamp> {
    read(value).filter(|time| *time > Timestamp::from_unix(0) && *time <= now)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::{Value, json};

    use super::read;
    use crate::clock::Timestamp;

    #[test]
    fn a_time_is_rfc_3339_or_whole_seconds() {
        // case 129
        let known = Timestamp::from_unix(1_700_000_000);
        for good in [
            json!("2023-11-14T22:13:20Z"),
            json!("2023-11-14T22:13:20.000000Z"),
            json!("2023-11-14T23:13:20+01:00"),
            json!("2023-11-14t22:13:20z"),
            json!(1_700_000_000),
        ] {
            assert_eq!(read(&good), Some(known), "{good}");
        }
        assert_eq!(
            read(&json!("2023-11-14T22:13:20.25Z")),
            Some(known.saturating_add(Duration::from_millis(250)))
        );
        for bad in [
            Value::Null,
            json!(true),
            json!(""),
            json!("yesterday"),
            json!("1700000000"),
            json!("2023-11-14"),
            json!("2023-11-14T22:13:20"),
            json!("2023-13-14T22:13:20Z"),
            json!("2023-11-14T22:13:20+99:99"),
            json!("+262144-11-14T22:13:20Z"),
            json!(1_700_000_000.5),
            json!(1e300),
            json!(u64::MAX),
            json!([1_700_000_000]),
        ] {
            assert_eq!(read(&bad), None, "{bad}");
        }
    }

    #[test]
    fn extreme_times_are_read() {
        // case 129
        for seconds in [i64::MIN, -1, 0, i64::MAX] {
            assert_eq!(
                read(&json!(seconds)),
                Some(Timestamp::from_unix(seconds)),
                "{seconds}"
            );
        }
        assert!(read(&json!("0000-01-01T00:00:00Z")).is_some());
        assert!(read(&json!("9999-12-31T23:59:59.999999999999Z")).is_some());
    }
}
