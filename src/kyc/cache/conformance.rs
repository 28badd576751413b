//! What an [`AssuranceCache`] must do, to be run on one: [`check`].

use futures_util::future::try_join_all;
use rand::Rng as _;

use super::store::{AssuranceCache, CacheUnavailable, PersonKey};
use crate::{
    clock::Timestamp,
    kyc::assurance::{Assurance, AssuranceSource},
    wire::kyc::{KycStatus, KycTier},
};

/// How many are put at once.
const CROWD: i64 = 16;
/// When the first of what is put was heard.
const BEGIN: i64 = 1_700_000_000_000;

/// A cache does not do what an [`AssuranceCache`] must.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Breach {
    /// It did something else than it must.
    #[error("{rule}: found {found}")]
    Rule {
        /// What it must do.
        rule: &'static str,
        /// What it did.
        found: String,
    },
    /// It did not work.
    #[error("{0}")]
    Unavailable(#[from] CacheUnavailable),
}

/// Runs every rule on `cache`, over persons of random names. It leaves some of them behind.
///
/// # Errors
/// The first [`Breach`].
///
/// ```
/// use kycport::kyc::{MemoryCache, conformance};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// conformance::check(&MemoryCache::default()).await.unwrap();
/// # }
/// ```
pub async fn check(cache: &dyn AssuranceCache) -> Result<(), Breach> {
    what_is_put_is_kept(cache).await?;
    the_newer_is_kept(cache).await?;
    of_two_as_new_the_stricter_is_kept(cache).await?;
    the_newest_of_a_crowd_is_kept(cache).await?;
    the_strictest_of_a_crowd_is_kept(cache).await?;
    what_is_forgotten_is_gone(cache).await?;
    persons_are_apart(cache).await
}

async fn what_is_put_is_kept(cache: &dyn AssuranceCache) -> Result<(), Breach> {
    let unknown = || Some(KycStatus::Unknown("frozen \u{1f9ca} \"\\".to_owned()));
    let said = [
        verified(KycTier::T3, 1),
        rejected(1),
        Assurance::new(None, None, None, at(1), AssuranceSource::Webhook),
        Assurance::new(unknown(), None, None, at(1), AssuranceSource::Userinfo),
    ];
    for said in said {
        let person = person();
        let rule = "of whom nothing was heard nothing is kept";
        keeps(cache, &person, None, rule).await?;
        cache.put(&person, said.clone()).await?;
        keeps(
            cache,
            &person,
            Some(said),
            "what is put is kept, word by word",
        )
        .await?;
    }
    Ok(())
}

async fn the_newer_is_kept(cache: &dyn AssuranceCache) -> Result<(), Breach> {
    let pairs = [
        (verified(KycTier::T2, 1), rejected(2)),
        (rejected(1), verified(KycTier::T2, 2)),
    ];
    for (older, newer) in pairs {
        for order in [[&older, &newer], [&newer, &older]] {
            let person = person();
            for said in order {
                cache.put(&person, said.clone()).await?;
            }
            let rule = "the newer is kept, good or bad, in whichever order they come";
            keeps(cache, &person, Some(newer.clone()), rule).await?;
        }
    }
    Ok(())
}

async fn of_two_as_new_the_stricter_is_kept(cache: &dyn AssuranceCache) -> Result<(), Breach> {
    let (lax, strict) = (verified(KycTier::T2, 1), rejected(1));
    for order in [[&lax, &strict], [&strict, &lax]] {
        let person = person();
        for said in order {
            cache.put(&person, said.clone()).await?;
        }
        let rule = "of two as new the stricter is kept";
        keeps(cache, &person, Some(strict.clone()), rule).await?;
    }
    let not_clear = Assurance {
        aml_clear: Some(false),
        ..verified(KycTier::T3, 1)
    };
    for order in [[&lax, &not_clear], [&not_clear, &lax]] {
        let person = person();
        for said in order {
            cache.put(&person, said.clone()).await?;
        }
        let both = Assurance {
            aml_clear: Some(false),
            ..lax.clone()
        };
        let rule = "of two as new the stricter of each part is kept";
        keeps(cache, &person, Some(both), rule).await?;
    }
    Ok(())
}

async fn the_newest_of_a_crowd_is_kept(cache: &dyn AssuranceCache) -> Result<(), Breach> {
    let person = person();
    let puts = (1..=CROWD).map(|n| {
        let said = if n == CROWD {
            rejected(n)
        } else {
            verified(KycTier::T2, n)
        };
        cache.put(&person, said)
    });
    // The newest neither first nor last.
    let mut puts: Vec<_> = puts.collect();
    puts.rotate_left(5);
    try_join_all(puts).await?;
    let rule = "of many that are put at once the newest is kept";
    keeps(cache, &person, Some(rejected(CROWD)), rule).await
}

async fn the_strictest_of_a_crowd_is_kept(cache: &dyn AssuranceCache) -> Result<(), Breach> {
    let person = person();
    let puts = (1..=CROWD).map(|n| {
        let said = if n == 7 {
            rejected(1)
        } else {
            verified(KycTier::T2, 1)
        };
        cache.put(&person, said)
    });
    try_join_all(puts).await?;
    let rule = "of many as new that are put at once the strictest is kept";
    keeps(cache, &person, Some(rejected(1)), rule).await
}

async fn what_is_forgotten_is_gone(cache: &dyn AssuranceCache) -> Result<(), Breach> {
    let person = person();
    cache.forget(&person).await?;
    cache.put(&person, rejected(2)).await?;
    cache.forget(&person).await?;
    let rule = "what is forgotten is gone";
    keeps(cache, &person, None, rule).await?;
    let older = verified(KycTier::T1, 1);
    cache.put(&person, older.clone()).await?;
    let rule = "what was forgotten holds nothing off";
    keeps(cache, &person, Some(older), rule).await
}

async fn persons_are_apart(cache: &dyn AssuranceCache) -> Result<(), Breach> {
    let one = person();
    let mut shifted = one.clone();
    // The same letters, elsewhere.
    shifted.client_id.push('x');
    let mut moved = one.clone();
    moved.subject.insert(0, 'x');
    let mut other_issuer = one.clone();
    other_issuer.issuer.push('/');
    let mut upper = one.clone();
    upper.subject = upper.subject.to_uppercase();
    let others = [shifted, moved, other_issuer, upper];
    cache.put(&one, rejected(1)).await?;
    for other in &others {
        let rule = "persons are apart, byte by byte of issuer, client and subject";
        keeps(cache, other, None, rule).await?;
        cache.put(other, verified(KycTier::T1, 2)).await?;
        cache.forget(other).await?;
    }
    let rule = "what happens to one person is nothing to another";
    keeps(cache, &one, Some(rejected(1)), rule).await
}

fn person() -> PersonKey {
    let mut bytes = [0; 16];
    rand::rng().fill_bytes(&mut bytes);
    PersonKey {
        issuer: "https://issuer.example".to_owned(),
        client_id: "conformance".to_owned(),
        subject: format!("p_{}", base16ct::lower::encode_string(&bytes)),
    }
}

fn at(millis: i64) -> Timestamp {
    Timestamp::from_unix_millis(BEGIN.saturating_add(millis))
}

fn verified(tier: KycTier, millis: i64) -> Assurance {
    Assurance::new(
        Some(KycStatus::Verified),
        Some(tier),
        Some(true),
        at(millis),
        AssuranceSource::Status,
    )
}

fn rejected(millis: i64) -> Assurance {
    Assurance::new(
        Some(KycStatus::Rejected),
        Some(KycTier::T0),
        Some(false),
        at(millis),
        AssuranceSource::Status,
    )
}

async fn keeps(
    cache: &dyn AssuranceCache,
    person: &PersonKey,
    must: Option<Assurance>,
    rule: &'static str,
) -> Result<(), Breach> {
    let found = cache.get(person).await?;
    if found == must {
        return Ok(());
    }
    Err(Breach::Rule {
        rule,
        found: format!("{found:?}"),
    })
}
