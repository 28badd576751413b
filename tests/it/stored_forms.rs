//! Tests that this release can read the records of older and newer releases. During a roll-out, the
//! previous release and the next release read the same records.
//!
//! Do not change `stored/v1.json` and `stored/v1_sealed.json`. These files contain the records of a
//! person who signed in, and the cookies of the person's browser. The first release wrote the
//! records in format versions 1 and 2. A new format version gets an additional file.

use std::{collections::BTreeMap, time::Duration};

use axum::http::Method;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use kycport::{
    ConfigBuilder, KycTier, MemoryStore, TestClock, Timestamp,
    mock::{Browser, Endpoint, MockIssuer, Page, Person},
    store::{
        Acquired, Change, Condition, Family, LeaseFamily, LeaseKey, LeaseToken, Owner, RecordId,
        RecordKey, RevocationMark, Settlement, Store as _, Write, Written,
    },
    web::SealingKeys,
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use url::Url;

use crate::{
    engines::FIRST_KEY,
    leaks::Log,
    recording_store::{ACTIVITY, ASSURANCE, Kind, LOGIN_KEY, RecordingStore, SESSION, TOKENS},
    support::tenant_app,
    visitor::{LOGIN_COOKIES, SESSION_COOKIE},
};

const V1: &str = include_str!("stored/v1.json");
const V1_SEALED: &str = include_str!("stored/v1_sealed.json");

/// Issuer and client of the fixtures. Every record key depends on the issuer and the client.
const ISSUER: &str = "https://issuer.example";
const CLIENT: &str = "client-of-the-first-form";

/// Creation time of the fixtures, in seconds since the Unix epoch.
const FIXTURE_TIME: i64 = 1_790_000_000;

/// Cookies of a browser that signed in and started a login, and the contents of the store after
/// these two actions.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Fixture {
    /// Time in milliseconds since the Unix epoch.
    now: i64,
    namespace: String,
    owner: String,
    session_cookie: String,
    login_cookie: (String, String),
    /// Parameters of the authorization request of the pending login.
    authorize: BTreeMap<String, String>,
    records: Vec<Stored>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Stored {
    family: String,
    id: String,
    /// Unsealed body. The first character is the format byte.
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<String>,
    /// Sealed body.
    #[serde(skip_serializing_if = "Option::is_none")]
    base64: Option<String>,
}

impl Stored {
    fn body(&self) -> Vec<u8> {
        match (&self.text, &self.base64) {
            (Some(text), None) => text.clone().into_bytes(),
            (None, Some(base64)) => STANDARD.decode(base64).unwrap(),
            _ => panic!("a body must be text or base64"),
        }
    }
}

/// App of this release, with the issuer and the client of the fixtures.
struct CurrentApp {
    kyc: MockIssuer,
    ada: Person,
    app: String,
    store: RecordingStore,
    browser: Browser,
}

impl CurrentApp {
    async fn start(then: Timestamp, keys: Option<&str>) -> Self {
        let clock = TestClock::new();
        clock.freeze();
        clock.jump_to(then);
        let kyc = MockIssuer::builder()
            .issuer(ISSUER)
            .issue_refresh_tokens(true)
            .clock(clock.clone())
            .start()
            .await
            .unwrap();
        let client = kyc.add_client("client of the fixtures").id(CLIENT).create();
        let store = RecordingStore::over(MemoryStore::new(1000, std::sync::Arc::new(clock)));
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0))
            .await
            .unwrap();
        let app = format!("http://{}", listener.local_addr().unwrap());
        let config = kyc
            .config_for(&client, format!("{app}/auth/callback"))
            .scopes(["openid", "email", "profile", "kyc", "offline_access"])
            .store(store.clone());
        let router = tenant_app(sealed_with(config, keys));
        tokio::spawn(async move { axum::serve(listener, router).await });
        let ada = kyc
            .person("ada")
            .email("ada@example.test")
            .name("Ada Example")
            .tier(KycTier::T2)
            .create();
        Self {
            browser: kyc.browser(),
            kyc,
            ada,
            app,
            store,
        }
    }

    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.app)
    }

    async fn page(&self, path: &str) -> Page {
        self.browser.fetch(self.url(path)).await.unwrap()
    }

    async fn status(&self, path: &str) -> u16 {
        self.page(path).await.status()
    }

    /// Starts a login, and returns the URL of the redirect.
    async fn start_login(&self) -> Url {
        let login = self.url("/auth/login?return_to=/vault");
        let page = self.browser.request(Method::GET, login).stay().send().await;
        page.unwrap().assert_status(303).location().unwrap()
    }
}

fn sealed_with(config: ConfigBuilder, keys: Option<&str>) -> ConfigBuilder {
    match keys {
        Some(keys) => config.session_keys(SealingKeys::parse(keys).unwrap()),
        None => config,
    }
}

/// App of this release with records of an earlier release.
struct AppOnOldRecords {
    today: CurrentApp,
    fixture: Fixture,
}

impl AppOnOldRecords {
    /// Changes records of format version 1 with `change`, and stores the changed records.
    async fn changed(change: impl Fn(Family, &mut Value)) -> Self {
        Self::with_bodies(V1, None, |family, body| {
            let mut value = serde_json::from_slice(&body[1..]).unwrap();
            change(family, &mut value);
            [&body[..1], &serde_json::to_vec(&value).unwrap()].concat()
        })
        .await
    }

    async fn as_written(text: &str, keys: Option<&str>) -> Self {
        Self::with_bodies(text, keys, |_, body| body.to_vec()).await
    }

    async fn with_bodies(
        text: &str,
        keys: Option<&str>,
        change: impl Fn(Family, &[u8]) -> Vec<u8>,
    ) -> Self {
        let fixture: Fixture = serde_json::from_str(text).unwrap();
        let today = CurrentApp::start(Timestamp::from_unix_millis(fixture.now), keys).await;
        for stored in &fixture.records {
            let family = family(&stored.family);
            let key = RecordKey::new(family, RecordId(bytes(&stored.id)));
            let namespace = bytes(&fixture.namespace);
            let owner = match family {
                Family::LoginKey => Owner::namespace(namespace),
                _ => Owner {
                    namespace,
                    id: bytes(&fixture.owner),
                },
            };
            let write = Write {
                key,
                condition: Condition::Absent,
                change: Change::Put {
                    version: 1,
                    body: change(family, &stored.body()).into(),
                    keep_for: Duration::from_secs(3600),
                },
            };
            let written = today
                .store
                .write(&owner, &[write], Some(RevocationMark(0)))
                .await;
            assert_eq!(written, Ok(Written::Applied));
        }
        let (name, value) = &fixture.login_cookie;
        for (name, value) in [
            (&SESSION_COOKIE.to_owned(), &fixture.session_cookie),
            (name, value),
        ] {
            let cookie = format!("{name}={value}; Secure; Path=/");
            today.browser.set_cookie(today.url("/"), &cookie);
        }
        today.store.forget();
        Self { today, fixture }
    }

    fn state(&self) -> &str {
        &self.fixture.authorize["state"]
    }

    /// Returns the path of a callback for the old login. KYCPort does not know the code in this
    /// path.
    fn callback(&self) -> String {
        let state = self.state();
        let issuer = url::form_urlencoded::byte_serialize(ISSUER.as_bytes());
        let issuer: String = issuer.collect();
        format!("/auth/callback?code=x&state={state}&iss={issuer}")
    }

    /// Completes the old login at KYCPort, and returns the status of the callback.
    async fn complete_login(&self) -> u16 {
        let other = self.today.kyc.browser();
        let login = other.request(Method::GET, self.today.url("/auth/login"));
        let mut authorize = login.stay().send().await.unwrap().location().unwrap();
        let pairs: Vec<(String, String)> = authorize
            .query_pairs()
            .map(|(name, value)| {
                let old = self.fixture.authorize.get(&*name).cloned();
                (name.into_owned(), old.unwrap_or(value.into_owned()))
            })
            .collect();
        authorize.query_pairs_mut().clear().extend_pairs(pairs);
        let callback = self
            .today
            .browser
            .start_sign_in(authorize, &self.today.ada)
            .await;
        let page = self.today.browser.open(callback.unwrap()).await.unwrap();
        page.status()
    }

    /// Asserts that the app reads every record and every cookie.
    async fn assert_is_read(&self) {
        let today = &self.today;
        let me = today.page("/auth/me").await.assert_ok().json();
        assert_eq!(me["subject"], today.ada.id());
        assert_eq!(me["assurance"]["kyc_tier"], "t2");
        assert_eq!(today.status("/guarded").await, 200);
        today.kyc.requests(Endpoint::Status).assert_count(0);
        today.kyc.requests(Endpoint::Userinfo).assert_count(0);
        assert_eq!(today.status("/token").await, 200);
        assert_eq!(self.complete_login().await, 303);
        today.kyc.requests(Endpoint::Token).assert_count(1);
    }
}

fn family(name: &str) -> Family {
    let found = Family::ALL.into_iter().find(|it| it.name() == name);
    found.unwrap()
}

fn bytes(text: &str) -> [u8; 16] {
    base16ct::lower::decode_vec(text)
        .unwrap()
        .try_into()
        .unwrap()
}

/// Writes a fixture in this release's format into the file named by `KYCPORT_FIXTURE`. Seals the
/// records of the fixture if `KYCPORT_FIXTURE_SEALED` is set.
#[tokio::test]
#[ignore = "writes a fixture for a new format version"]
async fn write_a_fixture() {
    let Some(file) = std::env::var_os("KYCPORT_FIXTURE") else {
        return;
    };
    let sealed = std::env::var_os("KYCPORT_FIXTURE_SEALED").is_some();
    let then = Timestamp::from_unix(FIXTURE_TIME);
    let today = CurrentApp::start(then, sealed.then_some(FIRST_KEY)).await;
    let fixture = fixture_of(&today, sealed).await;
    std::fs::write(file, serde_json::to_string_pretty(&fixture).unwrap()).unwrap();
}

/// Signs in, uses the session, starts a login, and returns the resulting records and cookies.
async fn fixture_of(today: &CurrentApp, sealed: bool) -> Fixture {
    let browser = &today.browser;
    let login = today.url("/auth/login");
    browser
        .sign_in(login, &today.ada)
        .await
        .unwrap()
        .assert_ok();
    today.kyc.clock().advance(Duration::from_secs(61));
    assert_eq!(today.status("/vault").await, 200);
    let authorize = today.start_login().await;
    let mut entries = today.store.entries(|_| true).await;
    entries.sort_by_key(|(_, key, _)| *key);
    let hex = |bytes: [u8; 16]| base16ct::lower::encode_string(&bytes);
    let owner = entries[0].0;
    let records = entries.into_iter().map(|(_, key, entry)| Stored {
        family: key.family.name().to_owned(),
        id: hex(key.id.0),
        text: (!sealed).then(|| String::from_utf8(entry.body.to_vec()).unwrap()),
        base64: sealed.then(|| STANDARD.encode(&entry.body)),
    });
    let cookies = browser.cookies(today.url("/"));
    let login_cookie = cookies.iter().find(|it| it.0.starts_with(LOGIN_COOKIES));
    Fixture {
        now: kycport::Clock::now(today.kyc.clock()).as_unix_millis(),
        namespace: hex(owner.namespace),
        owner: hex(owner.id),
        session_cookie: browser.cookie(today.url("/"), SESSION_COOKIE).unwrap(),
        login_cookie: login_cookie.unwrap().clone(),
        authorize: authorize
            .query_pairs()
            .filter(|(name, _)| ["state", "nonce", "code_challenge"].contains(&&**name))
            .map(|(name, value)| (name.into_owned(), value.into_owned()))
            .collect(),
        records: records.collect(),
    }
}

#[tokio::test]
async fn the_first_formats_are_read() {
    let old = AppOnOldRecords::as_written(V1, None).await;
    let me = old.today.page("/auth/me").await.json();
    assert_eq!(me["claims"]["email"], "ada@example.test");
    assert_eq!(me["claims"]["name"], "Ada Example");
    old.assert_is_read().await;
    let sealed = AppOnOldRecords::as_written(V1_SEALED, Some(FIRST_KEY)).await;
    sealed.assert_is_read().await;
    // An app without the key cannot read the records.
    let open = AppOnOldRecords::as_written(V1_SEALED, None).await;
    assert_eq!(open.today.status("/auth/me").await, 401);
    assert_eq!(open.complete_login().await, 400);
}

#[tokio::test]
async fn the_idle_time_starts_at_the_recorded_activity() {
    for (text, keys) in [(V1, None), (V1_SEALED, Some(FIRST_KEY))] {
        let old = AppOnOldRecords::as_written(text, keys).await;
        let me = old.today.page("/auth/me").await.json();
        let ends = &me["session"]["idle_expires_at"];
        let half_an_hour = 30 * 60;
        assert_eq!(*ends, old.fixture.now / 1000 + half_an_hour, "{me}");
        // The session of the fixture was last used less than a minute ago, so the app does not
        // update the time of last use.
        old.today.kyc.clock().advance(Duration::from_secs(29 * 60));
        assert_eq!(old.today.status("/vault").await, 200);
        old.today.kyc.clock().advance(Duration::from_secs(29 * 60));
        assert_eq!(old.today.status("/vault").await, 200);
    }
}

/// Returns the name and the type of each member in a value.
fn shape(value: &Value) -> Value {
    match value {
        Value::Object(members) => members
            .iter()
            .map(|(name, value)| (name.clone(), shape(value)))
            .collect(),
        Value::Array(items) => items.iter().map(shape).collect(),
        Value::String(_) => json!("text"),
        Value::Number(_) => json!("number"),
        Value::Bool(_) => json!("bool"),
        Value::Null => json!("null"),
    }
}

#[tokio::test]
async fn this_release_writes_the_first_formats() {
    let today = CurrentApp::start(Timestamp::from_unix(FIXTURE_TIME), None).await;
    let now = fixture_of(&today, false).await;
    let then: Fixture = serde_json::from_str(V1).unwrap();
    assert_eq!(now.namespace, then.namespace);
    assert_eq!(now.owner, then.owner);
    assert_eq!(now.session_cookie.len(), then.session_cookie.len());
    assert_eq!(now.login_cookie.0.len(), then.login_cookie.0.len());
    assert_eq!(now.login_cookie.1.len(), then.login_cookie.1.len());
    assert_eq!(now.records.len(), then.records.len());
    for (now, then) in now.records.iter().zip(&then.records) {
        assert_eq!(now.family, then.family);
        let [now_body, then_body] = [now, then].map(Stored::body);
        assert_eq!(now_body[0], then_body[0], "{}", now.family);
        let [now_value, then_value] =
            [now_body, then_body].map(|body| serde_json::from_slice(&body[1..]).unwrap());
        assert_eq!(shape(&now_value), shape(&then_value), "{}", now.family);
    }

    let today = CurrentApp::start(Timestamp::from_unix(FIXTURE_TIME), Some(FIRST_KEY)).await;
    let now = fixture_of(&today, true).await;
    let then: Fixture = serde_json::from_str(V1_SEALED).unwrap();
    assert_eq!(now.login_cookie.1.len(), then.login_cookie.1.len());
    // The app derives the login keys from the session keys, so no record contains a login key.
    let families = |fixture: &Fixture| {
        let names = fixture.records.iter().map(|it| it.family.clone());
        names.collect::<Vec<_>>()
    };
    assert_eq!(
        families(&now),
        ["session", "activity", "tokens", "assurance"]
    );
    assert_eq!(families(&now), families(&then));
    for (now, then) in now.records.iter().zip(&then.records) {
        let [now, then] = [now, then].map(Stored::body);
        assert_eq!(now[..7], then[..7]);
        assert_eq!(now[..7], *b"\x02\x05first");
    }
}

#[tokio::test]
async fn members_added_by_a_newer_release_are_ignored() {
    let old = AppOnOldRecords::changed(|_, value| {
        value["more"] = json!({ "of": ["a", "newer", "release"] });
        for part in ["assurance", "current", "previous"] {
            if let Some(part) = value.get_mut(part).and_then(Value::as_object_mut) {
                part.insert("more".to_owned(), json!("x"));
            }
        }
    })
    .await;
    old.assert_is_read().await;
}

#[tokio::test]
async fn members_missing_in_an_older_release_are_optional() {
    let old = AppOnOldRecords::changed(|family, value| {
        let members = value.as_object_mut().unwrap();
        let left_out: &[&str] = match family {
            Family::Session => &["email", "email_verified", "name", "auth_time"],
            Family::Tokens => &["refresh_token"],
            Family::LoginKey => &["previous"],
            _ => &[],
        };
        members.retain(|name, _| !left_out.contains(&name.as_str()));
    })
    .await;
    old.assert_is_read().await;
}

/// Returns a body with a future format version.
fn with_newer_format(_: Family, body: &[u8]) -> Vec<u8> {
    [&[3], &body[1..]].concat()
}

const KINDS: [Kind; 5] = [SESSION, ACTIVITY, TOKENS, ASSURANCE, LOGIN_KEY];

async fn bodies(store: &RecordingStore) -> Vec<Vec<Vec<u8>>> {
    let mut all = Vec::new();
    for kind in KINDS {
        all.push(store.bodies(kind).await);
    }
    all
}

#[tokio::test]
async fn records_of_a_newer_format_are_unreadable_and_kept() {
    let (log, _guard) = Log::capture();
    let old = AppOnOldRecords::with_bodies(V1, None, with_newer_format).await;
    let today = &old.today;
    let before = bodies(&today.store).await;
    for _ in 0..3 {
        assert_eq!(today.status("/auth/me").await, 401);
        assert_eq!(today.status("/vault").await, 401);
        assert_eq!(today.status("/guarded").await, 401);
        // The key that seals logins is also unreadable. The app therefore cannot start or complete
        // a login.
        let login = today.browser.open(today.url("/auth/login")).await;
        login.unwrap().assert_status(503);
        assert_eq!(today.status(&old.callback()).await, 503);
    }
    assert_eq!(bodies(&today.store).await, before);
    assert_eq!(today.store.writes(), 0);
    today.kyc.requests(Endpoint::Token).assert_count(0);
    let log_text = log.text();
    for kind in ["session", "login_key"] {
        let lines = log_text.lines().filter(|line| {
            line.contains("cannot be read")
                && line.contains(&format!("kind=\"{kind}\""))
                && line.contains("reason=\"not_understood\"")
        });
        assert_eq!(lines.count(), 1, "{kind}: {log_text}");
    }
}

#[tokio::test]
async fn an_assurance_of_a_newer_format_is_unknown_and_not_missing() {
    let of_the_assurance = |family: Family, body: &[u8]| match family {
        Family::Assurance => with_newer_format(family, body),
        _ => body.to_vec(),
    };
    let old = AppOnOldRecords::with_bodies(V1, None, of_the_assurance).await;
    let today = &old.today;
    let before = today.store.bodies(ASSURANCE).await;
    let me = today.page("/auth/me").await.assert_ok().json();
    assert_eq!(me["assurance"]["kyc_status"], Value::Null);
    // While the status endpoint of KYCPort fails, the guard rejects requests, and the app does not
    // change the record.
    let down = today.kyc.on(Endpoint::Status).fail(500).always();
    assert_eq!(today.status("/guarded").await, 503);
    drop(down);
    // An ID token does not replace the unreadable record either.
    assert_eq!(old.complete_login().await, 303);
    assert_eq!(today.store.bodies(ASSURANCE).await, before);
    today.kyc.forget_requests();
    today.ada.reject();
    assert_ne!(today.status("/guarded").await, 200);
    today.kyc.requests(Endpoint::Status).assert_count(1);
    assert_ne!(today.store.bodies(ASSURANCE).await, before);
}

#[tokio::test]
async fn activity_and_tokens_of_a_newer_format_do_not_end_a_session() {
    let beside_the_session = |family: Family, body: &[u8]| match family {
        Family::Activity | Family::Tokens => with_newer_format(family, body),
        _ => body.to_vec(),
    };
    let old = AppOnOldRecords::with_bodies(V1, None, beside_the_session).await;
    let today = &old.today;
    assert_eq!(today.status("/vault").await, 200);
    assert_eq!(today.status("/guarded").await, 200);
    let before = today.store.bodies(TOKENS).await;
    assert_eq!(today.status("/token").await, 502);
    assert_eq!(today.store.bodies(TOKENS).await, before);
    today.kyc.requests(Endpoint::Token).assert_count(0);
}

#[tokio::test]
async fn a_login_with_a_result_of_a_newer_format_is_completed() {
    let old = AppOnOldRecords::as_written(V1, None).await;
    let today = &old.today;
    let namespace = bytes(&old.fixture.namespace);
    let state = old.state().as_bytes();
    let login = LeaseKey::of(namespace, LeaseFamily::Login, &[state]);
    let token = LeaseToken::random();
    let minute = Duration::from_secs(60);
    let acquired = today.store.acquire(&login, token, minute).await.unwrap();
    assert!(matches!(acquired, Acquired::Granted { .. }));
    let done = Settlement::Done {
        result: "a result that this release does not know".into(),
        keep_for: minute,
    };
    assert_eq!(today.store.settle(&login, token, done).await, Ok(true));
    // The app redirects the browser and sends no code, because the session of the fixture exists.
    assert_eq!(old.complete_login().await, 303);
    today.kyc.requests(Endpoint::Token).assert_count(0);
    today.store.remove(SESSION).await;
    let repeated = today.page(&old.callback()).await;
    assert_eq!(repeated.json()["code"], "finished_login");
}

#[tokio::test]
async fn revoking_all_sessions_revokes_a_session_of_an_older_release() {
    // Covers threat case 98.
    for (text, keys) in [(V1, None), (V1_SEALED, Some(FIRST_KEY))] {
        let old = AppOnOldRecords::as_written(text, keys).await;
        let owner = Owner {
            namespace: bytes(&old.fixture.namespace),
            id: bytes(&old.fixture.owner),
        };
        assert_eq!(old.today.status("/vault").await, 200);
        let hour = Duration::from_secs(3600);
        old.today.store.revoke(&owner, &[], hour).await.unwrap();
        // The app has deleted no record. Only the fence revokes the session. A fence is the lowest
        // mark that is still valid.
        assert_eq!(old.today.store.bodies(SESSION).await.len(), 1);
        assert_eq!(old.today.status("/auth/me").await, 401);
    }
}
