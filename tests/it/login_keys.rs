//! Tests that instances share and rotate the keys that seal pending logins. All instances use one
//! key in the store, or each instance derives the key from the session keys.

use std::{sync::Arc, time::Duration};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use kycport::{
    ConfigBuilder, MemoryStore, RelyingParty, RunningApp,
    mock::{MockIssuer, Person},
    web::SealingKeys,
};

use crate::{
    engines::{FIRST_KEY, SECOND_KEY},
    login::{Login, TO_THE_VAULT},
    recording_store::{LOGIN_KEY, Op, RecordingStore},
    stages::everywhere_unsealed,
    support::tenant_app_of,
    visitor::Visitor,
};

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const DAY: Duration = Duration::from_secs(24 * 3600);

/// Instance of the app, with a separate connection to the store.
struct Instance {
    visitor: Visitor,
    store: RecordingStore,
    _app: RunningApp,
}

impl Instance {
    async fn start(&self) -> Login {
        Login::start(&self.visitor, TO_THE_VAULT, "").await
    }

    /// Starts a login. Returns the status and the error code.
    async fn try_to_start(&self) -> (u16, String) {
        let answer = self.visitor.get(TO_THE_VAULT, "").await.unwrap();
        (answer.status, answer.code())
    }

    /// Completes this login. Returns the redirect target, or the error code.
    async fn complete(&self, login: &Login, person: &Person) -> String {
        let callback = login.allow(&self.visitor, person).await;
        let answer = self.visitor.get(&callback, &login.cookie).await.unwrap();
        let to = answer.header("location").map(str::to_owned);
        to.unwrap_or_else(|| answer.code())
    }
}

/// Instances of one app. All instances have the same redirect URI.
struct InstancesTest {
    kyc: MockIssuer,
    ada: Person,
    inner: MemoryStore,
}

impl InstancesTest {
    async fn new() -> Self {
        let kyc = MockIssuer::start().await;
        kyc.clock().freeze();
        Self {
            ada: kyc.person("ada").create(),
            inner: MemoryStore::new(1000, Arc::new(kyc.clock().clone())),
            kyc,
        }
    }

    async fn instance(&self) -> Instance {
        self.instance_with(|config| config).await
    }

    async fn instance_with(&self, more: impl FnOnce(ConfigBuilder) -> ConfigBuilder) -> Instance {
        let store = RecordingStore::over(self.inner.clone());
        let config = self.kyc.config("http://127.0.0.1:9/auth/callback");
        let config = more(config.store(store.clone())).build().unwrap();
        let kycport = RelyingParty::new(config).unwrap();
        let app = self.kyc.serve(|_| tenant_app_of(&kycport)).await.unwrap();
        Instance {
            visitor: Visitor::new(app.url("")),
            store,
            _app: app,
        }
    }
}

fn unavailable() -> (u16, String) {
    (503, "store_unavailable".to_owned())
}

/// Returns the login cookie with another key name.
fn with_unknown_key(login: &Login) -> String {
    let mut bytes = URL_SAFE_NO_PAD.decode(login.value()).unwrap();
    let name = &mut bytes[1..9];
    name.copy_from_slice(if name == b"00000000" {
        b"11111111"
    } else {
        b"00000000"
    });
    format!("{}={}", login.name(), URL_SAFE_NO_PAD.encode(bytes))
}

#[tokio::test]
async fn instances_share_the_key_that_the_first_login_creates() {
    let setup = InstancesTest::new().await;
    let (one, other) = (setup.instance().await, setup.instance().await);
    let login = one.start().await;
    assert_eq!((one.store.count(Op::Read), one.store.writes()), (1, 1));
    let back = other.start().await;
    assert_eq!((other.store.count(Op::Read), other.store.writes()), (1, 0));

    assert_eq!(other.complete(&login, &setup.ada).await, "/vault");
    assert_eq!(one.complete(&back, &setup.ada).await, "/vault");
    assert_eq!(one.store.records(LOGIN_KEY).await.len(), 1);
    for instance in [&one, &other] {
        instance.store.forget();
        for _ in 0..10 {
            instance.start().await;
        }
        assert_eq!(instance.store.operations(), 0);
    }
}

#[tokio::test]
async fn simultaneous_first_logins_use_the_same_key() {
    everywhere_unsealed(async |setup| {
        // Both instances read the store before it has a key.
        setup.store.let_meet(Op::Read, LOGIN_KEY, 2);
        let visitor = Visitor::new(setup.app.url(""));
        let start = || Login::start(&visitor, TO_THE_VAULT, "");
        let (one, other) = tokio::join!(start(), start());
        assert_eq!(setup.store.bodies(LOGIN_KEY).await.len(), 1);
        // Both instances can complete each login.
        for login in [&one, &other, &start().await, &start().await] {
            let callback = login.allow(&visitor, &setup.ada).await;
            let answer = visitor.get(&callback, &login.cookie).await.unwrap();
            assert_eq!(answer.header("location"), Some("/vault"), "{}", answer.body);
        }
    })
    .await;
}

#[tokio::test]
async fn a_login_key_is_replaced_after_a_week_and_earlier_logins_still_complete() {
    let setup = InstancesTest::new().await;
    let (one, other) = (setup.instance().await, setup.instance().await);
    one.start().await;
    let name = async || {
        let records = one.store.records(LOGIN_KEY).await;
        records[0]["current"]["name"].clone()
    };
    let first = name().await;
    // Two logins start after this time. The first instance caches the key for ten minutes.
    setup.kyc.clock().advance(6 * DAY + 1439 * MINUTE);
    let before = [one.start().await, other.start().await, other.start().await];
    assert_eq!(name().await, first);
    setup.kyc.clock().advance(2 * MINUTE);
    // Another instance reads the key now and replaces it.
    let third = setup.instance().await;
    let after = [
        third.start().await,
        third.start().await,
        third.start().await,
    ];
    let second = name().await;
    assert_ne!(second, first);
    let records = one.store.records(LOGIN_KEY).await;
    assert_eq!(records[0]["previous"]["name"], first);

    for (instance, (old, new)) in [&one, &other, &third]
        .into_iter()
        .zip(before.iter().zip(&after))
    {
        assert_eq!(instance.complete(old, &setup.ada).await, "/vault");
        assert_eq!(instance.complete(new, &setup.ada).await, "/vault");
    }
    // The next replacement removes the first login key.
    setup.kyc.clock().advance(7 * DAY);
    third.start().await;
    let records = one.store.records(LOGIN_KEY).await;
    assert_eq!(records[0]["previous"]["name"], second);
    assert!(!records[0].to_string().contains(first.as_str().unwrap()));
}

#[tokio::test]
async fn an_unknown_login_key_is_looked_up_once_per_five_seconds() {
    // Covers threat case 140.
    let setup = InstancesTest::new().await;
    let instance = setup.instance().await;
    let login = instance.start().await;
    let forged = with_unknown_key(&login);
    let callback = login.callback(&[("code", "x")]);
    let ask = async || {
        instance.store.forget();
        for _ in 0..50 {
            let answer = instance.visitor.get(&callback, &forged).await.unwrap();
            assert_eq!(answer.code(), "unknown_login");
        }
        assert_eq!(instance.store.writes(), 0);
        instance.store.count(Op::Read)
    };
    // The instance has read the keys a moment ago.
    assert_eq!(ask().await, 0);
    for _ in 0..3 {
        setup.kyc.clock().advance(5 * SECOND);
        assert_eq!(ask().await, 1);
    }
    setup.kyc.clock().advance(4 * SECOND);
    assert_eq!(ask().await, 0);
    // The start of a login does not read the store.
    setup.kyc.clock().advance(5 * SECOND);
    instance.store.forget();
    let answer = instance.visitor.get(TO_THE_VAULT, &forged).await.unwrap();
    assert_eq!(answer.status, 303);
    assert_eq!(instance.store.operations(), 0);
}

#[tokio::test]
async fn the_first_login_does_not_start_while_the_store_is_down() {
    // Covers threat case 45.
    let setup = InstancesTest::new().await;
    let instance = setup.instance().await;
    instance.store.fail();
    assert_eq!(instance.try_to_start().await, unavailable());
    instance.store.heal();
    for op in [Op::Read, Op::Write] {
        let instance = setup.instance().await;
        instance.store.fail_on(op, LOGIN_KEY);
        assert_eq!(instance.try_to_start().await, unavailable());
        instance.store.heal();
        assert_eq!(instance.store.bodies(LOGIN_KEY).await.len(), 0);
    }
    // The store wrote the key, but its response was lost. The next attempt finds the key.
    instance.store.lose_answer(Op::Write, LOGIN_KEY);
    assert_eq!(instance.try_to_start().await, unavailable());
    let login = instance.start().await;
    assert_eq!(instance.store.bodies(LOGIN_KEY).await.len(), 1);
    assert_eq!(instance.complete(&login, &setup.ada).await, "/vault");
}

#[tokio::test]
async fn with_a_cached_key_logins_start_while_the_store_is_down() {
    // Covers threat case 45.
    let setup = InstancesTest::new().await;
    let instance = setup.instance().await;
    instance.start().await;
    instance.store.fail();
    for later in [Duration::ZERO, 11 * MINUTE, DAY, 5 * DAY] {
        setup.kyc.clock().advance(later);
        let login = instance.start().await;
        // The callback needs the store, and the login stays pending.
        let answer = instance.complete(&login, &setup.ada).await;
        assert_eq!(answer, "store_unavailable");
    }
    let login = instance.start().await;
    instance.store.heal();
    assert_eq!(instance.complete(&login, &setup.ada).await, "/vault");
    // Other instances may have replaced a key twice in the week since this instance read the key.
    instance.store.fail();
    setup.kyc.clock().advance(7 * DAY);
    assert_eq!(instance.try_to_start().await, unavailable());
}

#[tokio::test]
async fn an_unreadable_stored_key_is_not_replaced() {
    let setup = InstancesTest::new().await;
    let old = setup.instance().await;
    let login = old.start().await;
    let unreadable: &[u8] = b"\x09 of a later release";
    old.store.replace(LOGIN_KEY, |_| unreadable.to_vec()).await;
    let new = setup.instance().await;
    assert_eq!(new.try_to_start().await, unavailable());
    assert_eq!(old.store.bodies(LOGIN_KEY).await, [unreadable]);
    // An instance that has cached the key can still start logins.
    setup.kyc.clock().advance(9 * MINUTE);
    assert_eq!(old.complete(&login, &setup.ada).await, "/vault");
    setup.kyc.clock().advance(2 * MINUTE);
    let login = old.start().await;
    assert_eq!(old.complete(&login, &setup.ada).await, "/vault");
    assert_eq!(old.store.bodies(LOGIN_KEY).await, [unreadable]);
}

#[tokio::test]
async fn with_session_keys_no_login_key_is_stored() {
    let setup = InstancesTest::new().await;
    let with = async |keys: &str| {
        let keys = SealingKeys::parse(keys).unwrap();
        setup
            .instance_with(|config| config.session_keys(keys))
            .await
    };
    let old = with(FIRST_KEY).await;
    let both = with(&format!("{FIRST_KEY} {SECOND_KEY}")).await;
    let next = with(&format!("{SECOND_KEY} {FIRST_KEY}")).await;
    let new = with(SECOND_KEY).await;
    old.store.fail();
    let logins = [old.start().await, old.start().await, old.start().await];
    assert_eq!(old.store.operations(), 0);
    let sealed_by_next = [next.start().await, next.start().await];
    assert_eq!(next.store.operations(), 0);

    // Instances with the same key open each other's logins.
    assert_eq!(both.complete(&logins[0], &setup.ada).await, "/vault");
    assert_eq!(next.complete(&logins[1], &setup.ada).await, "/vault");
    assert_eq!(new.complete(&logins[2], &setup.ada).await, "unknown_login");
    assert_eq!(
        both.complete(&sealed_by_next[0], &setup.ada).await,
        "/vault"
    );
    assert_eq!(new.complete(&sealed_by_next[1], &setup.ada).await, "/vault");
    for instance in [&old, &both, &next, &new] {
        assert_eq!(instance.store.bodies(LOGIN_KEY).await.len(), 0);
    }
    // An instance without keys cannot open these logins.
    let without = setup.instance().await;
    let login = next.start().await;
    assert_eq!(without.complete(&login, &setup.ada).await, "unknown_login");
}

#[tokio::test]
async fn instances_with_separate_memory_stores_share_no_login() {
    let setup = InstancesTest::new().await;
    let here = setup.instance().await;
    let own = MemoryStore::new(1000, Arc::new(setup.kyc.clock().clone()));
    let there = setup.instance_with(|config| config.store(own)).await;
    let login = here.start().await;
    assert_eq!(there.complete(&login, &setup.ada).await, "unknown_login");
    assert_eq!(here.complete(&login, &setup.ada).await, "/vault");
}
