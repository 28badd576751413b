//! Tests that settings adapt the SDK to observed behaviour of KYCPort, and that errors name the
//! wrong setting.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use kycport::{
    Clock as _, Config, ConfigBuilder, KycStatus, KycTier, RelyingParty, RunningApp, Secret,
    Timestamp,
    mock::{Browser, Endpoint, MockIssuer, Person, Switches},
    oidc::{Userinfo, UserinfoError},
    web::UnknownEventPolicy,
    webhook::{DeliveryPolicy, EventFieldPaths, EventReader},
};
use serde_json::{Value, json};

use crate::{
    observed::Observed,
    support::{setup, setup_with, tenant_app_of},
    test_handler::{SECRET, TestHandler, answer, deliver, event},
    visitor::SESSION_COOKIE,
};

const REDIRECT_URI: &str = "https://app.example.com/auth/callback";
const LOOPBACK_URI: &str = "http://127.0.0.1:1/auth/callback";

#[test]
fn dead_hosts_are_rejected() {
    // K3
    for (host, is_dead) in [
        ("kycport.com", true),
        ("KYCPORT.com", true),
        ("kycport.com.", true),
        ("kycport.com:443", true),
        ("id.kycport.com", true),
        ("ID.kycport.com.", true),
        ("api.kycport.com", true),
        ("%61pi.kycport.com", true),
        ("www.kycport.com", false),
        ("eu.kycport.com", false),
        ("kycport.com.example.com", false),
        ("notkycport.com", false),
    ] {
        let url = format!("https://{host}");
        for config in [
            Config::builder("client", REDIRECT_URI)
                .issuer(&url)
                .discovery_url("https://www.kycport.com/d"),
            Config::builder("client", REDIRECT_URI).discovery_url(format!("{url}/d")),
            Config::builder("client", REDIRECT_URI).api_base_url(&url),
            Config::builder("client", REDIRECT_URI).allow_endpoint_origin(&url),
        ] {
            let error = config.build().err().map(|error| error.to_string());
            assert_eq!(error.is_some(), is_dead, "{host}: {error:?}");
            let names_the_remedy = error.is_none_or(|it| it.contains("www.kycport.com"));
            assert!(names_the_remedy, "{host}");
        }
    }
}

#[tokio::test]
async fn a_redirect_uri_mismatch_names_the_cause() {
    // K14
    let (observed, _listening) = Observed::listen();
    let (kyc, app, _) = setup().await;
    kyc.switch(|switches| switches.reject_redirect_uri = true);
    let browser = kyc.browser();

    let page = browser.get(app.url("/auth/login")).await.unwrap();

    page.assert_status(502);
    assert!(page.body().contains("not registered correctly"));
    assert_eq!(browser.cookie(app.url("/"), SESSION_COOKIE), None);
    kyc.requests(Endpoint::Token).assert_count(0);
    let [failed] = &observed.of("kycport.request.failed")[..] else {
        panic!("expected one failed request");
    };
    assert_eq!(failed.value("code"), "redirect_uri_mismatch");
    assert!(page.body().contains(failed.value("reference")));
    let [failed] = &observed.of("kycport.login.failed")[..] else {
        panic!("expected one failed login");
    };
    assert_eq!(failed.value("kycport_code"), "redirect_uri_mismatch");
}

#[tokio::test]
async fn a_403_of_the_token_endpoint_names_the_tenant() {
    // K23
    let (observed, _listening) = Observed::listen();
    let (kyc, app, ada) = setup().await;
    let body = r#"{"detail":"canary: this tenant is not active"}"#;
    let on = kyc.on(Endpoint::Token);
    let _fault = on.answer(403, "application/json", body).once();
    let browser = kyc.browser();

    let page = browser.sign_in(app.url("/auth/login"), &ada).await.unwrap();

    page.assert_status(502);
    assert!(page.body().contains("not registered correctly"));
    assert!(!page.body().contains("canary"));
    let [failed] = &observed.of("kycport.request.failed")[..] else {
        panic!("expected one failed request");
    };
    assert_eq!(failed.value("code"), "tenant_rejected");
    // A later login works as soon as the tenant is active.
    let page = browser.sign_in(app.url("/auth/login"), &ada).await.unwrap();
    page.assert_ok();
}

#[tokio::test]
async fn unknown_callback_parameters_are_ignored() {
    // K16, K21
    let (kyc, app, ada) = setup().await;
    let _fault = kyc
        .edit_authorization_response(|params| {
            for name in ["session_state", "token", "access_token", "user", "sub"] {
                params.push((name.to_owned(), "eve".to_owned()));
            }
        })
        .always();
    let _fault_of_tokens = kyc
        .edit_token_response(|answer| {
            answer["token"] = "eve".into();
            answer["user"] = json!({ "sub": "eve", "id": "eve" });
            answer["session_state"] = "eve".into();
        })
        .always();

    let login = app.url("/auth/login?return_to=/vault");
    let page = kyc.browser().sign_in(login, &ada).await.unwrap();

    page.assert_ok();
    assert_eq!(page.body(), format!("the vault of {}", ada.id()));
}

async fn userinfo(
    kyc: &MockIssuer,
    ada: &Person,
    more: impl FnOnce(ConfigBuilder) -> ConfigBuilder,
) -> Result<Userinfo, UserinfoError> {
    let config = more(kyc.config(LOOPBACK_URI));
    let party = RelyingParty::new(config.build().unwrap()).unwrap();
    let token = kyc.mint().access_token(ada, kyc.client()).sign();
    party.oidc().userinfo(&Secret::new(token), ada.id()).await
}

#[tokio::test]
async fn wrapped_userinfo_is_read_only_with_the_setting() {
    // K31, K35
    let kyc = MockIssuer::start().await;
    let ada = kyc.person("ada").tier(KycTier::T2).create();
    for member in ["user", "profile", "data"] {
        kyc.switch(|switches| switches.userinfo_wrapper = Some(member.to_owned()));
        let info = userinfo(&kyc, &ada, |config| config.userinfo_member(member)).await;
        let info = info.unwrap();
        assert_eq!(info.subject, ada.id());
        assert_eq!(info.kyc_status, Some(KycStatus::Verified));
        assert_eq!(info.kyc_tier, Some(KycTier::T2));

        for wrong in [None, Some("other"), Some("sub")] {
            let info = userinfo(&kyc, &ada, |config| match wrong {
                Some(wrong) => config.userinfo_member(wrong),
                None => config,
            });
            let error = info.await.unwrap_err();
            assert_eq!(error, UserinfoError::InvalidResponse, "{wrong:?}");
        }
    }
    kyc.switch(|switches| switches.userinfo_wrapper = None);
    let error = userinfo(&kyc, &ada, |config| config.userinfo_member("user")).await;
    assert_eq!(error.unwrap_err(), UserinfoError::InvalidResponse);
}

#[tokio::test]
async fn wrapped_userinfo_names_one_person() {
    // K31, K33
    let kyc = MockIssuer::start().await;
    let ada = kyc.person("ada").create();
    kyc.switch(|switches| switches.userinfo_wrapper = Some("user".to_owned()));
    let (own, mismatch) = (ada.id().to_owned(), UserinfoError::SubjectMismatch);
    for (outer, inner, expected) in [
        (json!(own), json!(own), None),
        (json!("eve"), json!(own), Some(mismatch.clone())),
        (json!(null), json!(own), Some(mismatch.clone())),
        (json!(own), json!("eve"), Some(mismatch)),
        (
            json!(own),
            json!(null),
            Some(UserinfoError::InvalidResponse),
        ),
    ] {
        let label = format!("{outer} {inner}");
        let edit = kyc.edit_userinfo(move |info| {
            info["sub"] = outer.clone();
            info["user"]["sub"] = inner.clone();
        });
        let _fault = edit.always();
        let info = userinfo(&kyc, &ada, |config| config.userinfo_member("user")).await;
        assert_eq!(info.err(), expected, "{label}");
    }
    for invalid in [json!([]), json!("text"), Value::Null, json!({})] {
        let edit = kyc.edit_userinfo(move |info| info["user"] = invalid.clone());
        let _fault = edit.always();
        let info = userinfo(&kyc, &ada, |config| config.userinfo_member("user")).await;
        assert_eq!(info.err(), Some(UserinfoError::InvalidResponse));
    }
}

#[test]
fn an_invalid_userinfo_member_is_rejected() {
    let longest = "m".repeat(64);
    for (member, is_valid) in [
        ("user", true),
        (longest.as_str(), true),
        (&format!("{longest}m"), false),
        ("", false),
        (" user", false),
    ] {
        let config = Config::builder("client", REDIRECT_URI).userinfo_member(member);
        let error = config.build().err().map(|error| error.to_string());
        assert_eq!(error.is_none(), is_valid, "{member:?}: {error:?}");
        assert!(error.is_none_or(|error| error.contains("userinfo_member")));
    }
}

/// Wallet address of Ada, which no response of KYCPort contains.
const ADDRESS: &str = "0xada0000000000000000000000000000000000001";

/// Behaviour of the app's resolver.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Lookup {
    Works,
    Fails,
    Panics,
    Hangs,
}

/// App whose webhooks name people by their wallet address, as one tenant has observed.
struct AddressTest {
    kyc: MockIssuer,
    app: RunningApp,
    ada: Person,
    browser: Browser,
    /// Subjects by address.
    people: Arc<Mutex<BTreeMap<String, String>>>,
    lookup: Arc<Mutex<Lookup>>,
    /// Addresses that the receiver has looked up.
    asked: Arc<Mutex<Vec<String>>>,
    /// Subjects of the events that reached the handler.
    handled: Arc<Mutex<Vec<String>>>,
}

impl AddressTest {
    async fn new(policy: DeliveryPolicy) -> Self {
        let kyc = MockIssuer::builder().switch(Switches::as_observed);
        let kyc = kyc.start().await.unwrap();
        let people = Arc::new(Mutex::new(BTreeMap::new()));
        let lookup = Arc::new(Mutex::new(Lookup::Works));
        let asked = Arc::new(Mutex::new(Vec::new()));
        let handled = Arc::new(Mutex::new(Vec::new()));
        let (own_people, own_lookup) = (Arc::clone(&people), Arc::clone(&lookup));
        let (own_asked, own_handled) = (Arc::clone(&asked), Arc::clone(&handled));
        let app = kyc.serve(|config| {
            let party = RelyingParty::new(config.build().unwrap()).unwrap();
            let mut paths = EventFieldPaths::default();
            paths.person_id = vec!["/address".to_owned()];
            let webhooks = party.webhooks(move |delivery| {
                let person = delivery.event().person_id().unwrap().to_owned();
                own_handled.lock().unwrap().push(person);
                async { Ok::<(), std::io::Error>(()) }
            });
            let webhooks = webhooks
                .policy(policy)
                .unknown_events(UnknownEventPolicy::Handle)
                .reader(EventReader::new(paths).unwrap())
                .person(move |address: String| {
                    own_asked.lock().unwrap().push(address.clone());
                    let subject = own_people.lock().unwrap().get(&address).cloned();
                    let lookup = *own_lookup.lock().unwrap();
                    async move {
                        match lookup {
                            Lookup::Works => Ok(subject),
                            Lookup::Fails => Err("the address book\nis not available"),
                            Lookup::Panics => panic!("a resolver of the tests panics"),
                            Lookup::Hangs => std::future::pending().await,
                        }
                    }
                });
            tenant_app_of(&party).route_service("/webhooks/kycport", webhooks.build().unwrap())
        });
        let app = app.await.unwrap();
        let ada = kyc.person("ada").tier(KycTier::T2).create();
        let browser = kyc.browser();
        browser.sign_in(app.url("/auth/login"), &ada).await.unwrap();
        kyc.webhooks().subscribe(app.url("/webhooks/kycport"));
        Self {
            kyc,
            app,
            ada,
            browser,
            people,
            lookup,
            asked,
            handled,
        }
    }

    fn link(&self, subject: &str) {
        let mut people = self.people.lock().unwrap();
        people.insert(ADDRESS.to_owned(), subject.to_owned());
    }

    fn handled(&self) -> Vec<String> {
        self.handled.lock().unwrap().clone()
    }

    /// Returns the status of the last delivery attempt.
    fn answered(&self) -> Option<u16> {
        self.kyc.webhooks().deliveries().last().unwrap().status()
    }

    async fn guarded(&self) -> u16 {
        let page = self.browser.fetch(self.app.url("/guarded")).await.unwrap();
        page.status()
    }

    /// Lets the mock deliver the event again.
    async fn redeliver(&self, seconds: u64) {
        self.kyc.clock().advance(Duration::from_secs(seconds));
        self.kyc.webhooks().settled().await;
    }
}

#[tokio::test]
async fn an_address_is_mapped_to_a_subject() {
    // K63, K82
    let setup = AddressTest::new(DeliveryPolicy::default()).await;
    let webhooks = setup.kyc.webhooks();
    let edit = webhooks.edit_json(|event| event["address"] = ADDRESS.into());
    let _fault = edit.always();
    setup.link(setup.ada.id());
    assert_eq!(setup.guarded().await, 200);

    setup.ada.reject();
    webhooks.settled().await;

    assert_eq!(setup.answered(), Some(200));
    assert_eq!(setup.handled(), [setup.ada.id()]);
    assert_eq!(*setup.asked.lock().unwrap(), [ADDRESS]);
    assert_ne!(setup.guarded().await, 200);
    // The receiver maps the person of an event of an unknown type, too.
    webhooks.emit("kyc.something_new", json!({}));
    webhooks.settled().await;
    assert_eq!(setup.handled(), [setup.ada.id(), setup.ada.id()]);
}

#[tokio::test]
async fn an_unknown_address_is_redelivered_and_then_handled() {
    // K62, K63
    let (observed, _listening) = Observed::listen();
    let setup = AddressTest::new(DeliveryPolicy::default()).await;
    let webhooks = setup.kyc.webhooks();
    let edit = webhooks.edit_json(|event| event["address"] = ADDRESS.into());
    let _fault = edit.always();
    assert_eq!(setup.guarded().await, 200);
    setup.ada.reject();
    webhooks.settled().await;
    assert_eq!(setup.answered(), Some(503));
    assert!(setup.handled().is_empty());
    let [unknown] = &observed.of("kycport.delivery.person_unknown")[..] else {
        panic!("expected one unknown person");
    };
    assert_eq!(unknown.value("code"), "unknown_person");
    assert_eq!(unknown.value("event_type"), "kyc.status_changed");
    assert!(!format!("{unknown:?}").contains(ADDRESS));
    // The app maps the address to a text that cannot be a subject.
    for invalid in ["", "..", "a\u{0}b", "\u{fffd}"] {
        setup.link(invalid);
        webhooks.repeat(&webhooks.deliveries().last().unwrap().clone());
        webhooks.settled().await;
        assert_eq!(setup.answered(), Some(503), "{invalid:?}");
    }
    assert_eq!(setup.guarded().await, 200);

    setup.link(setup.ada.id());
    setup.redeliver(10).await;

    assert_eq!(setup.answered(), Some(200));
    assert_eq!(setup.handled(), [setup.ada.id()]);
    assert_ne!(setup.guarded().await, 200);
    let asked = setup.asked.lock().unwrap().len();
    webhooks.repeat(&webhooks.deliveries().last().unwrap().clone());
    webhooks.settled().await;
    assert_eq!(setup.answered(), Some(200));
    assert_eq!(setup.handled().len(), 1, "the event was handled twice");
    assert_eq!(setup.asked.lock().unwrap().len(), asked + 1);
}

#[tokio::test]
async fn a_failed_lookup_of_a_person_is_retried() {
    // K62
    let (observed, _listening) = Observed::listen();
    let setup = AddressTest::new(DeliveryPolicy {
        handler_timeout: Duration::from_millis(300),
        ..DeliveryPolicy::default()
    })
    .await;
    let webhooks = setup.kyc.webhooks();
    let edit = webhooks.edit_json(|event| event["address"] = ADDRESS.into());
    let _fault = edit.always();
    setup.link(setup.ada.id());
    setup.ada.reject();
    for (lookup, seconds) in [
        (Lookup::Fails, 0),
        (Lookup::Panics, 10),
        (Lookup::Hangs, 60),
    ] {
        *setup.lookup.lock().unwrap() = lookup;
        setup.redeliver(seconds).await;
        assert_eq!(setup.answered(), Some(503), "{lookup:?}");
        let failed = observed.of("kycport.delivery.failed");
        let last = failed.last().unwrap();
        assert_eq!(last.value("code"), "person_unavailable", "{lookup:?}");
        let is_named = last.value("error") == "the address book is not available";
        assert_eq!(is_named, lookup == Lookup::Fails, "{last:?}");
    }
    assert!(setup.handled().is_empty());
    *setup.lookup.lock().unwrap() = Lookup::Works;
    setup.redeliver(600).await;
    assert_eq!(setup.answered(), Some(200));
    assert_eq!(setup.handled(), [setup.ada.id()]);
}

/// Words of KYCPort, and the status that the app has set for each word.
const ALIASES: [(&str, KycStatus); 4] = [
    ("approved", KycStatus::Verified),
    ("submitted", KycStatus::Pending),
    ("declined", KycStatus::Rejected),
    ("\u{fc}berpr\u{fc}ft", KycStatus::Verified),
];

fn with_aliases(config: ConfigBuilder) -> ConfigBuilder {
    ALIASES.into_iter().fold(config, |config, (word, status)| {
        config.status_alias(word, status)
    })
}

fn unknown(word: &str) -> KycStatus {
    KycStatus::Unknown(word.to_owned())
}

#[tokio::test]
async fn an_alias_changes_unknown_words_only() {
    // K41
    let (kyc, app, _) = setup_with(with_aliases).await;
    let party = kyc.config(LOOPBACK_URI);
    let party = RelyingParty::new(with_aliases(party).build().unwrap()).unwrap();
    let documented = ["verified", "pending", "rejected", "unverified", "expired"];
    let documented = documented.map(|word| (word, word.parse().unwrap()));
    let other = [
        ("Approved", KycStatus::Verified),
        ("APPROVED", KycStatus::Verified),
        ("approve", unknown("approve")),
        ("processing", unknown("processing")),
    ];
    for (word, expected) in ALIASES.into_iter().chain(documented).chain(other) {
        let person = kyc.person(word).tier(KycTier::T2).status(unknown(word));
        let person = person.create();
        // The status endpoint.
        let assurance = party.status().status(person.id()).await.unwrap();
        assert_eq!(assurance.kyc_status, Some(expected.clone()), "{word}");
        // Userinfo.
        let info = userinfo(&kyc, &person, with_aliases).await.unwrap();
        assert_eq!(info.kyc_status, Some(expected.clone()), "{word}");
        // The ID token.
        let browser = kyc.browser();
        let login = app.url("/auth/login");
        browser.sign_in(login, &person).await.unwrap();
        let me = browser.fetch(app.url("/auth/me")).await.unwrap().json();
        assert_eq!(me["assurance"]["source"], "id_token", "{word}");
        assert_eq!(me["assurance"]["kyc_status"], expected.as_str(), "{word}");
        // The guard.
        let page = browser.fetch(app.url("/sensitive")).await.unwrap();
        let is_admitted = page.status() == 200;
        assert_eq!(is_admitted, expected == KycStatus::Verified, "{word}");
    }
}

#[tokio::test]
async fn an_alias_applies_to_webhooks() {
    // K41, K63
    let kyc = MockIssuer::start().await;
    let rejections = Arc::new(Mutex::new(Vec::new()));
    let own = Arc::clone(&rejections);
    let app = kyc.serve(|config| {
        let config = with_aliases(without_key(&kyc, &config)).webhook_secret(SECRET);
        let party = RelyingParty::new(config.build().unwrap()).unwrap();
        let handler = TestHandler::default();
        let webhooks = party.webhooks(move |delivery| {
            own.lock().unwrap().push(delivery.is_rejection());
            handler.clone().handle(delivery)
        });
        tenant_app_of(&party).route_service("/webhooks/kycport", webhooks.build().unwrap())
    });
    let app = app.await.unwrap();
    let ada = kyc.person("ada").tier(KycTier::T2).create();
    let browser = kyc.browser();
    browser.sign_in(app.url("/auth/login"), &ada).await.unwrap();
    let (url, me) = (app.url("/webhooks/kycport"), app.url("/auth/me"));
    let status = async || {
        let me = browser.fetch(&me).await.unwrap().json();
        me["assurance"]["kyc_status"].clone()
    };

    let approved = event(&kyc, "evt_1", &ada, "approved");
    assert_eq!(answer(deliver(&url, &approved).await).await.0, 200);
    assert_eq!(status().await, "verified");

    let declined = event(&kyc, "evt_2", &ada, "declined");
    assert_eq!(answer(deliver(&url, &declined).await).await.0, 200);
    assert_eq!(status().await, "rejected");
    assert_eq!(*rejections.lock().unwrap(), [false, true]);
}

/// Returns the configuration of an app without a tenant key.
fn without_key(kyc: &MockIssuer, config: &ConfigBuilder) -> ConfigBuilder {
    let redirect_uri = config.clone().build().unwrap().redirect_uri().to_string();
    let client = kyc.client();
    Config::builder(client.id(), redirect_uri)
        .client_secret(client.secret().unwrap())
        .issuer(kyc.issuer())
        .discovery_url(kyc.discovery_url())
        .clock(kyc.clock().clone())
}

#[test]
fn an_invalid_alias_is_rejected() {
    let build = |aliases: &[(&str, KycStatus)]| {
        let config = Config::builder("client", REDIRECT_URI);
        let config = aliases.iter().fold(config, |config, (word, status)| {
            config.status_alias(*word, status.clone())
        });
        config.build().err().map(|error| error.to_string())
    };
    let words: Vec<_> = (0..17).map(|n| format!("word{n}")).collect();
    let many: Vec<_> = words
        .iter()
        .map(|word| (word.as_str(), KycStatus::Pending))
        .collect();
    let verified = || KycStatus::Verified;
    for aliases in [
        &[][..],
        &[("approved", verified()), ("processing", KycStatus::Pending)],
        &many[..16],
    ] {
        assert_eq!(build(aliases), None, "{aliases:?}");
    }
    for (aliases, expected) in [
        (&[("rejected", verified())][..], "documents"),
        (&[("verified", KycStatus::Pending)], "documents"),
        (&[("Approved", verified())], "upper case"),
        (&[("approved", unknown("ok"))], "unknown status"),
        (&[("", verified())], "status_alias"),
        (&[(" approved", verified())], "white space"),
        (
            &[("approved", verified()), ("approved", KycStatus::Pending)],
            "twice",
        ),
        (&many, "16"),
    ] {
        let error = build(aliases).unwrap();
        assert!(error.contains("status_alias"), "{error}");
        assert!(error.contains(expected), "{error}");
    }
}

/// Returns the time of the verification that the app has recorded, from the response of a guarded
/// route.
async fn verified_at(browser: &Browser, app: &RunningApp, path: &str) -> Option<Timestamp> {
    let page = browser.fetch(app.url(path)).await.unwrap();
    page.assert_ok();
    let millis = page.json()["verified_at"].as_i64()?;
    Some(Timestamp::from_unix_millis(millis))
}

#[tokio::test]
async fn an_invalid_verified_at_counts_as_absent() {
    // K31
    let (kyc, app, _) = setup().await;
    kyc.clock().freeze();
    let now = kyc.clock().now();
    let later = now.saturating_add(Duration::from_secs(1));
    let party = RelyingParty::new(kyc.config(LOOPBACK_URI).build().unwrap()).unwrap();
    let past = Some(Timestamp::from_unix(1_700_000_000));
    for (value, expected) in [
        (json!("2023-11-14T22:13:20Z"), past),
        (json!("2023-11-14T23:13:20+01:00"), past),
        (json!(1_700_000_000), past),
        (json!(now.to_string()), Some(now)),
        (json!(later.to_string()), None),
        (json!(later.as_unix()), None),
        (json!(1_700_000_000_000_u64), None),
        (json!("1700000000"), None),
        (json!("2023-11-14"), None),
        (json!("2023-11-14T22:13:20"), None),
        (json!("yesterday"), None),
        (json!(""), None),
        (json!(0), None),
        (json!(-1), None),
        (json!(1_700_000_000.5), None),
        (json!(true), None),
        (json!(null), None),
        (json!([1_700_000_000]), None),
        (json!({}), None),
    ] {
        let person = kyc.person(&format!("{value}")).tier(KycTier::T2).create();
        let (status, userinfo_value, id_token) = (value.clone(), value.clone(), value.clone());
        let _faults = [
            kyc.edit_status(move |answer| answer["verified_at"] = status.clone()),
            kyc.edit_userinfo(move |info| info["verified_at"] = userinfo_value.clone()),
            kyc.tokens().edit_id_token(move |draft| {
                let name = "verified_at".to_owned();
                draft.claims.insert(name, id_token.clone());
            }),
        ]
        .map(kycport::mock::Rule::always);
        let assurance = party.status().status(person.id()).await.unwrap();
        assert_eq!(assurance.verified_at, expected, "{value}");
        let info = userinfo(&kyc, &person, |config| config).await.unwrap();
        assert_eq!(info.verified_at, expected, "{value}");
        let browser = kyc.browser();
        let login = app.url("/auth/login");
        browser.sign_in(login, &person).await.unwrap();
        let found = verified_at(&browser, &app, "/guarded").await;
        assert_eq!(found, expected, "{value}");
    }
}

#[tokio::test]
async fn verified_at_needs_a_person_who_is_or_was_verified() {
    // K31
    let (kyc, _app, ada) = setup().await;
    let party = RelyingParty::new(kyc.config(LOOPBACK_URI).build().unwrap()).unwrap();
    let edit = kyc.edit_status(|answer| answer["verified_at"] = json!(1_700_000_000));
    let _fault = edit.always();
    for (status, is_known) in [
        (KycStatus::Verified, true),
        (KycStatus::Expired, true),
        (KycStatus::Pending, false),
        (KycStatus::Rejected, false),
        (KycStatus::Unverified, false),
        (unknown("approved"), false),
    ] {
        ada.set_status(status.clone());
        let assurance = party.status().status(ada.id()).await.unwrap();
        assert_eq!(assurance.verified_at.is_some(), is_known, "{status}");
    }
}

#[tokio::test]
async fn verified_at_is_kept_and_never_guessed() {
    // K31
    let (kyc, app, ada) = setup().await;
    kyc.clock().freeze();
    let browser = kyc.browser();
    let login = app.url("/auth/login");
    browser.sign_in(&login, &ada).await.unwrap();
    assert_eq!(verified_at(&browser, &app, "/guarded").await, None);

    kyc.switch(|switches| switches.verified_at = true);
    kyc.clock().advance(Duration::from_secs(60));
    ada.reject();
    ada.verify(KycTier::T2);
    let at = Some(kyc.clock().now());
    kyc.clock().advance(Duration::from_secs(60));
    assert_eq!(verified_at(&browser, &app, "/sensitive").await, at);
    assert_eq!(verified_at(&browser, &app, "/guarded").await, at);

    // An answer or an ID token without the time keeps the time of an equal result.
    kyc.switch(|switches| switches.verified_at = false);
    assert_eq!(verified_at(&browser, &app, "/sensitive").await, at);
    assert_eq!(verified_at(&browser, &app, "/guarded").await, at);
    browser.sign_in(&login, &ada).await.unwrap();
    assert_eq!(verified_at(&browser, &app, "/guarded").await, at);

    // After a new verification, the old time is unknown until KYCPort sends the new time.
    ada.verify(KycTier::T3);
    assert_eq!(verified_at(&browser, &app, "/sensitive").await, None);
    assert_eq!(verified_at(&browser, &app, "/guarded").await, None);
    kyc.switch(|switches| switches.verified_at = true);
    let at = Some(kyc.clock().now());
    assert_eq!(verified_at(&browser, &app, "/sensitive").await, at);
    assert_eq!(verified_at(&browser, &app, "/guarded").await, at);
}
