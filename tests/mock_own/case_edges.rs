//! Tests that the mock handles uploads that fail, that wait, or that get a response before they are
//! complete.

use kycport::mock::Endpoint;
use tokio::io::AsyncWriteExt as _;

use crate::case_desk::{CaseClient, answer, form, pictures};
use kycport::cases::CaseStatus;

// case 122, K79
#[tokio::test]
async fn an_upload_cut_at_any_point_has_no_effect() {
    let api = CaseClient::new().await;
    let case = api.open(&api.ada).await;
    let whole = form(&pictures("ada"));
    for at in [0, 1, whole.len() / 3, whole.len() / 3 * 2, whole.len()] {
        let fault = api.kyc.on(Endpoint::UploadCase);
        let fault = fault.cut_after(at.try_into().unwrap()).once();
        let mut socket = api.begin_upload(&case, whole.len()).await;
        socket.write_all(&whole).await.unwrap();
        assert_eq!(answer(&mut socket, "}").await, "", "cut after {at}");
        fault.assert_hit();
        api.assert_untouched(&case, &format!("cut after {at}"));
    }
    assert_eq!(api.upload(&case, &pictures("ada")).await.0, 200);
    let before = api.now(&case).files;
    let fault = api.kyc.on(Endpoint::UploadCase).cut_after(100).once();
    let mut socket = api.begin_upload(&case, whole.len()).await;
    socket.write_all(&form(&pictures("eve"))).await.unwrap();
    assert_eq!(answer(&mut socket, "}").await, "");
    fault.assert_hit();
    assert_eq!(api.now(&case).files, before);
}

// case 122, K79
#[tokio::test]
async fn an_incomplete_upload_has_no_effect() {
    let api = CaseClient::new().await;
    let case = api.open(&api.ada).await;
    let whole = form(&pictures("ada"));
    for (sent, promised) in [
        (whole.len(), whole.len() + 10),
        (whole.len() / 2, whole.len()),
        (0, whole.len()),
    ] {
        let mut socket = api.begin_upload(&case, promised).await;
        let (sent, _) = whole.split_at(sent);
        socket.write_all(sent).await.unwrap();
        socket.shutdown().await.unwrap();
        let received = answer(&mut socket, "}").await;
        assert!(!received.contains(" 200 "), "{received}");
        api.assert_untouched(&case, &format!("{} of {promised}", sent.len()));
    }
}

// case 121, K58
#[tokio::test]
async fn a_too_large_upload_is_rejected_while_the_client_is_still_sending() {
    let api = CaseClient::new().await;
    let case = api.open(&api.ada).await;
    api.kyc
        .switch(|switches| switches.max_upload_file_bytes = 1 << 20);
    let mut socket = api.begin_upload(&case, 30 << 20).await;
    let head = "--b\r\ncontent-disposition: form-data; name=\"document\"; filename=\"f\"\r\n\
                content-type: image/png\r\n\r\n";
    socket.write_all(head.as_bytes()).await.unwrap();
    let piece = vec![0; 1 << 20];
    for _ in 0..2 {
        socket.write_all(&piece).await.unwrap();
    }
    let received = answer(&mut socket, "}").await;
    assert!(received.starts_with("HTTP/1.1 413 "), "{received}");
    assert!(
        received.ends_with("{\"error\":\"file_too_large\"}"),
        "{received}"
    );
    // The mock continues to read. Otherwise a connection reset could arrive before the response.
    for _ in 0..16 {
        socket.write_all(&piece).await.unwrap();
    }
    api.assert_untouched(&case, "too large");
}

// case 121, K47
#[tokio::test]
async fn an_upload_is_rejected_before_its_body_is_read() {
    let api = CaseClient::new().await;
    let case = api.open(&api.ada).await;
    let fault = api.kyc.on(Endpoint::UploadCase).fail(503).once();
    for (case, status) in [(case.as_str(), "503"), ("case_of_nobody", "404")] {
        let mut socket = api.begin_upload(case, 1 << 20).await;
        let received = answer(&mut socket, "}").await;
        assert!(
            received.starts_with(&format!("HTTP/1.1 {status} ")),
            "{received}"
        );
        socket.write_all(&vec![0; 1 << 20]).await.unwrap();
    }
    fault.assert_hit();
}

// case 122
#[tokio::test]
async fn a_held_upload_takes_effect_when_it_is_released() {
    let api = CaseClient::new().await;
    let case = api.open(&api.ada).await;
    let gate = api.kyc.on(Endpoint::UploadCase).hold_after(10);
    let (done, ()) = tokio::join!(async { api.upload(&case, &pictures("ada")).await }, async {
        gate.wait_for(1).await;
        api.assert_untouched(&case, "held");
        gate.release();
    });
    assert_eq!(done.0, 200);
    assert_eq!(api.now(&case).status, CaseStatus::DocumentsReceived);
}

// case 124, K57
#[tokio::test]
async fn an_upload_does_not_replace_the_files_of_a_decided_case() {
    let api = CaseClient::new().await;
    let case = api.open(&api.ada).await;
    assert_eq!(api.upload(&case, &pictures("ada")).await.0, 200);
    let before = api.now(&case).files;
    let gate = api.kyc.on(Endpoint::UploadCase).hold_after(10);
    let (late, ()) = tokio::join!(
        async { api.upload(&case, &pictures("later")).await },
        async {
            gate.wait_for(1).await;
            assert_eq!(api.decide(&case).await.0, 200);
            gate.release();
        }
    );
    assert_eq!(late, (409, crate::case_desk::error_body("case_not_open")));
    assert_eq!(api.now(&case).files, before);
}
