//! Tests that a sealed record cannot be read or changed without its key, and that keys can be
//! rotated.

use std::{
    io::Write as _,
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use axum::http::Method;
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use kycport::{
    ConfigBuilder, KycTier, RunningApp,
    mock::{Browser, Endpoint, MockIssuer, Page, Person},
    store::{Change, Condition, Entry, Owner, RecordKey, Store as _, Write, Written},
    web::SealingKeys,
};

use crate::{
    engines::{Engine, FIRST_KEY as FIRST, SECOND_KEY as SECOND, balanced},
    leaks::Log,
    recording_store::{ACTIVITY, ASSURANCE, LOGIN_KEY, RecordingStore, SESSION, TOKENS},
    support::tenant_app,
    visitor::{LOGIN_COOKIES, SESSION_COOKIE},
};

/// Prefix of a sealed body: the format version, the length of the key's name, and the key's name.
const BY_FIRST: &[u8] = b"\x02\x05first";
const BY_SECOND: &[u8] = b"\x02\x06second";
/// Length of a nonce in bytes.
const NONCE: usize = 12;

/// Mock, store whose contents the test can read, and a person.
struct SealingTest {
    kyc: MockIssuer,
    store: RecordingStore,
    ada: Person,
}

impl SealingTest {
    /// Starts an instance of the app that seals records with these keys.
    async fn instance(&self, keys: &str) -> RunningApp {
        self.serve(|config| config.session_keys(SealingKeys::parse(keys).unwrap()))
            .await
    }

    /// Starts an instance of the app that does not seal records.
    async fn unsealed(&self) -> RunningApp {
        self.serve(|config| config).await
    }

    async fn serve(&self, more: impl FnOnce(ConfigBuilder) -> ConfigBuilder) -> RunningApp {
        let scopes = ["openid", "email", "profile", "kyc"];
        let app = |config: ConfigBuilder| {
            tenant_app(more(config.scopes(scopes).store(self.store.clone())))
        };
        self.kyc.serve(app).await.unwrap()
    }

    async fn signed_in(&self, app: &RunningApp, person: &Person) -> Browser {
        let browser = self.kyc.browser();
        self.sign_in_at(&browser, app, person).await;
        browser
    }

    async fn sign_in_at(&self, browser: &Browser, app: &RunningApp, person: &Person) {
        let page = browser.sign_in(app.url("/auth/login"), person).await;
        page.unwrap().assert_ok();
    }

    /// Replaces the body of a record directly in the store.
    async fn put(&self, owner: &Owner, key: RecordKey, entry: &Entry, body: &[u8]) {
        let write = Write {
            key,
            condition: Condition::Present,
            change: Change::Put {
                version: entry.version.wrapping_add(1),
                body: body.to_vec().into(),
                keep_for: Duration::from_secs(3600),
            },
        };
        let written = self.store.write(owner, &[write], None).await;
        assert_eq!(written, Ok(Written::Applied));
    }

    /// Returns the contents of the store as a single text.
    async fn dump(&self) -> String {
        let entries = self.store.entries(|_| true).await;
        let texts = entries.iter().map(|(owner, key, entry)| {
            let place = [&owner.to_bytes()[..], &key.id.0].concat();
            let place = String::from_utf8_lossy(&place).into_owned();
            place + &String::from_utf8_lossy(&entry.body)
        });
        texts.collect::<Vec<_>>().join("\n")
    }
}

/// Runs the test on every store that is installed on this machine.
async fn on_every_store(setup: impl AsyncFn(SealingTest)) {
    let engines = Engine::all(&MockIssuer::start().await).await;
    for engine in engines.iter().filter(|engine| !engine.is_sealed()) {
        let kyc = MockIssuer::start().await;
        let ada = kyc.person("ada").email("canary@mail.example");
        let ada = ada.name("Canary Bird").tier(KycTier::T2).create();
        let store = engine.aging_with(&kyc).recording_store();
        let _named = NameOnFailure(engine.name());
        setup(SealingTest { kyc, store, ada }).await;
    }
}

/// Prints the store's name if the test fails on this store.
struct NameOnFailure(&'static str);

impl Drop for NameOnFailure {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let _ = writeln!(std::io::stderr(), "failed on: {}", self.0);
        }
    }
}

/// Requests `path` from `app` with the browser's session at `home`.
async fn request_at(app: &RunningApp, home: &RunningApp, browser: &Browser, path: &str) -> Page {
    let key = browser.cookie(home.url("/"), SESSION_COOKIE).unwrap();
    let cookie = format!("{SESSION_COOKIE}={key}");
    let request = browser.request(Method::GET, app.url(path));
    request
        .header("cookie", &cookie)
        .fetch()
        .send()
        .await
        .unwrap()
}

async fn status(app: &RunningApp, browser: &Browser, path: &str) -> u16 {
    request_at(app, app, browser, path).await.status()
}

#[tokio::test]
async fn a_dump_of_a_sealed_store_contains_no_token_and_no_personal_data() {
    // Covers threat case 137.
    on_every_store(async |setup| {
        let app = setup.instance(FIRST).await;
        let browser = setup.signed_in(&app, &setup.ada).await;
        setup.kyc.clock().advance(Duration::from_secs(61));
        let me = browser.fetch(app.url("/auth/me")).await.unwrap();
        assert_eq!(me.json()["claims"]["email"], "canary@mail.example");
        assert_eq!(status(&app, &browser, "/vault").await, 200);
        let login = app.url("/auth/login?return_to=/canary");
        let callback = browser.start_sign_in(login, &setup.ada).await.unwrap();

        for kind in [SESSION, ACTIVITY, TOKENS, ASSURANCE] {
            for body in setup.store.bodies(kind).await {
                assert!(body.starts_with(BY_FIRST), "{kind:?}");
            }
            assert!(!setup.store.bodies(kind).await.is_empty(), "{kind:?}");
        }
        // The app derives the login keys from the session keys, so the store contains no login key.
        assert!(setup.store.bodies(LOGIN_KEY).await.is_empty());
        let dump = setup.dump().await;
        // The dump contains all records and the pending login in the browser's cookie.
        let cookies = browser.cookies(app.url("/"));
        let cookie = cookies.iter().find(|it| it.0.starts_with(LOGIN_COOKIES));
        let cookie = URL_SAFE_NO_PAD.decode(&cookie.unwrap().1).unwrap();
        let plain_text = dump + &String::from_utf8_lossy(&cookie);
        let state = callback.query_pairs().find(|it| it.0 == "state").unwrap().1;
        for secret in [
            "anary",
            setup.ada.id(),
            "access_token",
            "subject",
            "issuer",
            "verified",
            "last_used",
            "return_to",
            setup.kyc.issuer(),
            &*state,
            "eyJ",
        ] {
            assert!(!plain_text.contains(secret), "{secret}");
        }
    })
    .await;
}

#[tokio::test]
async fn a_dump_of_an_unsealed_store_contains_tokens_and_personal_data() {
    // This test shows that the test of the sealed store searches the right records.
    on_every_store(async |setup| {
        let app = setup.unsealed().await;
        setup.signed_in(&app, &setup.ada).await;
        let dump = setup.dump().await;
        for plain_text in ["canary@mail.example", setup.ada.id(), "access_token", "eyJ"] {
            assert!(dump.contains(plain_text), "{plain_text}");
        }
    })
    .await;
}

#[tokio::test]
async fn two_sealed_records_of_the_same_content_differ() {
    on_every_store(async |setup| {
        setup.kyc.clock().freeze();
        let app = setup.instance(FIRST).await;
        let browser = setup.signed_in(&app, &setup.ada).await;
        let mut bodies = Vec::new();
        for _ in 0..3 {
            assert_eq!(status(&app, &browser, "/sensitive").await, 200);
            bodies.extend(setup.store.bodies(ASSURANCE).await);
        }
        assert_eq!(bodies.len(), 3);
        let content = BY_FIRST.len() + NONCE;
        bodies.sort_unstable_by_key(|body| body[content..].to_vec());
        bodies.dedup_by_key(|body| body[content..].to_vec());
        assert_eq!(bodies.len(), 3);
    })
    .await;
}

type Tampering = fn(&[u8]) -> Vec<u8>;

fn flipped(body: &[u8], at: usize) -> Vec<u8> {
    let mut body = body.to_vec();
    body[at] ^= 1;
    body
}

const TAMPERINGS: [(&str, Tampering); 11] = [
    ("the tag", |body| flipped(body, body.len() - 1)),
    ("the content", |body| flipped(body, BY_FIRST.len() + NONCE)),
    ("the nonce", |body| flipped(body, BY_FIRST.len())),
    ("cut", |body| body[..body.len() - 8].to_vec()),
    ("one byte longer", |body| [body, b"x"].concat()),
    ("the header only", |body| body[..BY_FIRST.len()].to_vec()),
    ("the length exceeds the body", |_| b"\x02\xc8first".to_vec()),
    ("another key", |body| {
        [BY_SECOND, &body[BY_FIRST.len()..]].concat()
    }),
    ("another format version", |body| [&[3], &body[1..]].concat()),
    ("the unsealed format", |_| b"\x01{}".to_vec()),
    ("nothing", |_| Vec::new()),
];

#[tokio::test]
async fn a_modified_session_record_is_rejected() {
    // Covers threat cases 93, 94.
    on_every_store(async |setup| {
        let app = setup.instance(&format!("{FIRST} {SECOND}")).await;
        let browser = setup.signed_in(&app, &setup.ada).await;
        for (what, tampering) in TAMPERINGS {
            assert_eq!(status(&app, &browser, "/auth/me").await, 200, "{what}");
            setup.store.replace(SESSION, tampering).await;
            assert_eq!(status(&app, &browser, "/auth/me").await, 401, "{what}");
            let page = browser.open(app.url("/")).await.unwrap();
            assert_eq!((page.status(), page.body()), (200, "signed out"), "{what}");
            // The person can sign in again.
            setup.sign_in_at(&browser, &app, &setup.ada).await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_modified_assurance_record_is_unknown() {
    on_every_store(async |setup| {
        let app = setup.instance(&format!("{FIRST} {SECOND}")).await;
        let browser = setup.signed_in(&app, &setup.ada).await;
        for (what, tampering) in TAMPERINGS {
            setup.kyc.forget_requests();
            assert_eq!(status(&app, &browser, "/guarded").await, 200, "{what}");
            setup.kyc.requests(Endpoint::Status).assert_count(0);
            setup.store.replace(ASSURANCE, tampering).await;
            let me = request_at(&app, &app, &browser, "/auth/me").await.json();
            assert!(me["assurance"]["kyc_status"].is_null(), "{what}: {me}");
            let down = setup.kyc.on(Endpoint::Status).fail(500).always();
            assert_eq!(status(&app, &browser, "/guarded").await, 503, "{what}");
            drop(down);
            // The guard requests the status from KYCPort and stores the result.
            setup.kyc.forget_requests();
            assert_eq!(status(&app, &browser, "/guarded").await, 200, "{what}");
            setup.kyc.requests(Endpoint::Status).assert_count(1);
        }
    })
    .await;
}

#[tokio::test]
async fn modified_token_and_activity_records_are_treated_as_missing() {
    on_every_store(async |setup| {
        let app = setup.instance(&format!("{FIRST} {SECOND}")).await;
        for (what, tampering) in TAMPERINGS {
            let browser = setup.signed_in(&app, &setup.ada).await;
            setup.kyc.clock().advance(Duration::from_secs(61));
            assert_eq!(status(&app, &browser, "/token").await, 200, "{what}");
            setup.store.replace(ACTIVITY, tampering).await;
            assert_eq!(status(&app, &browser, "/token").await, 200, "{what}");
            setup.store.replace(TOKENS, tampering).await;
            assert_eq!(status(&app, &browser, "/token").await, 502, "{what}");
            assert_eq!(status(&app, &browser, "/vault").await, 200, "{what}");
        }
    })
    .await;
}

#[tokio::test]
async fn a_record_moved_to_another_key_does_not_open() {
    // Covers threat case 94.
    on_every_store(async |setup| {
        let app = setup.instance(FIRST).await;
        let eve = setup.kyc.person("eve").tier(KycTier::T0).create();
        setup.kyc.clock().freeze();
        let (of_ada, of_ada_too) = (
            setup.signed_in(&app, &setup.ada).await,
            setup.signed_in(&app, &setup.ada).await,
        );
        let of_eve = setup.signed_in(&app, &eve).await;
        setup.kyc.clock().advance(Duration::from_secs(61));
        for browser in [&of_ada, &of_ada_too, &of_eve] {
            assert_eq!(status(&app, browser, "/vault").await, 200);
        }
        let entries = setup.store.entries(|_| true).await;
        let owner_of_eve = {
            let owners: Vec<_> = entries.iter().map(|(owner, ..)| *owner).collect();
            let is_hers = |owner: &&Owner| owners.iter().filter(|it| it == owner).count() == 4;
            *owners.iter().find(is_hers).expect("Eve has four records")
        };
        // The test copies the body of every other record into each record of Eve.
        for (owner, key, entry) in entries.iter().filter(|it| it.0 == owner_of_eve) {
            for (donor_owner, donor_key, donor) in &entries {
                if (donor_owner, donor_key) == (owner, key) {
                    continue;
                }
                setup.put(owner, *key, entry, &donor.body).await;
                let page = of_eve.fetch(app.url("/auth/me")).await.unwrap();
                assert!(!page.body().contains(setup.ada.id()));
                assert!(!page.body().contains("canary"));
                let is_session = key.family.name() == "session";
                assert_eq!(page.status(), if is_session { 401 } else { 200 });
                assert_ne!(status(&app, &of_eve, "/guarded").await, 200);
                setup.put(owner, *key, entry, &entry.body).await;
            }
        }
        assert_eq!(status(&app, &of_eve, "/vault").await, 200);
    })
    .await;
}

#[tokio::test]
async fn without_a_migration_sealed_and_unsealed_sessions_are_not_read() {
    on_every_store(async |setup| {
        let (open, sealed) = (setup.unsealed().await, setup.instance(FIRST).await);
        let browser = setup.signed_in(&open, &setup.ada).await;
        assert_eq!(status(&open, &browser, "/auth/me").await, 200);
        assert_eq!(
            request_at(&sealed, &open, &browser, "/auth/me")
                .await
                .status(),
            401
        );
        let browser = setup.signed_in(&sealed, &setup.ada).await;
        assert_eq!(
            request_at(&open, &sealed, &browser, "/auth/me")
                .await
                .status(),
            401
        );
    })
    .await;
}

#[tokio::test]
async fn sealing_can_be_enabled_while_sessions_exist() {
    on_every_store(async |setup| {
        let open = setup.unsealed().await;
        let lenient = |keys: &str| SealingKeys::parse(keys).unwrap().also_read_unsealed();
        let rolling = setup
            .serve(|config| config.session_keys(lenient(FIRST)))
            .await;
        let strict = setup.instance(FIRST).await;

        let before = setup.signed_in(&open, &setup.ada).await;
        setup.kyc.forget_requests();
        for path in ["/auth/me", "/token", "/guarded"] {
            assert_eq!(
                request_at(&rolling, &open, &before, path).await.status(),
                200
            );
        }
        // The app has also read the person's verification result.
        setup.kyc.requests(Endpoint::Status).assert_count(0);
        let after = setup.signed_in(&rolling, &setup.ada).await;
        assert_eq!(status(&rolling, &after, "/auth/me").await, 200);
        let sealed = setup.store.bodies(SESSION).await;
        let sealed = sealed.iter().filter(|body| body.starts_with(BY_FIRST));
        assert_eq!(sealed.count(), 1, "a new record is not sealed");

        // After the migration period, the app rejects unsealed sessions.
        assert_eq!(
            request_at(&strict, &open, &before, "/auth/me")
                .await
                .status(),
            401
        );
        assert_eq!(
            request_at(&strict, &rolling, &after, "/auth/me")
                .await
                .status(),
            200
        );
    })
    .await;
}

#[tokio::test]
async fn a_sealing_key_is_replaced_in_two_deployments() {
    on_every_store(async |setup| {
        let both_old = setup.instance(&format!("{FIRST} {SECOND}")).await;
        let both_new = setup.instance(&format!("{SECOND} {FIRST}")).await;

        // During the first deployment, old instances have only one key.
        let only_old = setup.instance(FIRST).await;
        let browser = setup.signed_in(&both_old, &setup.ada).await;
        assert_eq!(
            request_at(&only_old, &both_old, &browser, "/guarded")
                .await
                .status(),
            200
        );

        // During the second deployment, each instance opens the records that the other instance has
        // sealed.
        let before = setup.signed_in(&both_old, &setup.ada).await;
        let after = setup.signed_in(&both_new, &setup.ada).await;
        let bodies = setup.store.bodies(SESSION).await;
        assert!(bodies.iter().any(|body| body.starts_with(BY_FIRST)));
        assert!(bodies.iter().any(|body| body.starts_with(BY_SECOND)));
        for app in [&both_old, &both_new] {
            for path in ["/auth/me", "/guarded", "/token"] {
                assert_eq!(
                    request_at(app, &both_old, &before, path).await.status(),
                    200
                );
                assert_eq!(request_at(app, &both_new, &after, path).await.status(), 200);
            }
        }
    })
    .await;
}

#[tokio::test]
async fn a_login_completes_while_a_sealing_key_is_replaced() {
    on_every_store(async |setup| {
        let rings = [format!("{FIRST} {SECOND}"), format!("{SECOND} {FIRST}")];
        let started = AtomicUsize::new(0);
        let app = balanced(&setup.kyc, |config| {
            let keys = &rings[started.fetch_add(1, Ordering::SeqCst)];
            let keys = SealingKeys::parse(keys).unwrap();
            tenant_app(config.store(setup.store.clone()).session_keys(keys))
        })
        .await;
        for _ in 0..2 {
            // One instance starts the login, and the other instance completes this login.
            let browser = setup.kyc.browser();
            let login = app.url("/auth/login");
            let callback = browser.start_sign_in(login, &setup.ada).await.unwrap();
            let page = browser.open(callback).await.unwrap();
            page.assert_status(303);
            assert!(browser.cookie(app.url("/"), SESSION_COOKIE).is_some());
            // The next login starts at the other instance.
            browser.get(app.url("/")).await.unwrap().assert_ok();
        }
    })
    .await;
}

#[tokio::test]
async fn a_login_sealed_with_a_removed_key_must_be_started_again() {
    on_every_store(async |setup| {
        let old = setup.instance(FIRST).await;
        let browser = setup.kyc.browser();
        let login = old.url("/auth/login");
        let callback = browser.start_sign_in(login, &setup.ada).await.unwrap();
        let new = setup.instance(SECOND).await;
        let path = callback.as_str().replace(&old.url(""), &new.url(""));
        let cookies = browser.cookies(old.url("/"));
        let cookies: Vec<_> = cookies.iter().map(|(n, v)| format!("{n}={v}")).collect();
        let request = browser.request(Method::GET, path);
        let request = request.header("cookie", &cookies.join("; ")).fetch();
        let page = request.send().await.unwrap();
        page.assert_status(400);
        assert_eq!(page.json()["code"], "unknown_login");
        setup.kyc.requests(Endpoint::Token).assert_count(0);
        setup.signed_in(&new, &setup.ada).await;
    })
    .await;
}

#[tokio::test]
async fn removing_a_key_early_ends_sessions_and_makes_the_assurance_unknown() {
    // Covers threat case 94.
    on_every_store(async |setup| {
        let old = setup.instance(FIRST).await;
        let new = setup.instance(SECOND).await;
        let browser = setup.signed_in(&old, &setup.ada).await;
        assert_eq!(
            request_at(&new, &old, &browser, "/auth/me").await.status(),
            401
        );
        assert_eq!(
            setup.store.bodies(SESSION).await.len(),
            1,
            "the app deleted the record"
        );

        // The ID token does not replace an unreadable verification result. A guard requests the
        // status from KYCPort.
        let unreadable = setup.store.bodies(ASSURANCE).await;
        let browser = setup.signed_in(&new, &setup.ada).await;
        assert_eq!(setup.store.bodies(ASSURANCE).await, unreadable);
        setup.kyc.forget_requests();
        let down = setup.kyc.on(Endpoint::Status).fail(500).always();
        assert_eq!(status(&new, &browser, "/guarded").await, 503);
        drop(down);
        setup.ada.reject();
        assert_ne!(status(&new, &browser, "/guarded").await, 200);
        setup.ada.verify(KycTier::T2);
        assert_eq!(status(&new, &browser, "/sensitive").await, 200);
        let read = setup.store.bodies(ASSURANCE).await;
        assert!(read.iter().all(|body| body.starts_with(BY_SECOND)));
    })
    .await;
}

#[tokio::test]
async fn revoking_all_sessions_needs_no_key() {
    // Covers threat case 94.
    on_every_store(async |setup| {
        let old = setup.instance(FIRST).await;
        let new = setup.instance(&format!("{SECOND} {FIRST}")).await;
        let only_new = setup.instance(SECOND).await;
        let (of_old, of_new) = (
            setup.signed_in(&old, &setup.ada).await,
            setup.signed_in(&new, &setup.ada).await,
        );
        // An instance that cannot open the sessions revokes both sessions.
        let third = SECOND.replace("second:Z", "third:Y");
        let config = setup.kyc.config("http://127.0.0.1:9/auth/callback");
        let config = config
            .store(setup.store.clone())
            .session_keys(SealingKeys::parse(&third).unwrap());
        let kycport = kycport::RelyingParty::new(config.build().unwrap()).unwrap();
        assert_eq!(
            request_at(&new, &old, &of_old, "/auth/me").await.status(),
            200
        );
        kycport.sessions().revoke_all(setup.ada.id()).await.unwrap();
        for app in [&old, &new, &only_new] {
            assert_eq!(
                request_at(app, &old, &of_old, "/auth/me").await.status(),
                401
            );
            assert_eq!(
                request_at(app, &new, &of_new, "/auth/me").await.status(),
                401
            );
        }
    })
    .await;
}

#[tokio::test]
async fn an_unreadable_record_is_logged_once() {
    let (log, _guard) = Log::capture();
    let kyc = MockIssuer::start().await;
    let store = Engine::memory(&kyc).recording_store();
    let ada = kyc.person("ada").create();
    let setup = SealingTest { kyc, store, ada };
    let old = setup.instance(FIRST).await;
    let new = setup.instance(SECOND).await;
    let browser = setup.signed_in(&old, &setup.ada).await;
    for _ in 0..5 {
        assert_eq!(
            request_at(&new, &old, &browser, "/auth/me").await.status(),
            401
        );
    }
    let log_text = log.text();
    assert_eq!(
        log_text.matches("reason=\"unknown_key\"").count(),
        1,
        "{log_text}"
    );
    assert!(log_text.contains("kind=\"session\""), "{log_text}");
}
