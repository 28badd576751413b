//! Sessions whose store shows nothing.

use std::{
    collections::HashMap,
    fmt::{self, Debug},
    sync::{Arc, Mutex},
};

use async_trait::async_trait;
use kycport::{
    RelyingParty, RunningApp,
    mock::{Browser, MockIssuer, Person},
    web::{SealedStore, SealingKeys, SessionStore},
};
use tower_sessions::{
    session::{Id, Record},
    session_store::{Error, Result},
};

use crate::{
    engines::{FIRST_KEY as FIRST, SECOND_KEY as SECOND},
    leaks::Log,
    support::tenant_app,
};

/// A store that lies open. Clones share the records.
#[derive(Clone, Default)]
struct OpenStore(Arc<Mutex<HashMap<Id, Record>>>);

impl OpenStore {
    fn dump(&self) -> String {
        let records = self.0.lock().unwrap();
        serde_json::to_string(&records.values().collect::<Vec<_>>()).unwrap()
    }

    fn change(&self, change: impl Fn(&mut Record)) {
        self.0.lock().unwrap().values_mut().for_each(change);
    }
}

impl Debug for OpenStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.dump())
    }
}

#[async_trait]
impl SessionStore for OpenStore {
    async fn create(&self, record: &mut Record) -> Result<()> {
        let mut records = self.0.lock().unwrap();
        while records.contains_key(&record.id) {
            record.id.0 = record.id.0.wrapping_add(1);
        }
        records.insert(record.id, record.clone());
        Ok(())
    }

    async fn save(&self, record: &Record) -> Result<()> {
        self.0.lock().unwrap().insert(record.id, record.clone());
        Ok(())
    }

    async fn load(&self, id: &Id) -> Result<Option<Record>> {
        Ok(self.0.lock().unwrap().get(id).cloned())
    }

    async fn delete(&self, id: &Id) -> Result<()> {
        self.0.lock().unwrap().remove(id);
        Ok(())
    }
}

type Change<'a> = &'a dyn Fn(&mut Record);

fn keys(text: &str) -> SealingKeys {
    SealingKeys::parse(text).unwrap()
}

/// An instance of the app over `store`, sealed with these keys.
async fn instance(kyc: &MockIssuer, store: &OpenStore, with: &str) -> RunningApp {
    let sealed = SealedStore::new(store.clone(), keys(with));
    let scopes = ["openid", "email", "profile", "kyc"];
    kyc.serve(|config| tenant_app(config.scopes(scopes), sealed))
        .await
        .unwrap()
}

fn canary(kyc: &MockIssuer) -> Person {
    kyc.person("ada").email("canary@mail.example").create()
}

async fn signed_in(kyc: &MockIssuer, app: &RunningApp, person: &Person) -> Browser {
    let browser = kyc.browser();
    let page = browser.sign_in(app.url("/auth/login"), person).await;
    page.unwrap().assert_ok();
    browser
}

/// What another instance makes of the session that a browser has at `home`.
async fn seen_by(app: &RunningApp, home: &RunningApp, browser: &Browser) -> u16 {
    let name = "__Host-kycport";
    let key = browser.cookie(home.url("/"), name).unwrap();
    let page = browser
        .request(axum::http::Method::GET, app.url("/auth/me"))
        .header("cookie", &format!("{name}={key}"))
        .fetch()
        .send()
        .await;
    page.unwrap().status()
}

#[tokio::test]
async fn a_dump_of_the_store_holds_no_token_and_nobody() {
    // case 137
    let kyc = MockIssuer::start().await;
    let store = OpenStore::default();
    let app = instance(&kyc, &store, FIRST).await;
    let ada = canary(&kyc);
    let browser = signed_in(&kyc, &app, &ada).await;
    let page = browser.fetch(app.url("/auth/me")).await.unwrap();
    assert_eq!(page.json()["claims"]["email"], "canary@mail.example");
    let begun = browser.start_sign_in(app.url("/auth/login?return_to=/vault"), &ada);
    begun.await.unwrap();

    let dump = store.dump();
    assert!(dump.matches("1.first.").count() >= 4, "{dump}");
    for secret in [
        "canary",
        ada.id(),
        "access_token",
        "subject",
        "issuer",
        "return_to",
        "/vault",
        "kind",
        kyc.issuer(),
    ] {
        assert!(!dump.contains(secret), "{secret}");
    }
}

#[tokio::test]
async fn what_was_changed_is_no_session() {
    // cases 93, 94
    let kyc = MockIssuer::start().await;
    let flip = |record: &mut Record, from_the_end: usize| {
        let text = record.data["sealed"].as_str().unwrap().to_owned();
        let at = text.len() - from_the_end;
        let other = if text.as_bytes()[at] == b'A' {
            "B"
        } else {
            "A"
        };
        let mut text = text;
        text.replace_range(at..=at, other);
        record.data.insert("sealed".to_owned(), text.into());
    };
    let put = |record: &mut Record, text: &str| {
        record.data.insert("sealed".to_owned(), text.into());
    };
    let changes: [(&str, Change<'_>); 10] = [
        ("the tag", &|record| flip(record, 5)),
        ("the sealed bytes", &|record| flip(record, 60)),
        ("the nonce", &|record| {
            let text = record.data["sealed"].as_str().unwrap().to_owned();
            flip(record, text.len() - "1.first.".len());
        }),
        ("cut", &|record| {
            let text = record.data["sealed"].as_str().unwrap().to_owned();
            put(record, &text[..text.len() - 8]);
        }),
        ("empty", &|record| put(record, "1.first.")),
        ("short", &|record| put(record, "1.first.AAAA")),
        ("no base64", &|record| put(record, "1.first.%")),
        ("another key", &|record| {
            let text = record.data["sealed"]
                .as_str()
                .unwrap()
                .replace("first", "second");
            put(record, &text);
        }),
        ("another form", &|record| {
            let text = record.data["sealed"]
                .as_str()
                .unwrap()
                .replacen('1', "2", 1);
            put(record, &text);
        }),
        ("no text", &|record| {
            record.data.insert("sealed".to_owned(), 1.into());
        }),
    ];
    let ada = canary(&kyc);
    for (what, change) in changes {
        let store = OpenStore::default();
        let app = instance(&kyc, &store, &format!("{FIRST} {SECOND}")).await;
        let browser = signed_in(&kyc, &app, &ada).await;
        assert_eq!(seen_by(&app, &app, &browser).await, 200);
        store.change(change);
        assert_eq!(seen_by(&app, &app, &browser).await, 401, "{what}");
        let page = browser.open(app.url("/")).await.unwrap();
        assert_eq!((page.status(), page.body()), (200, "signed out"), "{what}");
        // And nobody is kept out for good.
        let again = browser.sign_in(app.url("/auth/login"), &ada).await;
        again.unwrap().assert_ok();
        assert_eq!(seen_by(&app, &app, &browser).await, 200, "{what}");
    }
}

#[tokio::test]
async fn a_record_that_was_moved_to_another_id_does_not_open() {
    // case 94
    let kyc = MockIssuer::start().await;
    let (ada, eve) = (canary(&kyc), kyc.person("eve").create());
    let store = OpenStore::default();
    let app = instance(&kyc, &store, FIRST).await;
    let of_eve = |all: &HashMap<Id, Record>, of_ada: &HashMap<Id, Record>| {
        let others = all.iter().filter(|(id, _)| !of_ada.contains_key(id));
        others.map(|(id, _)| *id).collect::<Vec<_>>()
    };
    signed_in(&kyc, &app, &ada).await;
    let of_ada = store.0.lock().unwrap().clone();
    let other = signed_in(&kyc, &app, &eve).await;
    let whole = store.0.lock().unwrap().clone();
    // Each record of Eve's becomes each of Ada's in turn.
    let mut signed_out = 0;
    for id in of_eve(&whole, &of_ada) {
        for donor in of_ada.values() {
            let moved = Record {
                id,
                ..donor.clone()
            };
            let mut records = whole.clone();
            records.insert(id, moved);
            *store.0.lock().unwrap() = records;
            let page = other.fetch(app.url("/auth/me")).await.unwrap();
            assert!(!page.body().contains(ada.id()));
            if page.status() == 401 {
                signed_out += 1;
            }
        }
    }
    assert_eq!(signed_out, of_ada.len());
}

#[tokio::test]
async fn a_record_that_was_never_sealed_is_no_session() {
    let kyc = MockIssuer::start().await;
    let ada = canary(&kyc);
    let store = OpenStore::default();
    let plain = kyc
        .serve(|config| tenant_app(config, store.clone()))
        .await
        .unwrap();
    let sealed = instance(&kyc, &store, FIRST).await;
    let browser = signed_in(&kyc, &plain, &ada).await;
    assert_eq!(seen_by(&plain, &plain, &browser).await, 200);
    assert_eq!(seen_by(&sealed, &plain, &browser).await, 401);
    let browser = signed_in(&kyc, &sealed, &ada).await;
    assert_eq!(seen_by(&plain, &sealed, &browser).await, 401);
}

#[tokio::test]
async fn a_key_is_replaced_while_two_instances_run() {
    let kyc = MockIssuer::start().await;
    let ada = canary(&kyc);
    let store = OpenStore::default();
    let both_old = format!("{FIRST} {SECOND}");
    let both_new = format!("{SECOND} {FIRST}");
    let old = instance(&kyc, &store, &both_old).await;
    let new = instance(&kyc, &store, &both_new).await;
    let only_new = instance(&kyc, &store, SECOND).await;

    let before = signed_in(&kyc, &old, &ada).await;
    let after = signed_in(&kyc, &new, &ada).await;
    assert!(store.dump().contains("1.first.") && store.dump().contains("1.second."));
    for app in [&old, &new] {
        assert_eq!(seen_by(app, &old, &before).await, 200);
        assert_eq!(seen_by(app, &new, &after).await, 200);
    }
    // The old key is gone, and with it what it sealed.
    assert_eq!(seen_by(&only_new, &old, &before).await, 401);
    assert_eq!(seen_by(&only_new, &new, &after).await, 200);
}

#[tokio::test]
async fn the_end_of_all_sessions_outlives_its_key() {
    // case 94
    let kyc = MockIssuer::start().await;
    let ada = canary(&kyc);
    let store = OpenStore::default();
    let new = instance(&kyc, &store, &format!("{SECOND} {FIRST}")).await;
    let only_new = instance(&kyc, &store, SECOND).await;
    let browser = signed_in(&kyc, &new, &ada).await;
    // An instance that still seals with the old key ends them, and then that key is removed.
    let config = kyc.config("http://127.0.0.1:9/auth/callback");
    let kycport = RelyingParty::new(config.build().unwrap()).unwrap();
    let sealed = SealedStore::new(store.clone(), keys(&format!("{FIRST} {SECOND}")));
    let sessions = kycport.session_layer(sealed).sessions();
    assert_eq!(seen_by(&only_new, &new, &browser).await, 200);
    sessions.end_all(ada.id()).await.unwrap();
    assert_eq!(seen_by(&new, &new, &browser).await, 401);
    assert_eq!(seen_by(&only_new, &new, &browser).await, 401);
}

#[tokio::test]
async fn what_does_not_open_is_said_once() {
    let (log, _guard) = Log::capture();
    let kyc = MockIssuer::start().await;
    let ada = canary(&kyc);
    let store = OpenStore::default();
    let old = instance(&kyc, &store, FIRST).await;
    let new = instance(&kyc, &store, SECOND).await;
    let browser = signed_in(&kyc, &old, &ada).await;
    for _ in 0..5 {
        assert_eq!(seen_by(&new, &old, &browser).await, 401);
    }
    let said = log.text();
    let why = "sealed with a key that is not here";
    assert_eq!(said.matches(why).count(), 1, "{said}");
}

#[tokio::test]
async fn it_is_a_store_like_any_other() {
    let open = OpenStore::default();
    let store = SealedStore::new(open.clone(), keys(FIRST));
    let record = |id, word: &str| Record {
        id: Id(id),
        data: HashMap::from([("word".to_owned(), word.into())]),
        expiry_date: cookie::time::OffsetDateTime::UNIX_EPOCH,
    };
    let mut first = record(7, "one");
    let mut second = record(7, "two");
    store.create(&mut first).await.unwrap();
    store.create(&mut second).await.unwrap();
    // The id was taken: the second has another, and opens under it.
    assert_eq!(first.id, Id(7));
    assert_eq!(second.id, Id(8));
    assert_eq!(store.load(&Id(7)).await.unwrap(), Some(first));
    assert_eq!(store.load(&Id(8)).await.unwrap(), Some(second));
    store.save(&record(7, "three")).await.unwrap();
    let loaded = store.load(&Id(7)).await.unwrap();
    assert_eq!(loaded, Some(record(7, "three")));
    store.delete(&Id(7)).await.unwrap();
    assert_eq!(store.load(&Id(7)).await.unwrap(), None);
    // No two records look alike, whatever is in them.
    store.save(&record(1, "same")).await.unwrap();
    let once = open.dump();
    store.save(&record(1, "same")).await.unwrap();
    assert_ne!(once, open.dump());
    open.change(|record| record.data.clear());
    let broken = store.load(&Id(1)).await;
    assert!(matches!(broken, Err(Error::Decode(_))), "{broken:?}");
    assert_eq!(
        format!("{store:?}"),
        r#"SealedStore { keys: ["first"], .. }"#
    );
}
