//! Tests that the verification page verifies a person at the requested tier.

use kycport::{
    KycStatus, KycTier,
    mock::{Endpoint, MockIssuer, Page, Verification},
};
use serde_json::Value;
use url::Url;

use crate::support::{TestIssuer, and, payload, query};

impl TestIssuer {
    /// Returns the URL of a login that requests these tiers.
    fn login_with_tiers(&self, tiers: &str) -> Url {
        self.authorize_url(&and(self.request(), "acr_values", tiers))
    }

    async fn post(&self, url: &Url, form: &[(&str, &str)]) -> Page {
        let visit = self.browser.request(http::Method::POST, url).form(form);
        visit.stay().send().await.unwrap()
    }

    /// Redeems the code of the callback and returns the claims of the ID token.
    async fn claims(&self, callback: &Url) -> Value {
        let code = query(callback, "code").unwrap();
        let tokens = self.token(&self.exchange(&code)).await.json();
        payload(tokens.get("id_token").unwrap().as_str().unwrap())
    }
}

// K15, K19, K36
#[tokio::test]
async fn a_person_below_the_requested_tier_can_verify() {
    use KycStatus::{Expired, Pending, Rejected, Unverified, Verified};
    use KycTier::{T0, T1, T2, T3};
    use Verification::{Fail, Pass, Skip};
    let issuer = TestIssuer::new().await;
    let waits = Verification::Pending;
    for (status, tier, requested_tiers, verification, then, reaches, acr) in [
        // The client requested no tier, or the person's tier is high enough. The form then has no
        // effect.
        (Verified, T1, "", Fail, Verified, T1, Some("t1")),
        (Verified, T2, "t2", Fail, Verified, T2, Some("t2")),
        (Verified, T3, "t2", Pass, Verified, T3, Some("t3")),
        (Verified, T2, "t3 t2", Fail, Verified, T2, Some("t2")),
        (Verified, T1, "t9 T2 gold", Fail, Verified, T1, Some("t1")),
        // The person's tier is lower than the requested tier.
        (Verified, T1, "t2", Pass, Verified, T2, Some("t2")),
        (Verified, T1, "t9 t3", Pass, Verified, T3, Some("t3")),
        (Verified, T1, "t2", Fail, Rejected, T1, None),
        (Verified, T1, "t2", waits, Pending, T1, None),
        (Verified, T1, "t2", Skip, Verified, T1, Some("t1")),
        // The person's tier is high enough, but the person is not verified.
        (Expired, T2, "t2", Pass, Verified, T2, Some("t2")),
        (Rejected, T3, "t1", Pass, Verified, T1, Some("t1")),
        (Unverified, T0, "t0", Pass, Verified, T0, Some("t0")),
        (Pending, T2, "t2", Skip, Pending, T2, None),
    ] {
        let what = format!("{status} {tier}, requested {requested_tiers:?}, {verification:?}");
        let person = issuer.kyc.person("eve").tier(tier).status(status).create();
        let login = issuer.login_with_tiers(requested_tiers);
        let callback = issuer
            .browser
            .start_sign_in_verifying(&login, &person, verification)
            .await
            .unwrap();
        assert_eq!((person.status(), person.tier()), (then, reaches), "{what}");
        let claims = issuer.claims(&callback).await;
        assert_eq!(claims["acr"].as_str(), acr, "{what}");
        assert_eq!(claims["kyc_status"], person.status().as_str(), "{what}");
        assert_eq!(claims["kyc_tier"], person.tier().as_str(), "{what}");
    }
}

// K19
#[tokio::test]
async fn the_verification_page_has_the_url_of_the_first_page() {
    let issuer = TestIssuer::new().await;
    let eve = issuer.kyc.person("eve").tier(KycTier::T1).create();
    let login = issuer.login_with_tiers("t2");
    let allow = [("person", "eve"), ("decision", "allow")];
    let page = issuer.post(&login, &allow).await;
    page.assert_ok();
    assert_eq!(page.url(), &login);
    assert_eq!(page.header("cache-control"), Some("no-store"));
    let says = "Acme Bank requests tier <strong>t2</strong>. Your tier is <strong>t1</strong>.";
    assert!(page.body().contains(says), "{}", page.body());
    let hidden = format!("name=\"person\" value=\"{}\"", eve.id());
    assert!(page.body().contains(&hidden) && page.body().contains("value=\"allow\""));
    for verification in ["pass", "fail", "pending", "skip"] {
        let button = format!("name=\"verification\" value=\"{verification}\"");
        assert!(page.body().contains(&button), "{verification}");
    }
    assert_eq!(
        (eve.status(), eve.tier()),
        (KycStatus::Verified, KycTier::T1)
    );

    let strange = [allow[0], allow[1], ("verification", "bribe")];
    issuer.post(&login, &strange).await.assert_status(400);
    let requests = issuer.kyc.requests(Endpoint::Authorize);
    assert_eq!(requests.last().unwrap().refusal().unwrap().row, "K19");

    let pass = [allow[0], allow[1], ("verification", "pass")];
    let to = issuer.post(&login, &pass).await.location().unwrap();
    assert_eq!(issuer.claims(&to).await["kyc_tier"], "t2");
    // A person who has reached the tier sees no verification page.
    let to = issuer.post(&login, &allow).await.location().unwrap();
    assert!(query(&to, "code").is_some());
}

// K17, K19
#[tokio::test]
async fn a_login_without_a_page_offers_no_verification() {
    let issuer = TestIssuer::new().await;
    let eve = issuer.kyc.person("eve").tier(KycTier::T1).create();
    issuer.kyc.switch(|switches| switches.auto_consent = true);
    let request = and(issuer.request(), "acr_values", "t2");
    let hinted = issuer.authorize_url(&and(request, "login_hint", "eve"));
    // A person below the tier chooses the result of the verification.
    let page = issuer.browser.open(hinted).await.unwrap();
    page.assert_status(200);
    for (name, value, tier) in [("login_hint", "eve", "t1"), ("prompt", "none", "t2")] {
        let request = and(issuer.request(), "acr_values", tier);
        let login = issuer.authorize_url(&and(request, name, value));
        let to = issuer
            .browser
            .open(login)
            .await
            .unwrap()
            .location()
            .unwrap();
        assert_eq!(issuer.claims(&to).await["acr"], "t1", "{name}");
    }
    assert_eq!(eve.tier(), KycTier::T1);
}

// K15
#[tokio::test]
async fn the_tier_parameter_can_be_renamed() {
    let builder = MockIssuer::builder().tier_parameter("kyc_level");
    let issuer = TestIssuer::with(builder.start().await.unwrap());
    issuer.kyc.person("eve").tier(KycTier::T1).create();
    let allow = [("person", "eve"), ("decision", "allow")];
    for (name, shows_it) in [("kyc_level", true), ("acr_values", false)] {
        let login = issuer.authorize_url(&and(issuer.request(), name, "t2"));
        let page = issuer.post(&login, &allow).await;
        assert_eq!(page.status() == 200, shows_it, "{name}");
    }
}
