//! Tests that a revocation takes effect even if it happens during another operation. A revoked
//! session stays revoked. A login that acquired its lock before the revocation creates no session.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use axum::http::Method;
use futures_util::future::join_all;
use kycport::mock::{Browser, Endpoint, MockIssuerBuilder, Page, Person};
use tokio::task::JoinHandle;
use url::Url;

use crate::{
    recording_store::{
        ACTIVITY, Gate, Kind, LOGIN, Op, REFRESH_LEASE, RecordingStore, SESSION, TOKENS, TestApp,
        setup,
    },
    stages::{everywhere, everywhere_with, sessions},
    visitor::{LOGIN_COOKIES, SESSION_COOKIE, set_and_deleted},
};

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);

/// Maximum number of sessions of one person.
const MAX_SESSIONS: usize = 64;

/// Record kinds that belong to a session.
const SESSION_RECORDS: [Kind; 4] = [SESSION, ACTIVITY, TOKENS, REFRESH_LEASE];

async fn started(setup: &TestApp) -> (Browser, Url) {
    started_as(setup, &setup.ada).await
}

async fn started_as(setup: &TestApp, person: &Person) -> (Browser, Url) {
    let browser = setup.kyc.browser();
    let login = setup.app.url("/auth/login?return_to=/vault");
    let callback = browser.start_sign_in(login, person).await.unwrap();
    (browser, callback)
}

async fn signed_in(setup: &TestApp) -> Browser {
    let (browser, callback) = started(setup).await;
    browser.open(callback).await.unwrap().assert_status(303);
    browser.get(setup.app.url("/")).await.unwrap();
    browser
}

/// Sends a request in a task while the test continues. The browser stores the cookies of the
/// response.
fn open(browser: &Browser, url: impl AsRef<str>) -> JoinHandle<(Page, Browser)> {
    let (browser, url) = (browser.clone(), url.as_ref().to_owned());
    tokio::spawn(async move { (browser.open(url).await.unwrap(), browser) })
}

async fn revoke(setup: &TestApp) {
    let revoked = sessions(setup).revoke_all(setup.ada.id()).await;
    revoked.unwrap();
}

/// Returns the status of `/auth/me` for this browser, and asserts that both instances return the
/// same status.
async fn me(setup: &TestApp, browser: &Browser) -> u16 {
    browser.get(setup.app.url("/")).await.unwrap();
    let url = setup.app.url("/auth/me");
    let one = browser.fetch(&url).await.unwrap().status();
    let other = browser.fetch(&url).await.unwrap().status();
    assert_eq!(one, other);
    one
}

/// Asserts that the browser is signed out and that the store contains no record of a session.
async fn assert_nothing_is_left(setup: &TestApp, browser: &Browser) {
    assert_eq!(me(setup, browser).await, 401);
    let vault = browser.open(setup.app.url("/vault")).await.unwrap();
    vault.assert_status(303);
    for kind in SESSION_RECORDS {
        assert_eq!(setup.store.bodies(kind).await.len(), 0, "{kind:?}");
    }
    let listed = sessions(setup).list(setup.ada.id()).await.unwrap();
    assert_eq!(listed, []);
}

fn assert_login_revoked(page: &Page) {
    page.assert_status(401);
    assert!(page.body().contains("You were signed out"));
    assert!(page.body().contains("href=\"/auth/login\""));
    let (set, deleted) = set_and_deleted(page);
    assert_eq!(set.len(), 0, "{set:?}");
    assert_eq!(deleted.len(), 1, "{deleted:?}");
    assert!(deleted[0].starts_with(LOGIN_COOKIES), "{deleted:?}");
}

/// Asserts that the person can sign in again after the revocation.
async fn assert_can_sign_in(setup: &TestApp) {
    let again = signed_in(setup).await;
    assert_eq!(me(setup, &again).await, 200);
    revoke(setup).await;
    assert_nothing_is_left(setup, &again).await;
}

#[tokio::test]
async fn a_login_locked_after_the_revocation_succeeds() {
    everywhere(async |setup| {
        let before = signed_in(&setup).await;
        let (browser, callback) = started(&setup).await;
        revoke(&setup).await;
        browser.open(callback).await.unwrap().assert_status(303);
        assert_eq!(me(&setup, &browser).await, 200);
        assert_eq!(me(&setup, &before).await, 401);
        // The login also succeeds if the revocation happens while the login acquires its lock.
        let (browser, callback) = started(&setup).await;
        let gate = setup.store.hold(Op::Acquire, LOGIN);
        let under_way = open(&browser, &callback);
        gate.reached().await;
        revoke(&setup).await;
        gate.open();
        let (page, browser) = under_way.await.unwrap();
        page.assert_status(303);
        assert_eq!(me(&setup, &browser).await, 200);
    })
    .await;
}

/// Progress of a login at the time of the revocation.
#[derive(Debug, Clone, Copy)]
enum Moment {
    /// The login has acquired its lock.
    Claimed,
    /// The app has sent the code to KYCPort.
    Exchanging,
    /// The app is about to write the session.
    Writing,
}

const MOMENTS: [Moment; 3] = [Moment::Claimed, Moment::Exchanging, Moment::Writing];

#[tokio::test]
async fn a_login_locked_before_the_revocation_creates_no_session() {
    // Covers threat case 98.
    everywhere(async |setup| {
        for moment in MOMENTS {
            let (browser, callback) = started(&setup).await;
            let held = Held::at(moment, &setup);
            let under_way = open(&browser, &callback);
            held.reached().await;
            revoke(&setup).await;
            held.release();
            let (page, browser) = under_way.await.unwrap();
            assert_login_revoked(&page);
            assert_nothing_is_left(&setup, &browser).await;
            setup.store.heal();
            // The app has redeemed the code. After a reload, the response says that the login was
            // used.
            let again = browser.open(&callback).await.unwrap();
            again.assert_status(400);
        }
        assert_can_sign_in(&setup).await;
    })
    .await;
}

/// Operation that waits at this point of a login.
enum Held {
    Store(Arc<Gate>),
    Kycport(kycport::mock::Gate),
}

impl Held {
    fn at(moment: Moment, setup: &TestApp) -> Self {
        match moment {
            Moment::Claimed => Self::Store(setup.store.hold_after(Op::Acquire, LOGIN)),
            Moment::Exchanging => Self::Kycport(setup.kyc.on(Endpoint::Token).hold()),
            Moment::Writing => Self::Store(setup.store.hold(Op::Write, SESSION)),
        }
    }

    async fn reached(&self) {
        match self {
            Self::Store(gate) => gate.reached().await,
            Self::Kycport(gate) => gate.wait_for(1).await,
        }
    }

    fn release(self) {
        match self {
            Self::Store(gate) => gate.open(),
            Self::Kycport(gate) => gate.release(),
        }
    }
}

#[tokio::test]
async fn a_session_that_was_just_written_is_also_revoked() {
    // Covers threat case 98.
    everywhere(async |setup| {
        for (op, kind) in [
            (Op::Write, SESSION),
            (Op::List, SESSION),
            (Op::Settle, LOGIN),
        ] {
            // The store has no verification result about the person. The first write therefore
            // creates the session.
            let eve = setup
                .kyc
                .person(&format!("eve-{op:?}").to_lowercase())
                .create();
            let (browser, callback) = started_as(&setup, &eve).await;
            let gate = setup.store.hold_after(op, kind);
            let under_way = open(&browser, &callback);
            gate.reached().await;
            assert_eq!(setup.store.bodies(SESSION).await.len(), 1, "{op:?}");
            sessions(&setup).revoke_all(eve.id()).await.unwrap();
            gate.open();
            let (page, browser) = under_way.await.unwrap();
            // The session cookie in the browser is invalid.
            page.assert_status(303);
            assert_eq!(me(&setup, &browser).await, 401, "{op:?}");
            for kind in SESSION_RECORDS {
                assert_eq!(setup.store.bodies(kind).await.len(), 0, "{kind:?}");
            }
            assert_eq!(sessions(&setup).list(eve.id()).await, Ok(vec![]));
            setup.store.heal();
        }
    })
    .await;
}

#[tokio::test]
async fn a_login_with_two_write_attempts_is_revoked_between_them() {
    // Covers threat case 98.
    everywhere(async |setup| {
        // The store has a verification result about the person. The first attempt to write the
        // session therefore conflicts.
        let before = signed_in(&setup).await;
        let (browser, callback) = started(&setup).await;
        let gate = setup.store.hold_after(Op::Write, SESSION);
        let under_way = open(&browser, &callback);
        gate.reached().await;
        assert_eq!(setup.store.bodies(SESSION).await.len(), 1);
        revoke(&setup).await;
        gate.open();
        let (page, browser) = under_way.await.unwrap();
        assert_login_revoked(&page);
        setup.store.heal();
        assert_nothing_is_left(&setup, &browser).await;
        assert_eq!(me(&setup, &before).await, 401);
    })
    .await;
}

#[tokio::test]
async fn a_revocation_during_a_request_takes_effect_with_the_next_request() {
    // Covers threat case 98.
    everywhere(async |setup| {
        let browser = signed_in(&setup).await;
        let gate = setup.store.hold_after(Op::Read, SESSION);
        let under_way = open(&browser, setup.app.url("/vault"));
        gate.reached().await;
        setup.store.heal();
        revoke(&setup).await;
        gate.open();
        let (page, browser) = under_way.await.unwrap();
        page.assert_ok();
        assert_nothing_is_left(&setup, &browser).await;

        // The app rejects a request that reads the session after the revocation.
        let browser = signed_in(&setup).await;
        let gate = setup.store.hold(Op::Read, SESSION);
        let under_way = open(&browser, setup.app.url("/vault"));
        gate.reached().await;
        setup.store.heal();
        revoke(&setup).await;
        gate.open();
        let (page, _) = under_way.await.unwrap();
        page.assert_status(303);
    })
    .await;
}

#[tokio::test]
async fn a_pending_activity_write_does_not_restore_a_revoked_session() {
    // Covers threat case 98.
    everywhere(async |setup| {
        for hold in [RecordingStore::hold, RecordingStore::hold_after] {
            let browser = signed_in(&setup).await;
            setup.kyc.clock().advance(2 * MINUTE);
            let gate = hold(&setup.store, Op::Write, ACTIVITY);
            let under_way = open(&browser, setup.app.url("/vault"));
            gate.reached().await;
            setup.store.heal();
            revoke(&setup).await;
            gate.open();
            let (page, browser) = under_way.await.unwrap();
            page.assert_ok();
            assert_nothing_is_left(&setup, &browser).await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_pending_refresh_does_not_restore_revoked_tokens() {
    // Covers threat case 98.
    let renewing = |mock: MockIssuerBuilder| mock.issue_refresh_tokens(true);
    everywhere_with(
        renewing,
        |app| app,
        async |setup| {
            type Hold = fn(&RecordingStore, Op, Kind) -> Arc<Gate>;
            let holds: [(Option<(Hold, Kind)>, &str); 5] = [
                (
                    Some((RecordingStore::hold, REFRESH_LEASE)),
                    "before the lease",
                ),
                (
                    Some((RecordingStore::hold_after, REFRESH_LEASE)),
                    "with the lease",
                ),
                (None, "while KYCPort answers"),
                (Some((RecordingStore::hold, TOKENS)), "before the write"),
                (
                    Some((RecordingStore::hold_after, TOKENS)),
                    "after the write",
                ),
            ];
            for (hold, when) in holds {
                let browser = signed_in(&setup).await;
                setup.kyc.clock().advance(16 * MINUTE);
                let page = browser.open(setup.app.url("/vault")).await.unwrap();
                page.assert_ok();
                let at_kycport = setup.kyc.on(Endpoint::Token).hold();
                let url = setup.app.url("/token");
                // The app writes the lease and the new tokens in separate operations.
                let gate = match hold {
                    Some((hold, kind)) if kind == REFRESH_LEASE => {
                        at_kycport.release();
                        Some(hold(&setup.store, Op::Write, kind))
                    }
                    _ => None,
                };
                let under_way = open(&browser, url);
                let gate = match (gate, hold) {
                    (Some(gate), _) => {
                        gate.reached().await;
                        Some(gate)
                    }
                    (None, Some((hold, kind))) => {
                        at_kycport.wait_for(1).await;
                        let gate = hold(&setup.store, Op::Write, kind);
                        at_kycport.release();
                        gate.reached().await;
                        Some(gate)
                    }
                    (None, None) => {
                        at_kycport.wait_for(1).await;
                        None
                    }
                };
                setup.store.heal();
                revoke(&setup).await;
                match gate {
                    Some(gate) => gate.open(),
                    None => at_kycport.release(),
                }
                let (_, browser) = under_way.await.unwrap();
                assert_nothing_is_left(&setup, &browser).await;
                assert_eq!(setup.store.bodies(TOKENS).await.len(), 0, "{when}");
            }
            assert_can_sign_in(&setup).await;
        },
    )
    .await;
}

#[tokio::test]
async fn simultaneous_logout_and_revocation_both_succeed() {
    // Covers threat cases 98, 109.
    everywhere(async |setup| {
        for fields in [&[][..], &[("everywhere", "1")][..]] {
            let (here, there) = (signed_in(&setup).await, signed_in(&setup).await);
            let op = if fields.is_empty() {
                Op::Write
            } else {
                Op::Revoke
            };
            let gate = setup.store.hold(op, SESSION);
            let (browser, url) = (here.clone(), setup.app.url("/auth/logout"));
            let under_way = tokio::spawn(async move {
                let request = browser.request(Method::POST, url).form(fields);
                request.stay().send().await.unwrap()
            });
            gate.reached().await;
            setup.store.heal();
            revoke(&setup).await;
            gate.open();
            under_way.await.unwrap().assert_status(303);
            assert_nothing_is_left(&setup, &here).await;
            assert_eq!(me(&setup, &there).await, 401);
        }
        assert_can_sign_in(&setup).await;
    })
    .await;
}

#[tokio::test]
async fn two_simultaneous_logins_are_both_valid_and_both_revoked() {
    // Covers threat cases 97, 98.
    everywhere(async |setup| {
        // The store has no verification result about the person, and both logins are about to
        // write.
        let (one, one_callback) = started(&setup).await;
        let (other, other_callback) = started(&setup).await;
        let gate = setup.store.hold(Op::Write, SESSION);
        let both = [open(&one, &one_callback), open(&other, &other_callback)];
        gate.reached().await;
        gate.reached().await;
        gate.open();
        let mut browsers = Vec::new();
        for under_way in both {
            let (page, browser) = under_way.await.unwrap();
            page.assert_status(303);
            assert_eq!(me(&setup, &browser).await, 200);
            browsers.push(browser);
        }
        setup.store.heal();
        let listed = sessions(&setup).list(setup.ada.id()).await.unwrap();
        assert_eq!(listed.len(), 2);
        revoke(&setup).await;
        for browser in &browsers {
            assert_nothing_is_left(&setup, browser).await;
        }

        // One login acquires its lock before the revocation, and the other login acquires its lock
        // after the revocation.
        let (one, one_callback) = started(&setup).await;
        let (other, other_callback) = started(&setup).await;
        let gate = setup.store.hold(Op::Write, SESSION);
        let one = open(&one, &one_callback);
        gate.reached().await;
        revoke(&setup).await;
        let other = open(&other, &other_callback);
        gate.reached().await;
        gate.open();
        assert_login_revoked(&one.await.unwrap().0);
        let (page, other) = other.await.unwrap();
        page.assert_status(303);
        assert_eq!(me(&setup, &other).await, 200);
        assert_eq!(setup.store.bodies(SESSION).await.len(), 1);
    })
    .await;
}

#[tokio::test]
async fn an_unacknowledged_revocation_has_taken_effect_and_can_be_repeated() {
    everywhere(async |setup| {
        let browser = signed_in(&setup).await;
        setup.store.lose_answer(Op::Revoke, SESSION);
        let lost = sessions(&setup).revoke_all(setup.ada.id()).await;
        assert!(lost.is_err());
        assert_nothing_is_left(&setup, &browser).await;
        revoke(&setup).await;
        assert_can_sign_in(&setup).await;
    })
    .await;
}

#[tokio::test]
async fn a_lost_fence_signs_the_person_out() {
    // Covers threat case 98.
    everywhere(async |setup| {
        let browser = signed_in(&setup).await;
        assert_eq!(me(&setup, &browser).await, 200);
        setup.store.lose_fences();
        assert_eq!(me(&setup, &browser).await, 401);
        let page = browser.open(setup.app.url("/vault")).await.unwrap();
        page.assert_status(303);
        assert_eq!(sessions(&setup).list(setup.ada.id()).await, Ok(vec![]));
        // The app does not delete the cookie, because the store may find the fence again. A fence
        // is the lowest mark that is still valid.
        assert!(browser.cookie(setup.app.url("/"), SESSION_COOKIE).is_some());
        setup.store.heal();
        assert_eq!(me(&setup, &browser).await, 200);
    })
    .await;
}

#[tokio::test]
async fn a_login_beyond_the_maximum_ends_the_oldest_session() {
    let setup = setup().await;
    let eve = setup.kyc.person("eve").create();
    let (other, callback) = started_as(&setup, &eve).await;
    other.open(callback).await.unwrap().assert_status(303);
    let mut browsers = Vec::new();
    for _ in 0..MAX_SESSIONS + 3 {
        setup.kyc.clock().advance(SECOND);
        browsers.push(signed_in(&setup).await);
    }
    let (ended, live) = browsers.split_at(3);
    for browser in ended {
        assert_eq!(me(&setup, browser).await, 401);
    }
    for browser in live {
        assert_eq!(me(&setup, browser).await, 200);
    }
    let listed = sessions(&setup).list(setup.ada.id()).await.unwrap();
    assert_eq!(listed.len(), MAX_SESSIONS);
    let newest_first = listed
        .windows(2)
        .all(|it| it[0].created_at >= it[1].created_at);
    assert!(newest_first);
    assert_eq!(setup.store.bodies(SESSION).await.len(), MAX_SESSIONS + 1);
    assert_eq!(setup.store.bodies(TOKENS).await.len(), MAX_SESSIONS + 1);
    // Sessions of other people do not count towards the maximum.
    assert_eq!(me(&setup, &other).await, 200);
}

#[tokio::test]
async fn the_session_list_is_complete_after_many_simultaneous_logins() {
    everywhere(async |setup| {
        let mut logins = Vec::new();
        for _ in 0..MAX_SESSIONS {
            logins.push(started(&setup).await);
        }
        let open = logins.iter().map(async |(browser, callback)| {
            let page = browser.open(callback).await.unwrap();
            page.assert_status(303);
            browser.get(setup.app.url("/")).await.unwrap();
            let me = browser.fetch(setup.app.url("/auth/me")).await.unwrap();
            me.assert_ok().json()["session"]["id"]
                .as_str()
                .unwrap()
                .to_owned()
        });
        let signed_in: BTreeSet<String> = join_all(open).await.into_iter().collect();
        assert_eq!(signed_in.len(), MAX_SESSIONS);
        let listed = sessions(&setup).list(setup.ada.id()).await.unwrap();
        let listed: BTreeSet<String> = listed.iter().map(|it| it.id.to_string()).collect();
        assert_eq!(listed, signed_in);
        revoke(&setup).await;
        assert_nothing_is_left(&setup, &logins[0].0).await;
        assert_eq!(me(&setup, &logins[MAX_SESSIONS - 1].0).await, 401);
    })
    .await;
}
