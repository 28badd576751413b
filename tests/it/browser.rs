//! Tests that the example `sign_in` works in Chromium.

use fantoccini::{Client, Locator};

use crate::driven::{BrowserTest, Driven, choose, click, text, wait_for};

#[tokio::test]
async fn after_a_login_the_browser_holds_only_the_session_cookie() {
    let Some(setup) = BrowserTest::open("sign_in").await else {
        return;
    };
    let page = &setup.page;
    page.goto(&setup.home).await.unwrap();
    click(page, "#sign-in").await;

    // KYCPort's page.
    choose(page, "Grace Hopper").await;

    // The browser has returned to the app.
    wait_for(page, "#sign-out").await;
    assert_eq!(page.current_url().await.unwrap().as_str(), setup.home);
    assert_eq!(text(page, "h1").await, "Welcome, Grace Hopper");
    assert_eq!(text(page, "[data-field=status]").await, "verified");
    assert_eq!(text(page, "[data-field=tier]").await, "t1");
    assert_storage_is_empty(page).await;
    assert_cookie_is_strict(page).await;

    // The person opens a second tab while the login in the first tab is pending.
    page.goto(&format!("{}auth/login", setup.home))
        .await
        .unwrap();
    wait_for(page, "button[value=allow]").await;
    let first = page.window().await.unwrap();
    let second = page.new_window(true).await.unwrap();
    page.switch_to_window(second.handle).await.unwrap();
    page.goto(&format!("{}auth/login", setup.home))
        .await
        .unwrap();
    choose(page, "Ada Lovelace").await;
    wait_for(page, "#sign-out").await;
    assert_eq!(text(page, "h1").await, "Welcome, Ada Lovelace");
    let second = page.window().await.unwrap();
    page.switch_to_window(first).await.unwrap();
    choose(page, "Ada Lovelace").await;
    wait_for(page, "#sign-out").await;
    assert_eq!(text(page, "h1").await, "Welcome, Ada Lovelace");

    // A sign-out in one tab signs both tabs out, and the back button does not undo the sign-out.
    click(page, "#sign-out").await;
    wait_for(page, "#sign-in").await;
    assert!(
        page.get_all_cookies()
            .await
            .unwrap()
            .iter()
            .all(|it| !it.name().starts_with("__Host-kycport"))
    );
    assert_storage_is_empty(page).await;
    page.switch_to_window(second).await.unwrap();
    page.refresh().await.unwrap();
    wait_for(page, "#sign-in").await;
    page.back().await.unwrap();
    page.goto(&setup.home).await.unwrap();
    wait_for(page, "#sign-in").await;
    setup.close().await;
}

#[tokio::test]
async fn a_form_sent_after_a_sign_out_redirects_to_kycport() {
    let Some(setup) = BrowserTest::open("sign_in").await else {
        return;
    };
    let page = &setup.page;
    page.goto(&format!("{}vault", setup.home)).await.unwrap();
    choose(page, "Ada Lovelace").await;
    wait_for(page, "#withdraw").await;
    page.delete_all_cookies().await.unwrap();

    click(page, "#withdraw").await;

    choose(page, "Ada Lovelace").await;
    wait_for(page, "#withdraw").await;
    assert_eq!(path_of(page).await, "/vault");
    setup.close().await;
}

#[tokio::test]
async fn a_page_without_referrer_can_sign_out() {
    let Some(setup) = BrowserTest::open("sign_in").await else {
        return;
    };
    let page = &setup.page;
    page.goto(&setup.home).await.unwrap();
    click(page, "#sign-in").await;
    choose(page, "Ada Lovelace").await;
    wait_for(page, "#sign-out").await;
    // The browser sends `Origin: null` with the forms of a page that has the policy `no-referrer`.
    let policy = "const meta = document.createElement('meta'); meta.name = 'referrer'; \
                  meta.content = 'no-referrer'; document.head.append(meta);";
    page.execute(policy, Vec::new()).await.unwrap();

    click(page, "#sign-out").await;

    wait_for(page, "#sign-in").await;
    setup.close().await;
}

#[tokio::test]
async fn a_declined_login_shows_the_next_step() {
    let Some(setup) = BrowserTest::open("sign_in").await else {
        return;
    };
    let page = &setup.page;
    page.goto(&format!("{}auth/login", setup.home))
        .await
        .unwrap();

    click(page, "button[value=deny]").await;

    wait_for(page, "nav a.first").await;
    assert_eq!(text(page, "h1").await, "You did not sign in");
    click(page, "nav a.first").await;
    wait_for(page, "button[value=allow]").await;
    setup.close().await;
}

#[tokio::test]
async fn a_person_below_the_tier_is_verified_and_returns_to_the_vault() {
    let Some(setup) = BrowserTest::open("sign_in").await else {
        return;
    };
    let page = &setup.page;
    page.goto(&setup.home).await.unwrap();
    click(page, "#sign-in").await;
    choose(page, "Grace Hopper").await; // t1

    click(page, "#vault").await;
    verify(page, "Grace Hopper", "pass").await;

    wait_for(page, "#open-vault").await;
    assert_eq!(path_of(page).await, "/vault");
    click(page, "#withdraw").await;
    wait_for(page, "#withdrawn").await;
    assert_storage_is_empty(page).await;
    setup.close().await;
}

#[tokio::test]
async fn a_rejection_at_kycport_locks_the_page_that_is_open() {
    let Some(setup) = BrowserTest::open("sign_in").await else {
        return;
    };
    let page = &setup.page;
    page.goto(&format!("{}vault", setup.home)).await.unwrap();
    choose(page, "Ada Lovelace").await;
    wait_for(page, "#vault[data-is=open]").await;
    let vault = page.window().await.unwrap();
    // The script records that the document changed without a reload.
    let watch = "new MutationObserver(() => { window.saw = true; }) \
                 .observe(document.getElementById('vault'), { attributes: true });";
    page.execute(watch, Vec::new()).await.unwrap();

    // The console in the second tab rejects the person. The app's page in the first tab learns of
    // the rejection only from the webhook.
    click(page, "#reject").await;
    page.switch_to_window(vault).await.unwrap();
    wait_for(page, "#vault[data-is=locked]").await;

    let saw = page.execute("return window.saw", Vec::new()).await.unwrap();
    assert_eq!(saw, true);
    assert_eq!(text(page, "#locked h1").await, "The vault is locked");
    assert_eq!(path_of(page).await, "/vault");
    // The person must be verified again at KYCPort to open the vault again.
    page.refresh().await.unwrap();
    wait_for(page, "button[value=allow]").await;
    setup.close().await;
}

#[tokio::test]
async fn a_rejected_person_sees_the_result_and_is_not_redirected_in_a_loop() {
    let Some(setup) = BrowserTest::open("sign_in").await else {
        return;
    };
    let page = &setup.page;
    page.goto(&setup.home).await.unwrap();
    click(page, "#sign-in").await;
    choose(page, "Grace Hopper").await;

    click(page, "#vault").await;
    verify(page, "Grace Hopper", "fail").await;

    wait_for(page, "nav a.first").await;
    assert_eq!(text(page, "h1").await, "KYCPort could not verify you");
    assert_eq!(text(page, "nav a.first").await, "Continue with KYCPort");
    page.goto(&setup.home).await.unwrap();
    assert_eq!(text(page, "[data-field=status]").await, "rejected");
    setup.close().await;
}

#[tokio::test]
async fn the_pending_page_continues_when_the_person_checks_again() {
    let Some(browser) = Driven::open().await else {
        return;
    };
    let page = &browser.page;
    let (kyc, app, _) = crate::support::setup().await;
    let grace = kyc
        .person("grace")
        .tier(kycport::KycTier::T1)
        .name("Grace Hopper")
        .create();
    page.goto(&app.url("/guarded")).await.unwrap();
    choose(page, "Grace Hopper").await;
    verify(page, "Grace Hopper", "pending").await;
    wait_for(page, "h1").await;
    assert_eq!(text(page, "h1").await, "Your verification is under way");
    assert_eq!(path_of(page).await, "/guarded");

    grace.verify(kycport::KycTier::T2);
    kyc.clock().advance(std::time::Duration::from_secs(10));
    click(page, "nav a.first").await;

    // The route returns JSON. Chromium shows JSON in a `pre` element.
    wait_for(page, "pre").await;
    assert!(text(page, "pre").await.contains("\"kyc_tier\":\"t2\""));
    browser.close().await;
}

#[tokio::test]
async fn the_buttons_of_the_mocks_console_work() {
    let Some(browser) = Driven::open().await else {
        return;
    };
    let page = &browser.page;
    let kyc = kycport::mock::MockIssuer::builder().console();
    let kyc = kyc.start().await.unwrap();
    let ada = kyc.person("ada").create();
    page.goto(kyc.origin()).await.unwrap();

    let reject = "//button[. = 'Reject']";
    page.find(Locator::XPath(reject))
        .await
        .unwrap()
        .click()
        .await
        .unwrap();
    wait_for(page, ".badge.rejected").await;
    assert_eq!(ada.status(), kycport::KycStatus::Rejected);
    assert_eq!(text(page, "h1").await, "Mock KYCPort");

    // The form with fields creates a person.
    let slug = page.find(Locator::Css("input[name=slug]")).await.unwrap();
    slug.send_keys("grace").await.unwrap();
    click(page, "form.new button").await;
    wait_for(page, ".badge.verified").await;
    assert!(kyc.find_person("grace").is_some());
    browser.close().await;
}

#[tokio::test]
async fn a_person_lists_and_revokes_their_sessions() {
    // Covers threat case 108.
    let Some(setup) = BrowserTest::open("instances").await else {
        return;
    };
    let page = &setup.page;
    for devices in 1..=2 {
        // The test removes the first session cookie to simulate another device.
        page.delete_all_cookies().await.unwrap();
        page.goto(&setup.home).await.unwrap();
        click(page, "#sign-in").await;
        choose(page, "Ada Lovelace").await;
        wait_for(page, "#everywhere").await;
        assert_eq!(count(page, "li").await, devices);
    }
    click(page, ".end").await;
    // The response is the list of sessions with one row less.
    wait_for(page, "li:only-child").await;
    assert_eq!(count(page, ".end").await, 0);
    click(page, "#everywhere").await;
    wait_for(page, "#sign-in").await;
    setup.close().await;
}

async fn count(page: &Client, css: &str) -> usize {
    page.find_all(Locator::Css(css)).await.unwrap().len()
}

async fn assert_storage_is_empty(page: &Client) {
    let script = "return [document.cookie, localStorage.length, sessionStorage.length]";
    let held = page.execute(script, Vec::new()).await.unwrap();
    assert_eq!(held, serde_json::json!(["", 0, 0]));
}

/// Covers threat cases 86, 90.
async fn assert_cookie_is_strict(page: &Client) {
    let cookie = page.get_named_cookie("__Host-kycport").await.unwrap();
    assert_eq!(cookie.http_only(), Some(true));
    assert_eq!(cookie.secure(), Some(true));
    assert_eq!(
        cookie.same_site().map(|it| it.to_string()),
        Some("Lax".to_owned())
    );
    assert_eq!(cookie.path(), Some("/"));
    assert_eq!(
        cookie.value().len(),
        64,
        "the cookie holds only the session key"
    );
    let cookies = page.get_all_cookies().await.unwrap();
    for cookie in &cookies {
        assert_eq!(cookie.http_only(), Some(true), "{}", cookie.name());
    }
    // The callback deleted the login cookie.
    let of_the_app = cookies
        .iter()
        .filter(|it| it.name().starts_with("__Host-kycport"));
    assert_eq!(of_the_app.count(), 1);
}

/// Chooses a person and then the outcome of the verification on KYCPort's page.
async fn verify(page: &Client, name: &str, outcome: &str) {
    choose(page, name).await;
    click(page, &format!("button[value={outcome}]")).await;
}

async fn path_of(page: &Client) -> String {
    page.current_url().await.unwrap().path().to_owned()
}
