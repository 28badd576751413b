//! Tests that the subcommand `verify` compares a live issuer with the contract.

use std::net::TcpListener;

use crate::program::{Running, run};

fn verify(arguments: &[&str]) -> (String, Option<i32>) {
    let output = run(&[&["verify", "--against"], arguments].concat());
    let report = String::from_utf8(output.stdout).unwrap();
    (report, output.status.code())
}

#[test]
fn a_match_a_difference_and_an_unreachable_issuer_have_different_exit_codes() {
    let mock = Running::start(&[]);
    let (report, code) = verify(&[mock.get("origin")]);
    assert_eq!(code, Some(0), "{report}");
    let other = "https://other.example";
    let (report, code) = verify(&[mock.get("origin"), "--issuer", other]);
    assert_eq!(code, Some(1), "{report}");
    assert!(report.contains("K2"), "{report}");
    // No server listens on this port any more.
    let held = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = held.local_addr().unwrap();
    drop(held);
    let (report, code) = verify(&[&format!("http://{address}")]);
    assert_eq!(code, Some(2), "{report}");
    assert!(report.contains("not reached"), "{report}");
}
