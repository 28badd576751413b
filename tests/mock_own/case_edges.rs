//! Uploads that end badly, wait, or are answered before they are over.

use kycport::mock::Endpoint;
use tokio::io::AsyncWriteExt as _;

use crate::case_desk::{CaseDesk, answer, form, pictures};
use kycport::cases::CaseStatus;

// case 122, K79
#[tokio::test]
async fn an_upload_cut_in_any_third_is_none_however_small() {
    let desk = CaseDesk::new().await;
    let case = desk.open(&desk.ada).await;
    let whole = form(&pictures("ada"));
    for at in [0, 1, whole.len() / 3, whole.len() / 3 * 2, whole.len()] {
        let fault = desk.kyc.on(Endpoint::UploadCase);
        let fault = fault.cut_after(at.try_into().unwrap()).once();
        let mut socket = desk.begin_upload(&case, whole.len()).await;
        socket.write_all(&whole).await.unwrap();
        assert_eq!(answer(&mut socket, "}").await, "", "cut after {at}");
        fault.assert_hit();
        desk.assert_untouched(&case, &format!("cut after {at}"));
    }
    assert_eq!(desk.upload(&case, &pictures("ada")).await.0, 200);
    let before = desk.now(&case).files;
    let fault = desk.kyc.on(Endpoint::UploadCase).cut_after(100).once();
    let mut socket = desk.begin_upload(&case, whole.len()).await;
    socket.write_all(&form(&pictures("eve"))).await.unwrap();
    assert_eq!(answer(&mut socket, "}").await, "");
    fault.assert_hit();
    assert_eq!(desk.now(&case).files, before);
}

// case 122, K79
#[tokio::test]
async fn an_upload_counts_when_its_last_byte_is_there() {
    let desk = CaseDesk::new().await;
    let case = desk.open(&desk.ada).await;
    let whole = form(&pictures("ada"));
    for (sent, promised) in [
        (whole.len(), whole.len() + 10),
        (whole.len() / 2, whole.len()),
        (0, whole.len()),
    ] {
        let mut socket = desk.begin_upload(&case, promised).await;
        let (sent, _) = whole.split_at(sent);
        socket.write_all(sent).await.unwrap();
        socket.shutdown().await.unwrap();
        let told = answer(&mut socket, "}").await;
        assert!(!told.contains(" 200 "), "{told}");
        desk.assert_untouched(&case, &format!("{} of {promised}", sent.len()));
    }
}

// case 121, K58
#[tokio::test]
async fn too_large_is_said_to_whoever_is_still_sending() {
    let desk = CaseDesk::new().await;
    let case = desk.open(&desk.ada).await;
    desk.kyc
        .switch(|switches| switches.max_upload_file_bytes = 1 << 20);
    let mut socket = desk.begin_upload(&case, 30 << 20).await;
    let head = "--b\r\ncontent-disposition: form-data; name=\"document\"; filename=\"f\"\r\n\
                content-type: image/png\r\n\r\n";
    socket.write_all(head.as_bytes()).await.unwrap();
    let piece = vec![0; 1 << 20];
    for _ in 0..2 {
        socket.write_all(&piece).await.unwrap();
    }
    let told = answer(&mut socket, "}").await;
    assert!(told.starts_with("HTTP/1.1 413 "), "{told}");
    assert!(told.ends_with("{\"error\":\"file_too_large\"}"), "{told}");
    // It is read on, so that no reset overtakes the answer.
    for _ in 0..16 {
        socket.write_all(&piece).await.unwrap();
    }
    desk.assert_untouched(&case, "too large");
}

// case 121, K47
#[tokio::test]
async fn who_is_refused_is_so_before_a_byte_of_the_body() {
    let desk = CaseDesk::new().await;
    let case = desk.open(&desk.ada).await;
    let fault = desk.kyc.on(Endpoint::UploadCase).fail(503).once();
    for (case, status) in [(case.as_str(), "503"), ("case_of_nobody", "404")] {
        let mut socket = desk.begin_upload(case, 1 << 20).await;
        let told = answer(&mut socket, "}").await;
        assert!(told.starts_with(&format!("HTTP/1.1 {status} ")), "{told}");
        socket.write_all(&vec![0; 1 << 20]).await.unwrap();
    }
    fault.assert_hit();
}

// case 122
#[tokio::test]
async fn an_upload_that_waits_changes_nothing_and_then_all() {
    let desk = CaseDesk::new().await;
    let case = desk.open(&desk.ada).await;
    let gate = desk.kyc.on(Endpoint::UploadCase).hold_after(10);
    let (done, ()) = tokio::join!(
        async { desk.upload(&case, &pictures("ada")).await },
        async {
            gate.wait_for(1).await;
            desk.assert_untouched(&case, "held");
            gate.release();
        }
    );
    assert_eq!(done.0, 200);
    assert_eq!(desk.now(&case).status, CaseStatus::DocumentsReceived);
}

// case 124, K57
#[tokio::test]
async fn what_was_decided_while_an_upload_came_is_not_replaced() {
    let desk = CaseDesk::new().await;
    let case = desk.open(&desk.ada).await;
    assert_eq!(desk.upload(&case, &pictures("ada")).await.0, 200);
    let before = desk.now(&case).files;
    let gate = desk.kyc.on(Endpoint::UploadCase).hold_after(10);
    let (late, ()) = tokio::join!(
        async { desk.upload(&case, &pictures("later")).await },
        async {
            gate.wait_for(1).await;
            assert_eq!(desk.decide(&case).await.0, 200);
            gate.release();
        }
    );
    assert_eq!(late, (409, crate::case_desk::no("case_not_open")));
    assert_eq!(desk.now(&case).files, before);
}
