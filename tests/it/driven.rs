//! Headless Chromium, driven by WebDriver.
//!
//! If `chromium` or `chromedriver` is not installed, each browser test prints a message and is
//! skipped. With `KYCPORT_REQUIRE_BROWSER=1`, the test fails instead.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    path::{Path, PathBuf},
    process::{Child, ChildStdout, Command, Stdio},
};

use fantoccini::{Client, ClientBuilder, Locator};
use hyper_util::client::legacy::connect::HttpConnector;

pub(crate) async fn choose(page: &Client, name: &str) {
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

pub(crate) async fn click(page: &Client, css: &str) {
    wait_for(page, css).await;
    page.find(Locator::Css(css))
        .await
        .unwrap()
        .click()
        .await
        .unwrap();
}

pub(crate) async fn text(page: &Client, css: &str) -> String {
    page.find(Locator::Css(css))
        .await
        .unwrap()
        .text()
        .await
        .unwrap()
}

pub(crate) async fn wait_for(page: &Client, css: &str) {
    if page.wait().for_element(Locator::Css(css)).await.is_err() {
        let url = page.current_url().await.unwrap();
        let source = page.source().await.unwrap();
        panic!("the page {url} has no element {css}:\n{source}");
    }
}

/// Browser and its WebDriver. Dropping this value kills both processes.
pub(crate) struct Driven {
    pub(crate) page: Client,
    _driver: Process,
}

impl Driven {
    pub(crate) async fn open() -> Option<Self> {
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

    pub(crate) async fn close(self) {
        self.page.close().await.unwrap();
    }
}

/// Running example app, and a browser that has opened its page.
pub(crate) struct BrowserTest {
    pub(crate) page: Client,
    pub(crate) home: String,
    browser: Driven,
    _example: Process,
}

impl BrowserTest {
    pub(crate) async fn open(name: &str) -> Option<Self> {
        let Some(example) = example(name) else {
            skip(
                "the example is not built: run `cargo test`, because `cargo test --test it` does not build examples",
            );
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

    pub(crate) async fn close(self) {
        self.browser.close().await;
    }
}

/// Writes directly to stderr, because the test harness captures `eprintln!`.
fn skip(reason: &str) {
    assert!(
        std::env::var_os("KYCPORT_REQUIRE_BROWSER").is_none(),
        "the browser test is required, but it cannot run: {reason}"
    );
    let mut stderr = std::io::stderr();
    writeln!(stderr, "SKIPPED: the browser test cannot run: {reason}").unwrap();
}

fn is_installed(tool: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(tool).is_file())
}

/// Returns `target/debug/examples/{name}`, next to the directory of this test binary.
fn example(name: &str) -> Option<PathBuf> {
    let test = std::env::current_exe().ok()?;
    let examples = test.parent().and_then(Path::parent)?.join("examples");
    let built = examples.join(name);
    built.is_file().then_some(built)
}

struct Process {
    child: Child,
    /// The pipe stays open, because a process that writes to a closed pipe exits.
    _output: BufReader<ChildStdout>,
}

impl Process {
    /// Starts a process and reads its output up to the line with `sign`. Starts the process again
    /// if another process has taken its port.
    fn start(command: &mut Command, sign: &str) -> (Self, String) {
        for _ in 0..5 {
            if let Some(started) = Self::try_start(command, sign) {
                return started;
            }
        }
        panic!("{command:?} exited without printing {sign:?}");
    }

    fn try_start(command: &mut Command, sign: &str) -> Option<(Self, String)> {
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
            if read == 0 {
                child.wait().unwrap();
                return None;
            }
        }
        let process = Self {
            child,
            _output: output,
        };
        Some((process, line))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // The test ignores an error, because the process may have exited already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
