//! Sealing: what the store shows, what it cannot change, and how keys are replaced.

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
    faulty_store::{ACTIVITY, ASSURANCE, FaultyStore, LOGIN_KEY, SESSION, TOKENS},
    leaks::Log,
    support::tenant_app,
    visitor::{LOGIN_COOKIES, SESSION_COOKIE},
};

/// What a sealed body begins with: the form, and the length and the name of the key.
const BY_FIRST: &[u8] = b"\x02\x05first";
const BY_SECOND: &[u8] = b"\x02\x06second";
/// Length of a nonce, in bytes.
const NONCE: usize = 12;

/// The mock, a store that lies open, and a person.
struct Scene {
    kyc: MockIssuer,
    store: FaultyStore,
    ada: Person,
}

impl Scene {
    /// An instance of the app that seals with these keys.
    async fn instance(&self, keys: &str) -> RunningApp {
        self.serve(|config| config.session_keys(SealingKeys::parse(keys).unwrap()))
            .await
    }

    /// An instance of the app that does not seal.
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
        self.signs_in(&browser, app, person).await;
        browser
    }

    async fn signs_in(&self, browser: &Browser, app: &RunningApp, person: &Person) {
        let page = browser.sign_in(app.url("/auth/login"), person).await;
        page.unwrap().assert_ok();
    }

    /// Stores a body behind the app's back.
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

    /// Everything in the store, as one text.
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

/// Plays a scene on every engine that is installed here.
async fn everywhere(scene: impl AsyncFn(Scene)) {
    let engines = Engine::all(&MockIssuer::start().await).await;
    for engine in engines.iter().filter(|engine| !engine.is_sealed()) {
        let kyc = MockIssuer::start().await;
        let ada = kyc.person("ada").email("canary@mail.example");
        let ada = ada.name("Canary Bird").tier(KycTier::T2).create();
        let store = engine.aging_with(&kyc).faulty_store();
        let _named = Named(engine.name());
        scene(Scene { kyc, store, ada }).await;
    }
}

/// Names the engine if the test fails there.
struct Named(&'static str);

impl Drop for Named {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let _ = writeln!(std::io::stderr(), "this was on: {}", self.0);
        }
    }
}

/// What an instance makes of the session that a browser has at `home`.
async fn seen_by(app: &RunningApp, home: &RunningApp, browser: &Browser, path: &str) -> Page {
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
    seen_by(app, app, browser, path).await.status()
}

#[tokio::test]
async fn a_dump_of_the_store_shows_no_token_and_no_person() {
    // case 137
    everywhere(async |scene| {
        let app = scene.instance(FIRST).await;
        let browser = scene.signed_in(&app, &scene.ada).await;
        scene.kyc.clock().advance(Duration::from_secs(61));
        let me = browser.fetch(app.url("/auth/me")).await.unwrap();
        assert_eq!(me.json()["claims"]["email"], "canary@mail.example");
        assert_eq!(status(&app, &browser, "/vault").await, 200);
        let login = app.url("/auth/login?return_to=/canary");
        let callback = browser.start_sign_in(login, &scene.ada).await.unwrap();

        for kind in [SESSION, ACTIVITY, TOKENS, ASSURANCE] {
            for body in scene.store.bodies(kind).await {
                assert!(body.starts_with(BY_FIRST), "{kind:?}");
            }
            assert!(!scene.store.bodies(kind).await.is_empty(), "{kind:?}");
        }
        // The keys of logins come from the session keys. None is stored.
        assert!(scene.store.bodies(LOGIN_KEY).await.is_empty());
        let dump = scene.dump().await;
        // All records, and the login that travels in the browser.
        let cookies = browser.cookies(app.url("/"));
        let cookie = cookies.iter().find(|it| it.0.starts_with(LOGIN_COOKIES));
        let cookie = URL_SAFE_NO_PAD.decode(&cookie.unwrap().1).unwrap();
        let shown = dump + &String::from_utf8_lossy(&cookie);
        let state = callback.query_pairs().find(|it| it.0 == "state").unwrap().1;
        for secret in [
            "anary",
            scene.ada.id(),
            "access_token",
            "subject",
            "issuer",
            "verified",
            "last_used",
            "return_to",
            scene.kyc.issuer(),
            &*state,
            "eyJ",
        ] {
            assert!(!shown.contains(secret), "{secret}");
        }
    })
    .await;
}

#[tokio::test]
async fn an_unsealed_store_shows_all_of_it() {
    // So that the test above looks at the right place.
    everywhere(async |scene| {
        let app = scene.unsealed().await;
        scene.signed_in(&app, &scene.ada).await;
        let dump = scene.dump().await;
        for shown in ["canary@mail.example", scene.ada.id(), "access_token", "eyJ"] {
            assert!(dump.contains(shown), "{shown}");
        }
    })
    .await;
}

#[tokio::test]
async fn two_records_of_the_same_content_differ() {
    everywhere(async |scene| {
        scene.kyc.clock().freeze();
        let app = scene.instance(FIRST).await;
        let browser = scene.signed_in(&app, &scene.ada).await;
        let mut bodies = Vec::new();
        for _ in 0..3 {
            assert_eq!(status(&app, &browser, "/sensitive").await, 200);
            bodies.extend(scene.store.bodies(ASSURANCE).await);
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
    ("longer", |body| [body, b"x"].concat()),
    ("the head only", |body| body[..BY_FIRST.len()].to_vec()),
    ("a length without a name", |_| b"\x02\xc8first".to_vec()),
    ("another key", |body| {
        [BY_SECOND, &body[BY_FIRST.len()..]].concat()
    }),
    ("another form", |body| [&[3], &body[1..]].concat()),
    ("the unsealed form", |_| b"\x01{}".to_vec()),
    ("nothing", |_| Vec::new()),
];

#[tokio::test]
async fn a_session_that_was_changed_is_no_session() {
    // cases 93, 94
    everywhere(async |scene| {
        let app = scene.instance(&format!("{FIRST} {SECOND}")).await;
        let browser = scene.signed_in(&app, &scene.ada).await;
        for (what, tampering) in TAMPERINGS {
            assert_eq!(status(&app, &browser, "/auth/me").await, 200, "{what}");
            scene.store.replace(SESSION, tampering).await;
            assert_eq!(status(&app, &browser, "/auth/me").await, 401, "{what}");
            let page = browser.open(app.url("/")).await.unwrap();
            assert_eq!((page.status(), page.body()), (200, "signed out"), "{what}");
            // The person can sign in again.
            scene.signs_in(&browser, &app, &scene.ada).await;
        }
    })
    .await;
}

#[tokio::test]
async fn an_assurance_that_was_changed_is_unknown() {
    everywhere(async |scene| {
        let app = scene.instance(&format!("{FIRST} {SECOND}")).await;
        let browser = scene.signed_in(&app, &scene.ada).await;
        for (what, tampering) in TAMPERINGS {
            scene.kyc.forget_requests();
            assert_eq!(status(&app, &browser, "/guarded").await, 200, "{what}");
            scene.kyc.requests(Endpoint::Status).assert_count(0);
            scene.store.replace(ASSURANCE, tampering).await;
            let me = seen_by(&app, &app, &browser, "/auth/me").await.json();
            assert!(me["assurance"]["kyc_status"].is_null(), "{what}: {me}");
            let down = scene.kyc.on(Endpoint::Status).fail(500).always();
            assert_eq!(status(&app, &browser, "/guarded").await, 503, "{what}");
            drop(down);
            // The guard asks, and the answer is recorded.
            scene.kyc.forget_requests();
            assert_eq!(status(&app, &browser, "/guarded").await, 200, "{what}");
            scene.kyc.requests(Endpoint::Status).assert_count(1);
        }
    })
    .await;
}

#[tokio::test]
async fn tokens_and_activity_that_were_changed_are_missing() {
    everywhere(async |scene| {
        let app = scene.instance(&format!("{FIRST} {SECOND}")).await;
        for (what, tampering) in TAMPERINGS {
            let browser = scene.signed_in(&app, &scene.ada).await;
            scene.kyc.clock().advance(Duration::from_secs(61));
            assert_eq!(status(&app, &browser, "/token").await, 200, "{what}");
            scene.store.replace(ACTIVITY, tampering).await;
            assert_eq!(status(&app, &browser, "/token").await, 200, "{what}");
            scene.store.replace(TOKENS, tampering).await;
            assert_eq!(status(&app, &browser, "/token").await, 502, "{what}");
            assert_eq!(status(&app, &browser, "/vault").await, 200, "{what}");
        }
    })
    .await;
}

#[tokio::test]
async fn a_record_that_was_moved_does_not_open() {
    // case 94
    everywhere(async |scene| {
        let app = scene.instance(FIRST).await;
        let eve = scene.kyc.person("eve").tier(KycTier::T0).create();
        scene.kyc.clock().freeze();
        let (of_ada, of_ada_too) = (
            scene.signed_in(&app, &scene.ada).await,
            scene.signed_in(&app, &scene.ada).await,
        );
        let of_eve = scene.signed_in(&app, &eve).await;
        scene.kyc.clock().advance(Duration::from_secs(61));
        for browser in [&of_ada, &of_ada_too, &of_eve] {
            assert_eq!(status(&app, browser, "/vault").await, 200);
        }
        let entries = scene.store.entries(|_| true).await;
        let owner_of_eve = {
            let owners: Vec<_> = entries.iter().map(|(owner, ..)| *owner).collect();
            let is_hers = |owner: &&Owner| owners.iter().filter(|it| it == owner).count() == 4;
            *owners.iter().find(is_hers).expect("Eve has four records")
        };
        // Each of the other records takes the place of each of Eve's in turn.
        for (owner, key, entry) in entries.iter().filter(|it| it.0 == owner_of_eve) {
            for (donor_owner, donor_key, donor) in &entries {
                if (donor_owner, donor_key) == (owner, key) {
                    continue;
                }
                scene.put(owner, *key, entry, &donor.body).await;
                let page = of_eve.fetch(app.url("/auth/me")).await.unwrap();
                assert!(!page.body().contains(scene.ada.id()));
                assert!(!page.body().contains("canary"));
                let is_session = key.family.name() == "session";
                assert_eq!(page.status(), if is_session { 401 } else { 200 });
                assert_ne!(status(&app, &of_eve, "/guarded").await, 200);
                scene.put(owner, *key, entry, &entry.body).await;
            }
        }
        assert_eq!(status(&app, &of_eve, "/vault").await, 200);
    })
    .await;
}

#[tokio::test]
async fn sessions_are_not_read_across_a_switch_of_sealing() {
    everywhere(async |scene| {
        let (open, sealed) = (scene.unsealed().await, scene.instance(FIRST).await);
        let browser = scene.signed_in(&open, &scene.ada).await;
        assert_eq!(status(&open, &browser, "/auth/me").await, 200);
        assert_eq!(
            seen_by(&sealed, &open, &browser, "/auth/me").await.status(),
            401
        );
        let browser = scene.signed_in(&sealed, &scene.ada).await;
        assert_eq!(
            seen_by(&open, &sealed, &browser, "/auth/me").await.status(),
            401
        );
    })
    .await;
}

#[tokio::test]
async fn sealing_is_switched_on_while_sessions_live() {
    everywhere(async |scene| {
        let open = scene.unsealed().await;
        let lenient = |keys: &str| SealingKeys::parse(keys).unwrap().also_read_unsealed();
        let rolling = scene
            .serve(|config| config.session_keys(lenient(FIRST)))
            .await;
        let strict = scene.instance(FIRST).await;

        let before = scene.signed_in(&open, &scene.ada).await;
        scene.kyc.forget_requests();
        for path in ["/auth/me", "/token", "/guarded"] {
            assert_eq!(seen_by(&rolling, &open, &before, path).await.status(), 200);
        }
        // The assurance was read too.
        scene.kyc.requests(Endpoint::Status).assert_count(0);
        let after = scene.signed_in(&rolling, &scene.ada).await;
        assert_eq!(status(&rolling, &after, "/auth/me").await, 200);
        let sealed = scene.store.bodies(SESSION).await;
        let sealed = sealed.iter().filter(|body| body.starts_with(BY_FIRST));
        assert_eq!(sealed.count(), 1, "new records are sealed");

        // At the end of the period unsealed sessions are no sessions.
        assert_eq!(
            seen_by(&strict, &open, &before, "/auth/me").await.status(),
            401
        );
        assert_eq!(
            seen_by(&strict, &rolling, &after, "/auth/me")
                .await
                .status(),
            200
        );
    })
    .await;
}

#[tokio::test]
async fn a_key_is_replaced_in_two_deployments() {
    everywhere(async |scene| {
        let both_old = scene.instance(&format!("{FIRST} {SECOND}")).await;
        let both_new = scene.instance(&format!("{SECOND} {FIRST}")).await;

        // While the first deployment goes on, old instances have one key.
        let only_old = scene.instance(FIRST).await;
        let browser = scene.signed_in(&both_old, &scene.ada).await;
        assert_eq!(
            seen_by(&only_old, &both_old, &browser, "/guarded")
                .await
                .status(),
            200
        );

        // While the second goes on, each opens what the other sealed.
        let before = scene.signed_in(&both_old, &scene.ada).await;
        let after = scene.signed_in(&both_new, &scene.ada).await;
        let bodies = scene.store.bodies(SESSION).await;
        assert!(bodies.iter().any(|body| body.starts_with(BY_FIRST)));
        assert!(bodies.iter().any(|body| body.starts_with(BY_SECOND)));
        for app in [&both_old, &both_new] {
            for path in ["/auth/me", "/guarded", "/token"] {
                assert_eq!(seen_by(app, &both_old, &before, path).await.status(), 200);
                assert_eq!(seen_by(app, &both_new, &after, path).await.status(), 200);
            }
        }
    })
    .await;
}

#[tokio::test]
async fn a_login_goes_on_while_a_key_is_replaced() {
    everywhere(async |scene| {
        let rings = [format!("{FIRST} {SECOND}"), format!("{SECOND} {FIRST}")];
        let started = AtomicUsize::new(0);
        let app = balanced(&scene.kyc, |config| {
            let keys = &rings[started.fetch_add(1, Ordering::SeqCst)];
            let keys = SealingKeys::parse(keys).unwrap();
            tenant_app(config.store(scene.store.clone()).session_keys(keys))
        })
        .await;
        for _ in 0..2 {
            // One instance starts the login, and the other completes it.
            let browser = scene.kyc.browser();
            let login = app.url("/auth/login");
            let callback = browser.start_sign_in(login, &scene.ada).await.unwrap();
            let page = browser.open(callback).await.unwrap();
            page.assert_status(303);
            assert!(browser.cookie(app.url("/"), SESSION_COOKIE).is_some());
            // The next login starts at the other one.
            browser.get(app.url("/")).await.unwrap().assert_ok();
        }
    })
    .await;
}

#[tokio::test]
async fn a_login_that_a_removed_key_sealed_is_started_again() {
    everywhere(async |scene| {
        let old = scene.instance(FIRST).await;
        let browser = scene.kyc.browser();
        let login = old.url("/auth/login");
        let callback = browser.start_sign_in(login, &scene.ada).await.unwrap();
        let new = scene.instance(SECOND).await;
        let path = callback.as_str().replace(&old.url(""), &new.url(""));
        let cookies = browser.cookies(old.url("/"));
        let cookies: Vec<_> = cookies.iter().map(|(n, v)| format!("{n}={v}")).collect();
        let request = browser.request(Method::GET, path);
        let request = request.header("cookie", &cookies.join("; ")).fetch();
        let page = request.send().await.unwrap();
        page.assert_status(400);
        assert_eq!(page.json()["code"], "unknown_login");
        scene.kyc.requests(Endpoint::Token).assert_count(0);
        scene.signed_in(&new, &scene.ada).await;
    })
    .await;
}

#[tokio::test]
async fn a_key_that_is_removed_early_takes_sessions_and_no_protection() {
    // case 94
    everywhere(async |scene| {
        let old = scene.instance(FIRST).await;
        let new = scene.instance(SECOND).await;
        let browser = scene.signed_in(&old, &scene.ada).await;
        assert_eq!(
            seen_by(&new, &old, &browser, "/auth/me").await.status(),
            401
        );
        assert_eq!(
            scene.store.bodies(SESSION).await.len(),
            1,
            "it is left alone"
        );

        // The assurance is unreadable: the ID token does not replace it, and a guard asks.
        let unreadable = scene.store.bodies(ASSURANCE).await;
        let browser = scene.signed_in(&new, &scene.ada).await;
        assert_eq!(scene.store.bodies(ASSURANCE).await, unreadable);
        scene.kyc.forget_requests();
        let down = scene.kyc.on(Endpoint::Status).fail(500).always();
        assert_eq!(status(&new, &browser, "/guarded").await, 503);
        drop(down);
        scene.ada.reject();
        assert_ne!(status(&new, &browser, "/guarded").await, 200);
        scene.ada.verify(KycTier::T2);
        assert_eq!(status(&new, &browser, "/sensitive").await, 200);
        let read = scene.store.bodies(ASSURANCE).await;
        assert!(read.iter().all(|body| body.starts_with(BY_SECOND)));
    })
    .await;
}

#[tokio::test]
async fn the_end_of_all_sessions_needs_no_key() {
    // case 94
    everywhere(async |scene| {
        let old = scene.instance(FIRST).await;
        let new = scene.instance(&format!("{SECOND} {FIRST}")).await;
        let only_new = scene.instance(SECOND).await;
        let (of_old, of_new) = (
            scene.signed_in(&old, &scene.ada).await,
            scene.signed_in(&new, &scene.ada).await,
        );
        // Revocation by an instance that can open neither.
        let third = SECOND.replace("second:Z", "third:Y");
        let config = scene.kyc.config("http://127.0.0.1:9/auth/callback");
        let config = config
            .store(scene.store.clone())
            .session_keys(SealingKeys::parse(&third).unwrap());
        let kycport = kycport::RelyingParty::new(config.build().unwrap()).unwrap();
        assert_eq!(seen_by(&new, &old, &of_old, "/auth/me").await.status(), 200);
        kycport.sessions().revoke_all(scene.ada.id()).await.unwrap();
        for app in [&old, &new, &only_new] {
            assert_eq!(seen_by(app, &old, &of_old, "/auth/me").await.status(), 401);
            assert_eq!(seen_by(app, &new, &of_new, "/auth/me").await.status(), 401);
        }
    })
    .await;
}

#[tokio::test]
async fn a_record_that_does_not_open_is_logged_once() {
    let (log, _guard) = Log::capture();
    let kyc = MockIssuer::start().await;
    let store = Engine::memory(&kyc).faulty_store();
    let ada = kyc.person("ada").create();
    let scene = Scene { kyc, store, ada };
    let old = scene.instance(FIRST).await;
    let new = scene.instance(SECOND).await;
    let browser = scene.signed_in(&old, &scene.ada).await;
    for _ in 0..5 {
        assert_eq!(
            seen_by(&new, &old, &browser, "/auth/me").await.status(),
            401
        );
    }
    let said = log.text();
    assert_eq!(said.matches("reason=\"unknown_key\"").count(), 1, "{said}");
    assert!(said.contains("kind=\"session\""), "{said}");
}
