//! Tests that a login succeeds if a callback arrives more than once, out of order, or after the
//! browser has disconnected.

use std::time::Duration;

use futures_util::future::join_all;
use kycport::mock::{Browser, Endpoint, MockIssuer};
use url::Url;

use crate::{
    login::{Login, TO_THE_VAULT},
    recording_store::{LOGIN, Op, SESSION, TestApp, setup, setup_on},
    stages::everywhere,
    visitor::{LOGIN_COOKIES, SESSION_COOKIE, Visitor, set_and_deleted},
};

/// Maximum number of waiting callbacks. A callback waits while another callback completes the same
/// login.
const MAX_WAITING: usize = 4;
/// Maximum number of concurrent token exchanges.
const MAX_EXCHANGES: usize = 256;

async fn started(setup: &TestApp) -> (Browser, Url) {
    let browser = setup.kyc.browser();
    let login = setup.app.url(TO_THE_VAULT);
    let callback = browser.start_sign_in(login, &setup.ada).await.unwrap();
    (browser, callback)
}

/// Waits until callbacks have requested the login lock this number of times.
async fn wait_until_lock_requested(setup: &TestApp, times: usize) {
    let claimed = async {
        while setup.store.count(Op::Acquire) < times {
            tokio::task::yield_now().await;
        }
    };
    let limit = Duration::from_secs(20);
    tokio::time::timeout(limit, claimed).await.unwrap();
}

#[tokio::test]
async fn tabs_complete_their_logins_in_any_order() {
    // Covers threat cases 29, 97.
    let setup = setup().await;
    for order in [
        [0, 1, 2],
        [0, 2, 1],
        [1, 0, 2],
        [1, 2, 0],
        [2, 0, 1],
        [2, 1, 0],
    ] {
        let browser = setup.kyc.browser();
        let mut tabs = Vec::new();
        for tab in 0..3 {
            let path = format!("/vault?tab={tab}");
            let login = setup.app.url(&format!("/auth/login?return_to={path}"));
            let callback = browser.start_sign_in(login, &setup.ada).await.unwrap();
            tabs.push((path, callback));
        }
        for (done, tab) in order.into_iter().enumerate() {
            let (path, callback) = &tabs[tab];
            let page = browser.open(callback).await.unwrap();
            page.assert_status(303);
            assert_eq!(page.header("location"), Some(path.as_str()));
            // The callback deletes the cookie of its login and keeps the cookies of logins in other
            // tabs.
            let (set, deleted) = set_and_deleted(&page);
            assert_eq!((set.len(), deleted.len()), (1, 1));
            let held = browser.cookies(setup.app.url("/"));
            let logins = held.iter().filter(|(it, _)| it.starts_with(LOGIN_COOKIES));
            assert_eq!(logins.count(), 2 - done);
        }
    }
}

#[tokio::test]
async fn a_callback_without_its_cookie_redirects_or_explains() {
    // Covers threat case 34.
    everywhere(async |setup| {
        let (browser, callback) = started(&setup).await;
        browser.open(&callback).await.unwrap().assert_status(303);
        // The person goes back and forward in the browser's history.
        for _ in 0..3 {
            setup.store.forget();
            let page = browser.open(&callback).await.unwrap();
            assert_eq!(page.assert_status(303).header("location"), Some("/"));
            assert_eq!(page.header("set-cookie"), None);
            assert_eq!(setup.store.operations(), 1);
            assert_eq!(setup.store.count(Op::Read), 1);
        }
        browser.remove_cookie(SESSION_COOKIE);
        setup.store.forget();
        let page = browser.open(&callback).await.unwrap();
        page.assert_status(400);
        assert!(page.body().contains("cannot be completed here"));
        assert!(page.body().contains("href=\"/auth/login\""));
        assert_eq!(setup.store.operations(), 0);
        setup.kyc.requests(Endpoint::Token).assert_count(1);
    })
    .await;
}

#[tokio::test]
async fn a_repeated_callback_waits_for_the_first_callback() {
    // Covers threat case 35.
    everywhere(async |setup| {
        for hold_at_kycport in [true, false] {
            let (browser, callback) = started(&setup).await;
            let signed_in = browser.clone();
            let login = setup.app.url("/auth/login");
            signed_in.sign_in(login, &setup.ada).await.unwrap();
            let session = signed_in.cookie(setup.app.url("/"), SESSION_COOKIE);
            let signed_out = browser.clone();
            setup.kyc.forget_requests();

            let open = |browser: &Browser| {
                let (browser, url) = (browser.clone(), callback.clone());
                tokio::spawn(async move { browser.open(url).await.unwrap() })
            };
            let at_kycport = hold_at_kycport.then(|| setup.kyc.on(Endpoint::Token).hold());
            let at_store = setup.store.hold_after(Op::Write, SESSION);
            let first = open(&browser);
            match &at_kycport {
                Some(gate) => gate.wait_for(1).await,
                None => at_store.reached().await,
            }
            setup.store.forget();
            let (second, third) = (open(&signed_out), open(&signed_in));
            // Each of the two waiting callbacks has requested the lock twice.
            wait_until_lock_requested(&setup, 4).await;
            assert!(!second.is_finished() && !third.is_finished());
            if let Some(gate) = at_kycport {
                gate.release();
            }
            at_store.open();

            let page = first.await.unwrap();
            assert_eq!(page.assert_status(303).header("location"), Some("/vault"));
            assert_eq!(set_and_deleted(&page).0, [SESSION_COOKIE]);
            // A service worker or a proxy may have sent both requests. The first response sets the
            // session cookie, and the browser shows the second response.
            let page = second.await.unwrap();
            assert_eq!(page.assert_status(303).header("location"), Some("/vault"));
            assert_eq!(page.header("set-cookie"), None);
            // The app redirects a signed-in person to the requested page and keeps the session.
            let page = third.await.unwrap();
            assert_eq!(page.assert_status(303).header("location"), Some("/vault"));
            assert_eq!(set_and_deleted(&page).0.len(), 0);
            assert_eq!(
                signed_in.cookie(setup.app.url("/"), SESSION_COOKIE),
                session
            );
            setup.kyc.requests(Endpoint::Token).assert_count(1);
            assert_eq!(setup.store.bodies(SESSION).await.len(), 2);
            setup.store.heal();
            setup.store.remove(SESSION).await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_repeated_callback_waits_for_at_most_five_seconds() {
    let setup = setup().await;
    let (browser, callback) = started(&setup).await;
    let signed_in = browser.clone();
    let login = setup.app.url("/auth/login");
    signed_in.sign_in(login, &setup.ada).await.unwrap();
    let gate = setup.kyc.on(Endpoint::Token).hold();
    let (slow, url) = (browser.clone(), callback.clone());
    let first = tokio::spawn(async move { slow.open(url).await.unwrap() });
    gate.wait_for(1).await;

    let (second, third) = tokio::join!(browser.open(&callback), signed_in.open(&callback));

    second.unwrap().assert_status(400);
    let page = third.unwrap();
    assert_eq!(page.assert_status(303).header("location"), Some("/vault"));
    // The later callbacks do not disturb the first callback.
    assert!(!first.is_finished());
    gate.release();
    first.await.unwrap().assert_status(303);
}

#[tokio::test]
async fn at_most_four_callbacks_of_a_login_wait() {
    // Covers threat case 140.
    let setup = setup().await;
    let visitor = Visitor::new(setup.app.url(""));
    let login = Login::start(&visitor, TO_THE_VAULT, "").await;
    let callback = login.allow(&visitor, &setup.ada).await;
    let gate = setup.kyc.on(Endpoint::Token).hold();
    let open = || {
        let (visitor, callback) = (visitor.clone(), callback.clone());
        let cookie = login.cookie.clone();
        tokio::spawn(async move { visitor.get(&callback, &cookie).await.unwrap() })
    };
    let first = open();
    gate.wait_for(1).await;
    setup.store.forget();
    let waiting: Vec<_> = (0..MAX_WAITING).map(|_| open()).collect();
    wait_until_lock_requested(&setup, 2 * MAX_WAITING).await;

    // The callback requests the lock once and does not wait.
    let one_more = visitor.get(&callback, &login.cookie).await.unwrap();
    assert_eq!(one_more.code(), "finished_login");
    let still = waiting.iter().filter(|it| !it.is_finished());
    assert_eq!(still.count(), MAX_WAITING);

    gate.release();
    assert_eq!(first.await.unwrap().status, 303);
    for answer in join_all(waiting).await {
        assert_eq!(answer.unwrap().header("location"), Some("/vault"));
    }
    setup.kyc.requests(Endpoint::Token).assert_count(1);
}

#[tokio::test]
async fn a_login_is_completed_although_its_browser_disconnects() {
    // Covers threat cases 53, 140.
    everywhere(async |setup| {
        let (browser, callback) = started(&setup).await;
        let gate = setup.kyc.on(Endpoint::Token).hold();
        let (leaving, url) = (browser.clone(), callback.clone());
        let asking = tokio::spawn(async move { leaving.open(url).await });
        gate.wait_for(1).await;
        asking.abort();
        assert!(asking.await.is_err());
        for _ in 0..5 {
            // Wait until the app has detected the disconnect.
            let page = setup.kyc.browser().get(setup.app.url("/")).await;
            page.unwrap().assert_ok();
        }
        gate.release();

        // The first request has redeemed the code and created the session.
        let page = browser.open(&callback).await.unwrap();
        assert_eq!(page.assert_status(303).header("location"), Some("/vault"));
        assert_eq!(page.header("set-cookie"), None);
        setup.kyc.requests(Endpoint::Token).assert_count(1);
        assert_eq!(setup.store.bodies(SESSION).await.len(), 1);
    })
    .await;
}

#[tokio::test]
async fn a_login_whose_browser_disconnects_before_the_exchange_is_released() {
    // Covers threat case 140.
    everywhere(async |setup| {
        let (browser, callback) = started(&setup).await;
        let gate = setup.store.hold_after(Op::Acquire, LOGIN);
        let (leaving, url) = (browser.clone(), callback.clone());
        let asking = tokio::spawn(async move { leaving.open(url).await });
        gate.reached().await;
        setup.store.heal();
        asking.abort();
        assert!(asking.await.is_err());
        for _ in 0..5 {
            let page = setup.kyc.browser().get(setup.app.url("/")).await;
            page.unwrap().assert_ok();
        }
        // The second request waits for the lock and gets the lock when the first request releases
        // it.
        setup.store.forget();
        let (again, url) = (browser.clone(), callback.clone());
        let second = tokio::spawn(async move { again.open(url).await.unwrap() });
        wait_until_lock_requested(&setup, 1).await;
        gate.open();

        let page = second.await.unwrap();
        assert_eq!(page.assert_status(303).header("location"), Some("/vault"));
        setup.kyc.requests(Endpoint::Token).assert_count(1);
        assert_eq!(setup.store.bodies(SESSION).await.len(), 1);
    })
    .await;
}

#[tokio::test]
async fn a_login_beyond_the_exchange_limit_is_completed_by_a_reload() {
    // Covers threat case 140.
    let kyc = MockIssuer::start().await;
    // A busy machine needs a long time to start this number of exchanges.
    let minute = Duration::from_secs(60);
    let setup = setup_on(kyc, 1000, |config| {
        config.connect_timeout(minute).request_timeout(minute)
    })
    .await;
    let visitor = Visitor::new(setup.app.url(""));
    let mut logins = Vec::new();
    for _ in 0..=MAX_EXCHANGES {
        let login = Login::start(&visitor, TO_THE_VAULT, "").await;
        let callback = login.allow(&visitor, &setup.ada).await;
        logins.push((login, callback));
    }
    let gate = setup.kyc.on(Endpoint::Token).hold();
    let (last, most) = logins.split_last().unwrap();
    let (last, last_callback) = last;
    let under_way: Vec<_> = most
        .iter()
        .map(|(login, callback)| {
            let (visitor, login) = (visitor.clone(), login.clone());
            let callback = callback.clone();
            tokio::spawn(async move { visitor.get(&callback, &login.cookie).await.unwrap() })
        })
        .collect();
    gate.wait_for(MAX_EXCHANGES).await;

    for _ in 0..2 {
        let refused = visitor.get(last_callback, &last.cookie).await.unwrap();
        assert_eq!(
            (refused.status, refused.code().as_str()),
            (503, "too_many_logins")
        );
        assert_eq!(refused.header("retry-after"), Some("1"));
        assert_eq!(refused.set_and_deleted(), (vec![], vec![]));
    }
    gate.release();
    for answer in join_all(under_way).await {
        assert_eq!(answer.unwrap().status, 303);
    }
    let answer = visitor.get(last_callback, &last.cookie).await.unwrap();
    assert_eq!(answer.header("location"), Some("/vault"));
}
