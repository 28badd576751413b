//! Tests that each record in the store expires at the correct time. The tests of each engine cover
//! the removal of expired records.

use std::time::Duration;

use kycport::mock::{MockIssuer, MockIssuerBuilder};

use crate::{
    recording_store::{
        ACTIVITY, ASSURANCE, EVENT, Kind, LOGIN, LOGIN_KEY, REFRESH_LEASE, SESSION, TOKENS,
        TestApp, setup_on,
    },
    stages::everywhere_with,
};

const MINUTE: u64 = 60;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;

/// Maximum lifetime of each record kind.
const MAX_LIFETIMES: [(Kind, u64); 8] = [
    (SESSION, 12 * HOUR),
    (ACTIVITY, 12 * HOUR),
    (TOKENS, 12 * HOUR),
    (REFRESH_LEASE, 2 * MINUTE),
    (ASSURANCE, 41 * DAY),
    (LOGIN_KEY, 60 * DAY),
    (LOGIN, 12 * MINUTE),
    (EVENT, 97 * HOUR),
];

#[tokio::test]
async fn every_record_expires_with_its_session_or_login() {
    // Covers threat case 100.
    let renewing = |mock: MockIssuerBuilder| mock.issue_refresh_tokens(true);
    everywhere_with(
        renewing,
        |config| config,
        async |setup| {
            use_all_records(&setup).await;
            for (kind, longest) in MAX_LIFETIMES {
                if setup.engine.ends_with("sealed") && kind == LOGIN_KEY {
                    // Session keys encrypt pending logins. The store therefore contains no login
                    // key.
                    assert!(setup.store.lifetimes(kind).is_empty());
                    continue;
                }
                if kind == EVENT {
                    continue;
                }
                let lifetimes = setup.store.lifetimes(kind);
                assert!(!lifetimes.is_empty(), "{kind:?} was written");
                for lifetime in lifetimes {
                    let longest = Duration::from_secs(longest);
                    assert!(!lifetime.is_zero() && lifetime <= longest, "{kind:?}");
                }
            }
        },
    )
    .await;
}

/// Signs in, uses the session, and refreshes its token.
async fn use_all_records(setup: &TestApp) {
    let login = setup.app.url("/auth/login");
    let browser = setup.kyc.browser();
    browser.sign_in(&login, &setup.ada).await.unwrap();
    for seconds in [2 * MINUTE, 14 * MINUTE] {
        setup.kyc.clock().advance(Duration::from_secs(seconds));
        let page = browser.open(setup.app.url("/token")).await.unwrap();
        page.assert_ok();
    }
}

#[tokio::test]
async fn a_session_record_lasts_at_least_as_long_as_its_session() {
    // Covers threat case 100.
    let kyc = MockIssuer::builder().issue_refresh_tokens(true).start();
    let setup = setup_on(kyc.await.unwrap(), 1000, |config| {
        config
            .session_idle_timeout(Duration::from_secs(HOUR))
            .session_lifetime(Duration::from_secs(3 * HOUR))
    })
    .await;
    use_all_records(&setup).await;
    let absolute = Duration::from_secs(3 * HOUR);
    assert_eq!(setup.store.lifetimes(SESSION), [absolute]);
    assert_eq!(setup.store.lifetimes(TOKENS)[0], absolute);
    for lifetime in setup.store.lifetimes(ACTIVITY) {
        // Time from the use of the session until its absolute end.
        assert!(lifetime + Duration::from_secs(20 * MINUTE) > absolute);
        assert!(lifetime <= absolute);
    }
}
