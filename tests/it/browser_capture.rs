//! Tests that the example `host_your_own_capture` works in Chromium, with real files in real file
//! inputs.

use std::{
    path::{Path, PathBuf},
    sync::atomic::{AtomicUsize, Ordering},
};

use fantoccini::{Client, Locator};
use kycport::{cases::Outcome, mock::samples};
use serde_json::{Value, json};

use crate::driven::{BrowserTest, choose, click, text, wait_for};

#[tokio::test]
async fn a_person_is_verified_on_the_tenants_own_page_and_stays_signed_in() {
    let Some(setup) = BrowserTest::open("host_your_own_capture").await else {
        return;
    };
    let page = &setup.page;
    let files = Files::new();
    sign_in(&setup).await;
    assert_eq!(assurance(page).await["kyc_status"], "unverified");
    assert_eq!(status_of(page, "/vault").await, 401);
    let before = session(page).await;

    // KYCPort rejects the first attempt, and the session has the status `rejected`.
    send(page, &files.document(&Outcome::Rejected), &files.selfie()).await;
    wait_for(page, "#said[data-is=rejected]").await;
    assert_eq!(
        text(page, "#said-title").await,
        "KYCPort could not verify you"
    );
    assert_eq!(text(page, "#status").await, "rejected");
    assert_eq!(assurance(page).await["kyc_status"], "rejected");
    assert_eq!(status_of(page, "/vault").await, 401);

    // KYCPort approves the second attempt. The vault opens without a new login.
    send(page, &files.document(&Outcome::Approved), &files.selfie()).await;
    wait_for(page, "#vault[data-is=open]").await;
    wait_for(page, "#said[data-is=approved]").await;
    assert_eq!(text(page, "#tier").await, "t2");
    let how_far = "return document.querySelector('progress').value";
    assert_eq!(page.execute(how_far, vec![]).await.unwrap(), 1);
    let now = assurance(page).await;
    assert_eq!(
        (&now["kyc_status"], &now["kyc_tier"]),
        (&json!("verified"), &json!("t2"))
    );
    assert_eq!(status_of(page, "/vault").await, 200);
    assert_eq!(session(page).await, before);
    setup.close().await;
}

#[tokio::test]
async fn the_page_waits_for_the_decision_of_a_reviewer() {
    let Some(setup) = BrowserTest::open("host_your_own_capture").await else {
        return;
    };
    let page = &setup.page;
    let files = Files::new();
    sign_in(&setup).await;

    send(page, &files.document(&Outcome::Review), &files.selfie()).await;
    wait_for(page, "#said[data-is=review]").await;
    assert_eq!(assurance(page).await["kyc_status"], "pending");
    assert_eq!(status_of(page, "/vault").await, 403);

    click(page, "[data-review=approved]").await;
    wait_for(page, "#vault[data-is=open]").await;
    assert_eq!(assurance(page).await["kyc_status"], "verified");
    setup.close().await;
}

#[tokio::test]
async fn a_rejected_file_is_explained_and_the_next_attempt_succeeds() {
    // Covers threat cases 121, 123.
    let Some(setup) = BrowserTest::open("host_your_own_capture").await else {
        return;
    };
    let page = &setup.page;
    let files = Files::new();
    sign_in(&setup).await;
    let detail_of_problem = async || {
        wait_for(page, "#said[data-is=problem]").await;
        let detail = text(page, "#said-detail").await;
        page.execute("delete document.getElementById('said').dataset.is", vec![])
            .await
            .unwrap();
        detail
    };
    let png = samples::document("somebody");
    let too_large = samples::document_of_size("somebody", 24 << 20);
    for (document, detail) in [
        (
            files.write("text.png", b"I am no picture."),
            "The document must be one of these types: JPEG, PNG, WebP, PDF.",
        ),
        (
            files.write("scan.pdf", &png),
            "The document is image/png by its content, but its file name says something else.",
        ),
        (
            files.write("empty.png", b""),
            "The document is an empty file.",
        ),
        (
            files.write("large.png", &too_large),
            "The document is larger than 20 MiB.",
        ),
    ] {
        send(page, &document, &files.selfie()).await;
        assert_eq!(detail_of_problem().await, detail);
        wait_for(page, "label[data-is=problem] [name=document]").await;
        assert_eq!(assurance(page).await["kyc_status"], "unverified");
    }

    // The page asks a person who has signed out in another tab to sign in again.
    let sign_out = "return fetch('/auth/logout', { method: 'POST' }).then((it) => it.status)";
    page.execute(sign_out, vec![]).await.unwrap();
    send(page, &files.document(&Outcome::Approved), &files.selfie()).await;
    assert_eq!(detail_of_problem().await, "Sign in and try again. Sign in");
    click(page, "#said-detail a").await;
    choose(page, "Rosalind Franklin").await;
    wait_for(page, "#capture").await;

    send(page, &files.document(&Outcome::Approved), &files.selfie()).await;
    wait_for(page, "#vault[data-is=open]").await;
    setup.close().await;
}

#[tokio::test]
async fn each_sample_picture_causes_its_outcome() {
    let Some(setup) = BrowserTest::open("host_your_own_capture").await else {
        return;
    };
    let page = &setup.page;
    sign_in(&setup).await;
    for (sample, comes) in [
        ("wrong", "#said[data-is=problem]"),
        ("rejected", "#said[data-is=rejected]"),
        ("approved", "#said[data-is=approved]"),
    ] {
        wait_for(page, &format!("[data-sample={sample}]:enabled")).await;
        click(page, &format!("[data-sample={sample}]")).await;
        // The page moves the focus to the button after it has replaced the previous pictures.
        wait_for(page, "#send:focus").await;
        click(page, "#send").await;
        wait_for(page, comes).await;
        wait_for(page, "#send:enabled").await;
        let blur = "document.activeElement.blur()";
        page.execute(blur, vec![]).await.unwrap();
    }
    setup.close().await;
}

async fn sign_in(setup: &BrowserTest) {
    setup.page.goto(&setup.home).await.unwrap();
    click(&setup.page, "#sign-in").await;
    choose(&setup.page, "Rosalind Franklin").await;
    wait_for(&setup.page, "#capture").await;
}

/// Chooses the files and submits the form.
async fn send(page: &Client, document: &Path, selfie: &Path) {
    wait_for(page, "#send:enabled").await;
    for (name, file) in [("document", document), ("selfie", selfie)] {
        let input = format!("#capture [name={name}]");
        let input = page.find(Locator::Css(&input)).await.unwrap();
        input.send_keys(file.to_str().unwrap()).await.unwrap();
    }
    click(page, "#send").await;
}

/// Returns the verification status of the session, like the page's script.
async fn assurance(page: &Client) -> Value {
    let script = "return fetch('/auth/me').then((it) => it.json())";
    page.execute(script, vec![]).await.unwrap()["assurance"].clone()
}

async fn status_of(page: &Client, path: &str) -> Value {
    let script = "return fetch(arguments[0]).then((it) => it.status)";
    page.execute(script, vec![path.into()]).await.unwrap()
}

async fn session(page: &Client) -> String {
    let cookie = page.get_named_cookie("__Host-kycport").await.unwrap();
    cookie.value().to_owned()
}

/// Files on this machine. Dropping this value deletes the files.
struct Files {
    folder: PathBuf,
}

impl Files {
    fn new() -> Self {
        static MADE: AtomicUsize = AtomicUsize::new(0);
        let (process, nth) = (std::process::id(), MADE.fetch_add(1, Ordering::SeqCst));
        let folder = std::env::temp_dir().join(format!("kycport-capture-{process}-{nth}"));
        std::fs::create_dir(&folder).unwrap();
        Self { folder }
    }

    fn document(&self, outcome: &Outcome) -> PathBuf {
        let picture = samples::document_that_is(outcome, "somebody");
        self.write(&format!("{outcome}.png"), &picture)
    }

    fn selfie(&self) -> PathBuf {
        self.write("selfie.png", &samples::selfie("somebody"))
    }

    fn write(&self, name: &str, content: &[u8]) -> PathBuf {
        let path = self.folder.join(name);
        std::fs::write(&path, content).unwrap();
        path
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        // The test ignores an error, because a file may remain in the directory for temporary
        // files.
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}
