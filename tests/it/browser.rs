//! The example in a real browser: headless Chromium, driven by WebDriver.
//!
//! Skipped, and said so, where `chromium` and `chromedriver` are not installed;
//! `KYCPORT_REQUIRE_BROWSER=1` makes that a failure.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    path::{Path, PathBuf},
    process::{Child, ChildStdout, Command, Stdio},
};

use fantoccini::{Client, ClientBuilder, Locator};
use hyper_util::client::legacy::connect::HttpConnector;

#[tokio::test]
async fn a_person_signs_in_through_both_pages_and_the_browser_holds_one_cookie() {
    let Some(stage) = Stage::open().await else {
        return;
    };
    let page = &stage.page;
    page.goto(&stage.home).await.unwrap();
    click(page, "#sign-in").await;

    // KYCPort's page.
    choose(page, "Grace Hopper").await;

    // Back in the app.
    wait_for(page, "#sign-out").await;
    assert_eq!(page.current_url().await.unwrap().as_str(), stage.home);
    assert_eq!(text(page, "h1").await, "Welcome, Grace Hopper");
    assert_eq!(text(page, "[data-field=status]").await, "verified");
    assert_eq!(text(page, "[data-field=tier]").await, "t1");
    assert_storage_is_empty(page).await;
    assert_cookie_is_strict(page).await;

    // A second tab, while a first one is half-way.
    page.goto(&format!("{}auth/login", stage.home))
        .await
        .unwrap();
    wait_for(page, "button[value=allow]").await;
    let first = page.window().await.unwrap();
    let second = page.new_window(true).await.unwrap();
    page.switch_to_window(second.handle).await.unwrap();
    page.goto(&format!("{}auth/login", stage.home))
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

    // Signed out in one is signed out in both, and back does not bring it back.
    click(page, "#sign-out").await;
    wait_for(page, "#sign-in").await;
    assert!(
        page.get_all_cookies()
            .await
            .unwrap()
            .iter()
            .all(|it| it.name() != "__Host-kycport")
    );
    assert_storage_is_empty(page).await;
    page.switch_to_window(second).await.unwrap();
    page.refresh().await.unwrap();
    wait_for(page, "#sign-in").await;
    page.back().await.unwrap();
    page.goto(&stage.home).await.unwrap();
    wait_for(page, "#sign-in").await;
    stage.close().await;
}

#[tokio::test]
async fn a_person_who_declines_is_told_what_to_do_next() {
    let Some(stage) = Stage::open().await else {
        return;
    };
    let page = &stage.page;
    page.goto(&format!("{}auth/login", stage.home))
        .await
        .unwrap();

    click(page, "button[value=deny]").await;

    wait_for(page, "nav a.first").await;
    assert_eq!(text(page, "h1").await, "You did not sign in");
    click(page, "nav a.first").await;
    wait_for(page, "button[value=allow]").await;
    stage.close().await;
}

#[tokio::test]
async fn who_is_not_verified_far_enough_is_verified_and_lands_in_the_vault() {
    let Some(stage) = Stage::open().await else {
        return;
    };
    let page = &stage.page;
    page.goto(&stage.home).await.unwrap();
    click(page, "#sign-in").await;
    choose(page, "Grace Hopper").await; // t1

    click(page, "#vault").await;
    verify(page, "Grace Hopper", "pass").await;

    wait_for(page, "#open-vault").await;
    assert_eq!(path_of(page).await, "/vault");
    click(page, "#withdraw").await;
    wait_for(page, "#withdrawn").await;
    assert_storage_is_empty(page).await;
    stage.close().await;
}

#[tokio::test]
async fn who_is_rejected_is_told_so_once_and_does_not_go_round() {
    let Some(stage) = Stage::open().await else {
        return;
    };
    let page = &stage.page;
    page.goto(&stage.home).await.unwrap();
    click(page, "#sign-in").await;
    choose(page, "Grace Hopper").await;

    click(page, "#vault").await;
    verify(page, "Grace Hopper", "fail").await;

    wait_for(page, "nav a.first").await;
    assert_eq!(text(page, "h1").await, "KYCPort could not verify you");
    assert_eq!(text(page, "nav a.first").await, "Continue with KYCPort");
    page.goto(&stage.home).await.unwrap();
    assert_eq!(text(page, "[data-field=status]").await, "rejected");
    stage.close().await;
}

#[tokio::test]
async fn who_is_pending_waits_on_a_page_that_goes_on_by_itself() {
    let Some(browser) = Driven::open().await else {
        return;
    };
    let page = &browser.page;
    let (kyc, app, _) = crate::support::stage().await;
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

    // The route answers with JSON, which Chromium shows in a `pre`.
    wait_for(page, "pre").await;
    assert!(text(page, "pre").await.contains("\"kyc_tier\":\"t2\""));
    browser.close().await;
}

async fn assert_storage_is_empty(page: &Client) {
    let script = "return [document.cookie, localStorage.length, sessionStorage.length]";
    let held = page.execute(script, Vec::new()).await.unwrap();
    assert_eq!(held, serde_json::json!(["", 0, 0]));
}

/// cases 86, 90
async fn assert_cookie_is_strict(page: &Client) {
    let cookie = page.get_named_cookie("__Host-kycport").await.unwrap();
    assert_eq!(cookie.http_only(), Some(true));
    assert_eq!(cookie.secure(), Some(true));
    assert_eq!(
        cookie.same_site().map(|it| it.to_string()),
        Some("Lax".to_owned())
    );
    assert_eq!(cookie.path(), Some("/"));
    assert_eq!(cookie.value().len(), 43, "a key and nothing else");
    for cookie in page.get_all_cookies().await.unwrap() {
        assert_eq!(cookie.http_only(), Some(true), "{}", cookie.name());
    }
}

async fn choose(page: &Client, name: &str) {
    wait_for(page, "button[value=allow]").await;
    let label = format!("//label[contains(., '{name}')]");
    page.find(Locator::XPath(&label))
        .await
        .unwrap()
        .click()
        .await
        .unwrap();
    click(page, "button[value=allow]").await;
}

/// On KYCPort's page: who, and then how the verification ends.
async fn verify(page: &Client, name: &str, outcome: &str) {
    choose(page, name).await;
    click(page, &format!("button[value={outcome}]")).await;
}

async fn path_of(page: &Client) -> String {
    page.current_url().await.unwrap().path().to_owned()
}

async fn click(page: &Client, css: &str) {
    wait_for(page, css).await;
    page.find(Locator::Css(css))
        .await
        .unwrap()
        .click()
        .await
        .unwrap();
}

async fn text(page: &Client, css: &str) -> String {
    page.find(Locator::Css(css))
        .await
        .unwrap()
        .text()
        .await
        .unwrap()
}

async fn wait_for(page: &Client, css: &str) {
    if page.wait().for_element(Locator::Css(css)).await.is_err() {
        let url = page.current_url().await.unwrap();
        let source = page.source().await.unwrap();
        panic!("no {css} at {url}:\n{source}");
    }
}

/// A browser, and what drives it. The processes end with it.
struct Driven {
    page: Client,
    _driver: Process,
}

impl Driven {
    async fn open() -> Option<Self> {
        let missing = ["chromium", "chromedriver"]
            .into_iter()
            .find(|tool| !is_installed(tool));
        if let Some(tool) = missing {
            skip(&format!("{tool} is not installed"));
            return None;
        }
        let (driver, line) = Process::start(
            Command::new("chromedriver").arg("--port=0"),
            "was started successfully on port ",
        );
        let port = line.rsplit(' ').next().unwrap().trim();
        let port = port.trim_end_matches('.');
        let capabilities = serde_json::json!({
            "goog:chromeOptions": { "args": [
                "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
                "--disable-background-networking", "--disable-component-update", "--disable-sync",
            ] }
        });
        let page = ClientBuilder::new(HttpConnector::new())
            .capabilities(capabilities.as_object().unwrap().clone())
            .connect(&format!("http://127.0.0.1:{port}"))
            .await
            .unwrap();
        Some(Self {
            page,
            _driver: driver,
        })
    }

    async fn close(self) {
        self.page.close().await.unwrap();
    }
}

/// The example, and a browser on it.
struct Stage {
    page: Client,
    home: String,
    browser: Driven,
    _example: Process,
}

impl Stage {
    async fn open() -> Option<Self> {
        let Some(example) = example() else {
            skip("the example is not built (`cargo test` builds it, `cargo test --test it` not)");
            return None;
        };
        let browser = Driven::open().await?;
        let (example, line) = Process::start(
            Command::new(example)
                .env("BIND", "127.0.0.1:0")
                .env_remove("KYCPORT_CLIENT_ID"),
            "Open  ",
        );
        Some(Self {
            page: browser.page.clone(),
            home: line.trim_start_matches("Open  ").trim().to_owned(),
            browser,
            _example: example,
        })
    }

    async fn close(self) {
        self.browser.close().await;
    }
}

/// Straight to stderr, which the test harness does not swallow.
fn skip(reason: &str) {
    assert!(
        std::env::var_os("KYCPORT_REQUIRE_BROWSER").is_none(),
        "the browser test is required, but {reason}"
    );
    let mut stderr = std::io::stderr();
    writeln!(stderr, "SKIPPED: the browser test, for {reason}").unwrap();
}

fn is_installed(tool: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(tool).is_file())
}

/// `target/debug/examples/sign_in`, beside the folder of this test.
fn example() -> Option<PathBuf> {
    let test = std::env::current_exe().ok()?;
    let built = test
        .parent()
        .and_then(Path::parent)?
        .join("examples/sign_in");
    built.is_file().then_some(built)
}

struct Process {
    child: Child,
    /// Kept open: a process that prints into a closed pipe ends.
    _output: BufReader<ChildStdout>,
}

impl Process {
    /// Starts it, and reads what it prints up to the line with `sign`.
    fn start(command: &mut Command, sign: &str) -> (Self, String) {
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut output = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        while !line.contains(sign) {
            line.clear();
            let read = output.read_line(&mut line).unwrap();
            assert_ne!(read, 0, "{command:?} ended without saying {sign:?}");
        }
        let process = Self {
            child,
            _output: output,
        };
        (process, line)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Gone already is as good as killed.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
