//! A live issuer is held against the contract, and the end says what came of it.

use std::net::TcpListener;

use crate::program::{Running, run};

fn verify(arguments: &[&str]) -> (String, Option<i32>) {
    let output = run(&[&["verify", "--against"], arguments].concat());
    let said = String::from_utf8(output.stdout).unwrap();
    (said, output.status.code())
}

#[test]
fn what_matches_differs_or_is_not_there_ends_otherwise() {
    let mock = Running::start(&[]);
    let (said, code) = verify(&[mock.get("origin")]);
    assert_eq!(code, Some(0), "{said}");
    let other = "https://other.example";
    let (said, code) = verify(&[mock.get("origin"), "--issuer", other]);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("K2"), "{said}");
    // A port where nobody listens any more.
    let held = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = held.local_addr().unwrap();
    drop(held);
    let (said, code) = verify(&[&format!("http://{address}")]);
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("not reached"), "{said}");
}
