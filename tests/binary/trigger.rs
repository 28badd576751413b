//! Tests that the subcommand `trigger` changes the state of a running mock.

use serde_json::Value;

use crate::program::{Running, command, failure};

fn trigger(mock: &Running, arguments: &[&str]) -> Value {
    let output = command(arguments)
        .env("KYCPORT_MOCK_URL", mock.get("origin"))
        .output()
        .unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{arguments:?}: {stderr}");
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn persons_are_created_and_changed() {
    let mock = Running::start(&[]);
    let bob = trigger(
        &mock,
        &[
            "person",
            "bob",
            "--tier",
            "t1",
            "--status",
            "pending",
            "--email",
            "b@example.test",
            "--name",
            "Bob",
            "--aml-clear",
            "false",
        ],
    );
    assert_eq!(bob["email"], "b@example.test");
    assert_eq!(bob["aml_clear"], false);
    for (event, status) in [
        ("person.verified", "verified"),
        ("person.pending", "pending"),
        ("person.rejected", "rejected"),
        ("person.unverified", "unverified"),
        ("person.expired", "expired"),
    ] {
        let bob = trigger(&mock, &["trigger", event, "--person", "bob"]);
        assert_eq!(
            (&bob["status"], &bob["tier"]),
            (&status.into(), &"t1".into())
        );
    }
    let by_email = [
        "trigger",
        "person.verified",
        "--tier",
        "t3",
        "--person",
        "b@example.test",
    ];
    assert_eq!(trigger(&mock, &by_email)["tier"], "t3");
    for (event, clear) in [
        ("person.aml_flagged", Value::Bool(false)),
        ("person.aml_cleared", Value::Bool(true)),
        ("person.aml_unknown", Value::Null),
    ] {
        let bob = trigger(&mock, &["trigger", event, "--person", "bob"]);
        assert_eq!(bob["aml_clear"], clear, "{event}");
    }
    trigger(
        &mock,
        &["trigger", "person.expires", "--person", "bob", "--by", "1h"],
    );
    trigger(&mock, &["trigger", "clock.advanced", "--by", "2h"]);
    let bob = trigger(&mock, &["trigger", "person.aml_cleared", "--person", "bob"]);
    assert_eq!(bob["status"], "expired");
}

#[test]
fn every_other_event_can_be_triggered() {
    let mock = Running::start(&["--sample-persons"]);
    let published = trigger(&mock, &["trigger", "keys.published"]);
    assert_eq!(published["published"].as_array().unwrap().len(), 2);
    let promoted = trigger(&mock, &["trigger", "keys.promoted"]);
    assert_eq!(promoted["active"], published["published"][1]);
    let retired = trigger(&mock, &["trigger", "keys.retired"]);
    assert_eq!(retired["published"].as_array().unwrap().len(), 1);
    assert_ne!(
        trigger(&mock, &["trigger", "keys.rotated"])["active"],
        promoted["active"]
    );
    assert_eq!(trigger(&mock, &["trigger", "clock.frozen"])["frozen"], true);
    assert_eq!(
        trigger(&mock, &["trigger", "clock.resumed"])["frozen"],
        false
    );
    let secret = trigger(&mock, &["trigger", "webhook_secret.rotated"]);
    assert_ne!(secret["secret"], mock.get("webhook_secret"));
    trigger(&mock, &["trigger", "sessions.ended"]);
    let reset = trigger(&mock, &["trigger", "mock.reset"]);
    assert_eq!(reset, mock.output);
}

#[test]
fn an_impossible_event_causes_a_clear_error() {
    let mock = Running::start(&[]);
    let url = mock.get("origin");
    for (arguments, expected_message) in [
        (
            vec!["trigger", "person.rejected", "--url", url],
            "requires --person",
        ),
        (
            vec!["trigger", "clock.advanced", "--url", url],
            "requires --by",
        ),
        (
            vec!["trigger", "webhook.repeated", "--url", url],
            "this delivery does not exist (404)",
        ),
        (
            vec![
                "trigger",
                "person.rejected",
                "--person",
                "nobody",
                "--url",
                url,
            ],
            "this person does not exist (404)",
        ),
        (
            vec!["trigger", "keys.rotated", "--url", "http://127.0.0.1:9"],
            "no kycport-mock responds at http://127.0.0.1:9",
        ),
        (
            vec!["person", "ada", "--url", "http://127.0.0.1:9"],
            "no kycport-mock responds at http://127.0.0.1:9",
        ),
    ] {
        let (message, code) = failure(&arguments);
        assert!(
            message.contains(expected_message),
            "{arguments:?}: {message}"
        );
        assert_eq!((message.lines().count(), code), (1, 1), "{message}");
    }
    let (message, code) = failure(&["trigger", "person.rejcted", "--person", "ada"]);
    assert!(message.contains("person.rejected"), "{message}");
    assert_eq!(code, 2);
}
