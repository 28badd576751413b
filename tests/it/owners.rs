//! Tests that the app rejects a session key that contains another person's owner id. The key gives
//! access only to the records of this person.

use std::time::Duration;

use axum::http::Method;
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use kycport::{
    KycTier,
    mock::{Browser, Endpoint, Page, Person},
    store::{Change, Condition, Entry, Owner, RecordId, RecordKey, Store as _, Write, Written},
};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use crate::{
    recording_store::{ASSURANCE, Kind, SESSION, TOKENS, TestApp},
    stages::everywhere,
    visitor::{SESSION_COOKIE, session_cookie},
};

/// Length of the random part of a key. The owner follows the random part.
const RANDOM: usize = 32;

async fn signed_in(setup: &TestApp, person: &Person) -> Browser {
    let browser = setup.kyc.browser();
    let page = browser.sign_in(setup.app.url("/auth/login"), person).await;
    page.unwrap().assert_ok();
    browser
}

fn key_of(setup: &TestApp, browser: &Browser) -> Vec<u8> {
    let key = browser.cookie(setup.app.url("/"), SESSION_COOKIE).unwrap();
    URL_SAFE_NO_PAD.decode(key).unwrap()
}

/// Returns a key with the random part of one key and the owner of another key.
fn forged(random: &[u8], owner: &[u8]) -> Vec<u8> {
    [&random[..RANDOM], &owner[RANDOM..]].concat()
}

/// Returns the record ID of the session that has this key.
fn record_id(key: &[u8]) -> RecordId {
    let digest = Sha256::new()
        .chain_update(b"kycport session id\0")
        .chain_update(key)
        .finalize();
    RecordId(*digest.first_chunk().unwrap())
}

/// Sends a request with this session key.
async fn ask(setup: &TestApp, method: Method, path: &str, key: &[u8]) -> Page {
    let cookie = session_cookie(&URL_SAFE_NO_PAD.encode(key));
    let browser = setup.kyc.browser();
    let visit = browser.request(method, setup.app.url(path));
    let visit = visit.header("cookie", &cookie).fetch();
    visit.stay().send().await.unwrap()
}

async fn assert_signed_out(setup: &TestApp, key: &[u8]) {
    for path in ["/auth/me", "/vault", "/guarded", "/sensitive", "/token"] {
        let page = ask(setup, Method::GET, path, key).await;
        assert_eq!(page.assert_status(401).json()["code"], "signed_out");
        assert_eq!(page.header("set-cookie"), None);
    }
    let page = ask(setup, Method::GET, "/", key).await;
    assert_eq!(page.body(), "signed out");
}

/// Returns the records of this record kind and their owners.
async fn records(setup: &TestApp, kind: Kind) -> Vec<(Owner, RecordKey, Entry)> {
    let of_kind = |key: &RecordKey| Kind::Record(key.family) == kind;
    setup.store.entries(of_kind).await
}

/// Writes a record like an attacker with write access to the store.
async fn put(setup: &TestApp, owner: &Owner, key: RecordKey, entry: &Entry) {
    let write = Write {
        key,
        condition: Condition::Any,
        change: Change::Put {
            version: entry.version,
            body: entry.body.clone(),
            keep_for: Duration::from_secs(3600),
        },
    };
    let written = setup.store.write(owner, &[write], None).await;
    assert_eq!(written, Ok(Written::Applied));
}

#[tokio::test]
async fn a_key_with_another_owner_finds_and_ends_no_session() {
    // Covers threat cases 93, 94.
    everywhere(async |setup| {
        let eve = setup.kyc.person("eve").tier(KycTier::T2).create();
        let (of_ada, of_eve) = (
            signed_in(&setup, &setup.ada).await,
            signed_in(&setup, &eve).await,
        );
        let (ada_key, eve_key) = (key_of(&setup, &of_ada), key_of(&setup, &of_eve));
        assert_ne!(ada_key[RANDOM..], eve_key[RANDOM..]);
        setup.kyc.forget_requests();
        for key in [
            forged(&ada_key, &eve_key),
            forged(&eve_key, &ada_key),
            forged(&ada_key, &[0; 48]),
            forged(&[7; 48], &ada_key),
        ] {
            assert_signed_out(&setup, &key).await;
            // The request signs no person out, because no session with this key exists.
            let out = ask(&setup, Method::POST, "/auth/logout", &key).await;
            out.assert_status(204);
            let thief = setup.kyc.browser();
            let plant = session_cookie(&URL_SAFE_NO_PAD.encode(&key));
            thief.set_cookie(setup.app.url("/"), &format!("{plant}; Path=/; Secure"));
            let mallory = setup.kyc.person("mallory").create();
            let login = setup.app.url("/auth/login");
            thief.sign_in(login, &mallory).await.unwrap().assert_ok();
        }
        setup.kyc.requests(Endpoint::Status).assert_count(0);
        for key in [&ada_key, &eve_key] {
            ask(&setup, Method::GET, "/vault", key).await.assert_ok();
        }
    })
    .await;
}

#[tokio::test]
async fn two_sessions_of_one_person_have_independent_keys() {
    everywhere(async |setup| {
        let (here, there) = (
            signed_in(&setup, &setup.ada).await,
            signed_in(&setup, &setup.ada).await,
        );
        let (one, other) = (key_of(&setup, &here), key_of(&setup, &there));
        assert_eq!(one[RANDOM..], other[RANDOM..]);
        let mixed = [&one[..16], &other[16..]].concat();
        assert_signed_out(&setup, &mixed).await;
    })
    .await;
}

#[tokio::test]
async fn a_session_stored_under_another_owner_is_rejected() {
    // Covers threat cases 93, 94.
    everywhere(async |setup| {
        let eve = setup.kyc.person("eve").tier(KycTier::T2).create();
        setup.ada.set_tier(KycTier::T0);
        let of_ada = signed_in(&setup, &setup.ada).await;
        let ada_key = key_of(&setup, &of_ada);
        let mut own = Vec::new();
        for kind in [SESSION, TOKENS] {
            own.extend(records(&setup, kind).await);
        }
        let of_eve = signed_in(&setup, &eve).await;
        let eve_key = key_of(&setup, &of_eve);
        let sessions = records(&setup, SESSION).await;
        let eve_owner = sessions.iter().find(|(owner, ..)| *owner != own[0].0);
        let eve_owner = eve_owner.unwrap().0;

        // An attacker stores Ada's session under Eve's owner id, next to Eve's verification result
        // and Eve's fence. A fence is the lowest mark that is still valid.
        let key = forged(&ada_key, &eve_key);
        for (_, place, entry) in &own {
            let place = RecordKey::new(place.family, record_id(&key));
            put(&setup, &eve_owner, place, entry).await;
        }
        assert_signed_out(&setup, &key).await;
        for key in [&ada_key, &eve_key] {
            ask(&setup, Method::GET, "/vault", key).await.assert_ok();
        }
    })
    .await;
}

#[tokio::test]
async fn an_assurance_of_another_person_is_not_used() {
    // Covers threat case 94.
    everywhere(async |setup| {
        let eve = setup.kyc.person("eve").tier(KycTier::T2).create();
        let of_ada = signed_in(&setup, &setup.ada).await;
        let ada_key = key_of(&setup, &of_ada);
        let (ada_owner, place, _) = records(&setup, ASSURANCE).await.remove(0);
        signed_in(&setup, &eve).await;
        let found = records(&setup, ASSURANCE).await;
        let of_eve = found.iter().find(|(owner, ..)| *owner != ada_owner);
        let (_, _, verified) = of_eve.unwrap();
        setup.ada.reject();
        let status = async || {
            let me = ask(&setup, Method::GET, "/auth/me", &ada_key).await;
            me.assert_ok().json()["assurance"]["kyc_status"].clone()
        };
        assert_eq!(status().await, "verified");

        put(&setup, &ada_owner, place, verified).await;

        // The record of Ada now contains Eve's verification result. The app rejects the record and
        // reports no status, and the guard asks KYCPort.
        assert_eq!(status().await, Value::Null);
        setup.kyc.forget_requests();
        let page = ask(&setup, Method::GET, "/guarded", &ada_key).await;
        assert_eq!(page.assert_status(401).json()["code"], "rejected");
        setup.kyc.requests(Endpoint::Status).assert_count(1);
        assert_eq!(status().await, "rejected");
    })
    .await;
}
