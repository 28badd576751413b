//! Rules about reading, storing and removing records.

use bytes::Bytes;

use super::{
    Violation,
    rule::{LONG, Rule, Sample, delete, random, random_owner},
};
use crate::store::{Condition, Family, Owner, RecordId, RecordKey, Store, Write};

pub(super) async fn check(store: &dyn Store) -> Result<(), Violation> {
    versions(store).await?;
    bodies(store).await?;
    order_of_entries(store).await?;
    unknown_owner(store).await?;
    ids(store).await?;
    families(store).await?;
    replacement(store).await?;
    removal(store).await?;
    many_at_a_time(store).await?;
    readiness(store).await
}

async fn order_of_entries(store: &dyn Store) -> Result<(), Violation> {
    let text = "a read returns one entry per key, in the order of the keys";
    let (rule, owner) = (Rule::new(store, text), random_owner());
    let (a, b) = (Sample::new(Family::Session), Sample::new(Family::Session));
    let c = Sample::new(Family::Activity);
    rule.stores(&owner, &[&a, &b, &c]).await?;
    let absent = Sample::new(Family::Session);
    for order in [
        [Some(&c), None, Some(&a), Some(&b)],
        [Some(&b), Some(&a), None, Some(&c)],
        [Some(&a), None, Some(&a), Some(&a)],
        [None, None, Some(&c), Some(&c)],
    ] {
        let keys = order.map(|it| it.unwrap_or(&absent).key);
        rule.are(&rule.read(&owner, &keys).await?, &order)?;
    }
    Ok(())
}

async fn unknown_owner(store: &dyn Store) -> Result<(), Violation> {
    let text = "a read of an unknown owner finds no record and no fence";
    let rule = Rule::new(store, text);
    let keys = Family::ALL.map(RecordKey::only);
    let snapshot = rule.read(&random_owner(), &keys).await?;
    rule.holds(snapshot.fence.is_none(), "a fence")?;
    rule.are(&snapshot, &[None; Family::ALL.len()])?;
    let snapshot = rule.read(&random_owner(), &[]).await?;
    rule.holds(snapshot.fence.is_none(), "a fence")
}

async fn bodies(store: &dyn Store) -> Result<(), Violation> {
    let text = "a body is stored byte for byte";
    let (rule, owner) = (Rule::new(store, text), random_owner());
    let every_byte: Vec<u8> = (0..=u8::MAX).collect();
    let large = (0..256).flat_map(|_| random::<256>()).collect::<Vec<_>>();
    for body in [
        Bytes::new(),
        Bytes::from_static(b"\0"),
        Bytes::from_static(b"\0\0middle\0\0"),
        Bytes::from_static(b" spaces and a line end \r\n"),
        Bytes::from_static(b"\\x00 '' \"\" {} % $1 ? nil 17 1e3"),
        Bytes::from_static(b"\xff\xfe\x80 no UTF-8 \xc3"),
        Bytes::from(every_byte),
        Bytes::from(large),
    ] {
        let key = RecordKey::new(Family::Session, RecordId(random()));
        let sample = Sample::of(key, body);
        rule.stores(&owner, &[&sample]).await?;
        rule.has(&owner, &[&sample]).await?;
    }
    Ok(())
}

async fn versions(store: &dyn Store) -> Result<(), Violation> {
    let text = "a version is any 64 bits, and is stored exactly";
    let (rule, owner) = (Rule::new(store, text), random_owner());
    // Above 2^53 a float is not exact, and from 2^63 on a signed integer is negative.
    for version in [0, 1, (1 << 53) | 1, (1 << 63) - 1, 1 << 63, u64::MAX] {
        let mut sample = Sample::new(Family::Session);
        sample.version = version;
        rule.stores(&owner, &[&sample]).await?;
        let snapshot = rule.read(&owner, &[sample.key]).await?;
        let entry = snapshot.entries.first().and_then(Option::as_ref);
        let found = entry.map(|it| it.version);
        rule.holds(found == Some(version), "another version")?;
    }
    Ok(())
}

async fn ids(store: &dyn Store) -> Result<(), Violation> {
    let text = "an id is any 16 bytes";
    let rule = Rule::new(store, text);
    let ids = [
        [0; 16],
        [0xff; 16],
        *b"{owner}:*?[a-z]\\",
        *b"' OR 1=1 -- \"%_;",
        *b"\r\n\r\n\0\0\0\0 \t :0:{}",
        *b"aaaaaaaaaaaaaaa\0",
        *b"AAAAAAAAAAAAAAA\0",
        *b"aaaaaaaaaaaaaaaa",
    ];
    let samples = ids.map(|id| Sample::at(RecordKey::new(Family::Tokens, RecordId(id))));
    // This key has equal bytes in all its parts.
    let namespace = random();
    for id in ids {
        let owner = Owner { namespace, id };
        let mirrored = Owner {
            namespace: id,
            id: namespace,
        };
        rule.stores(&owner, &samples.each_ref()).await?;
        rule.has(&owner, &samples.each_ref()).await?;
        rule.stores(&mirrored, &samples.each_ref()).await?;
        rule.has(&mirrored, &samples.each_ref()).await?;
    }
    Ok(())
}

async fn families(store: &dyn Store) -> Result<(), Violation> {
    let text = "records of different families are separate, even with the same id";
    let (rule, owner, id) = (Rule::new(store, text), random_owner(), RecordId(random()));
    let samples = Family::ALL.map(|family| Sample::at(RecordKey::new(family, id)));
    for sample in &samples {
        rule.stores(&owner, &[sample]).await?;
    }
    rule.has(&owner, &samples.each_ref()).await?;
    for (index, sample) in samples.iter().enumerate() {
        let writes = [delete(sample.key, Condition::Any)];
        rule.applies(&owner, &writes, None).await?;
        rule.lacks(&owner, &[sample.key]).await?;
        let rest: Vec<_> = samples.iter().skip(index.saturating_add(1)).collect();
        rule.has(&owner, &rest).await?;
    }
    Ok(())
}

async fn replacement(store: &dyn Store) -> Result<(), Violation> {
    let text = "a put replaces the version and the body";
    let (rule, owner) = (Rule::new(store, text), random_owner());
    let first = Sample::new(Family::Session);
    let neighbour = Sample::new(Family::Session);
    rule.stores(&owner, &[&first, &neighbour]).await?;
    for body in [Bytes::from_static(b"longer"), Bytes::new()] {
        let next = Sample::of(first.key, body);
        rule.stores(&owner, &[&next]).await?;
        rule.has(&owner, &[&next, &neighbour]).await?;
    }
    Ok(())
}

async fn removal(store: &dyn Store) -> Result<(), Violation> {
    let text = "a delete removes the record, and deleting an absent record is applied";
    let (rule, owner) = (Rule::new(store, text), random_owner());
    let (gone, stays) = (Sample::new(Family::Session), Sample::new(Family::Session));
    rule.stores(&owner, &[&gone, &stays]).await?;
    for _ in 0..2 {
        let writes = [delete(gone.key, Condition::Any)];
        rule.applies(&owner, &writes, None).await?;
        rule.lacks(&owner, &[gone.key]).await?;
        rule.has(&owner, &[&stays]).await?;
    }
    rule.stores(&owner, &[&gone]).await?;
    rule.has(&owner, &[&gone, &stays]).await
}

async fn many_at_a_time(store: &dyn Store) -> Result<(), Violation> {
    let text = "a write changes all of its records";
    let (rule, owner) = (Rule::new(store, text), random_owner());
    let samples: Vec<_> = (0..16)
        .flat_map(|_| [Family::Session, Family::Tokens].map(Sample::new))
        .collect();
    let samples: Vec<_> = samples.iter().collect();
    rule.stores(&owner, &samples).await?;
    rule.has(&owner, &samples).await?;
    let next: Vec<_> = samples.iter().map(|it| Sample::at(it.key)).collect();
    let writes: Vec<Write> = next
        .iter()
        .zip(&samples)
        .enumerate()
        .map(|(index, (next, before))| {
            let condition = Condition::Version(before.version);
            if index.is_multiple_of(2) {
                next.put_for(condition, LONG)
            } else {
                delete(before.key, condition)
            }
        })
        .collect();
    rule.applies(&owner, &writes, None).await?;
    let keys: Vec<_> = samples.iter().map(|it| it.key).collect();
    let left: Vec<_> = next
        .iter()
        .enumerate()
        .map(|(index, next)| index.is_multiple_of(2).then_some(next))
        .collect();
    rule.are(&rule.read(&owner, &keys).await?, &left)
}

async fn readiness(store: &dyn Store) -> Result<(), Violation> {
    let text = "a check of a working store succeeds and leaves no record";
    let (rule, owner) = (Rule::new(store, text), random_owner());
    let sample = Sample::new(Family::Check);
    rule.stores(&owner, &[&sample]).await?;
    rule.check().await?;
    rule.check().await?;
    rule.has(&owner, &[&sample]).await?;
    let listed = rule.list(&owner, Family::Check, None, 2).await?;
    rule.holds(listed.len() == 1, "a record of the check is left")
}
