//! Keys, fields and arguments in Redis commands.

use std::{io::Write as _, time::Duration};

use redis::{Cmd, RedisWrite, ToRedisArgs};

use crate::store::{LeaseKey, Owner, RecordKey};

/// Maximum lifetime in milliseconds: 100 years. With this limit, all sums are exact in a script's
/// floating-point numbers.
const LONGEST: u64 = 100 * 365 * 24 * 3600 * 1000;
/// Length of a field name, which consists of family and id.
pub(super) const FIELD: usize = 17;
/// Name of the field with the fence: the lowest mark that is still valid.
pub(super) const FENCE: &[u8] = b"f";

/// Key of an owner's hash, or key of a namespace's value. In a cluster, the part in braces
/// determines the slot.
#[derive(Clone, Copy)]
pub(super) struct Key<'a> {
    prefix: &'a str,
    kind: &'static str,
    parts: [&'a [u8]; 3],
}

impl<'a> Key<'a> {
    /// Returns the key of the hash with the fence and all records of an owner.
    pub(super) fn owner(prefix: &'a str, owner: &'a Owner) -> Self {
        Self {
            prefix,
            kind: "o",
            parts: [&owner.namespace, &owner.id, &[]],
        }
    }

    /// Returns the key of the revocation counter of a namespace.
    pub(super) fn counter(prefix: &'a str, namespace: &'a [u8; 16]) -> Self {
        Self {
            prefix,
            kind: "m",
            parts: [namespace, &[], &[]],
        }
    }

    /// Returns the key of a lease. `family` is the number of its family.
    pub(super) fn lease(prefix: &'a str, key: &'a LeaseKey, family: &'a [u8; 1]) -> Self {
        Self {
            prefix,
            kind: "l",
            parts: [&key.namespace, family, &key.id],
        }
    }

    /// Returns the maximum length of a key in bytes.
    fn len(&self) -> usize {
        let hex = self.parts.iter().map(|it| it.len().saturating_mul(2));
        hex.sum::<usize>()
            .saturating_add(self.prefix.len())
            .saturating_add(3)
    }
}

impl ToRedisArgs for Key<'_> {
    fn write_redis_args<W: ?Sized + RedisWrite>(&self, out: &mut W) {
        let mut writer = out.writer_for_next_arg();
        // Writing to memory does not fail.
        let _ = writer.write_all(self.prefix.as_bytes());
        let _ = writer.write_all(b"{");
        for part in self.parts {
            // Each part of a key has at most 16 bytes.
            let mut hex = [0; 32];
            let hex = base16ct::lower::encode(part, &mut hex).unwrap_or_default();
            let _ = writer.write_all(hex);
        }
        let _ = writer.write_all(b"}");
        let _ = writer.write_all(self.kind.as_bytes());
    }
}

/// Returns the name of the hash field that contains a record. Each owner has one hash.
pub(super) fn field(key: &RecordKey) -> [u8; FIELD] {
    let mut field = [key.family.number(); FIELD];
    let (_, id) = field.split_at_mut(1);
    id.copy_from_slice(&key.id.0);
    field
}

/// Converts a duration to whole milliseconds. Rounds up, and limits the result to 100 years.
pub(super) fn millis(duration: Duration) -> u64 {
    let millis = duration.as_nanos().div_ceil(1_000_000);
    u64::try_from(millis).unwrap_or(LONGEST).min(LONGEST)
}

/// Builds the command that reads the fence and some fields of an owner.
pub(super) fn read(key: Key<'_>, fields: &[RecordKey]) -> Cmd {
    let size = fields.len().saturating_mul(FIELD);
    let size = size.saturating_add(key.len()).saturating_add(8);
    let mut command = Cmd::with_capacity(fields.len().saturating_add(3), size);
    command.arg("HMGET").arg(key).arg(FENCE);
    for key in fields {
        command.arg(&field(key)[..]);
    }
    command
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use redis::ToRedisArgs as _;

    use super::{Key, LONGEST, field, millis};
    use crate::store::{Family, LeaseFamily, LeaseKey, Owner, RecordId, RecordKey};

    fn text(key: Key<'_>) -> String {
        let parts = key.to_redis_args();
        assert_eq!(parts.len(), 1);
        String::from_utf8(parts[0].clone()).unwrap()
    }

    #[test]
    fn keys_are_written_as_documented() {
        let (namespace, id) = ([0x0a; 16], [0xff; 16]);
        let owner = Owner { namespace, id };
        let (a, f) = ("0a".repeat(16), "ff".repeat(16));
        assert_eq!(text(Key::owner("p:", &owner)), format!("p:{{{a}{f}}}o"));
        assert_eq!(text(Key::counter("", &namespace)), format!("{{{a}}}m"));
        let lease = LeaseKey {
            namespace,
            family: LeaseFamily::Event,
            id,
        };
        let family = [lease.family.number()];
        let key = Key::lease("p:", &lease, &family);
        assert_eq!(text(key), format!("p:{{{a}02{f}}}l"));
        assert_eq!(text(key).len(), key.len());
    }

    #[test]
    fn a_field_has_the_family_first() {
        let key = RecordKey::new(Family::Tokens, RecordId([9; 16]));
        let field = field(&key);
        assert_eq!(field[0], 3);
        assert_eq!(field[1..], [9; 16]);
    }

    #[test]
    fn lifetimes_are_rounded_up_and_bounded() {
        assert_eq!(millis(Duration::ZERO), 0);
        assert_eq!(millis(Duration::from_nanos(1)), 1);
        assert_eq!(millis(Duration::from_micros(2500)), 3);
        assert_eq!(millis(Duration::from_millis(2)), 2);
        assert_eq!(millis(Duration::MAX), LONGEST);
    }
}
