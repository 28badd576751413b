//! Tests that the program reads its configuration, starts and stops correctly.

use std::{
    io::{BufRead as _, BufReader},
    process::Stdio,
};

use serde_json::Value;

use crate::program::{Running, command, failure, file, run, written};

async fn json(url: &str) -> Value {
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let body = client.get(url).send().await.unwrap().text().await.unwrap();
    serde_json::from_str(&body).unwrap()
}

#[tokio::test]
async fn the_first_line_has_all_values_for_a_script() {
    let mock = Running::start(&["--sample-persons"]);
    let discovery = json(mock.get("discovery_url")).await;
    assert_eq!(discovery["issuer"], mock.get("issuer"));
    let own = json(mock.get("admin_url")).await;
    assert_eq!(own, mock.output);
    for secret in ["client_secret", "tenant_api_key", "webhook_secret"] {
        assert!(mock.get(secret).len() > 16, "{secret}");
    }
    let persons = json(&format!("{}/persons", mock.get("admin_url"))).await;
    assert_eq!(persons[0]["slug"], "ada");
}

#[tokio::test]
async fn the_sample_file_is_valid_and_takes_effect() {
    let sample = file("examples/kycport-mock.toml");
    let mock = Running::start(&["--config", sample.to_str().unwrap()]);
    assert_eq!(mock.get("client_id"), "acme-app");
    assert_eq!(mock.get("client_secret"), "secret-for-your-desk-alone");
    assert_eq!(mock.get("public_client_id"), "acme-phone");
    assert_eq!(mock.get("tenant_api_key"), "key_for_your_desk_alone");
    assert_eq!(mock.get("webhook_secret"), "hook_for_your_desk_alone");
    let admin = mock.get("admin_url");
    let nina = json(&format!("{admin}/persons/nina")).await;
    assert_eq!(
        (&nina["status"], &nina["tier"]),
        (&"pending".into(), &"t1".into())
    );
    let persons = json(&format!("{admin}/persons")).await;
    assert_eq!(persons.as_array().unwrap().len(), 7);
    let endpoints = json(&format!("{admin}/webhooks/endpoints")).await;
    assert_eq!(endpoints[0]["tenant"], "Acme Bank");
    let switches = json(&format!("{admin}/switches")).await;
    assert_eq!(
        switches["webhook_retries_seconds"],
        serde_json::json!([10, 60, 600])
    );
    // A new sandbox has the same initial state as the mock.
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let opened = client
        .post(format!("{admin}/sandboxes"))
        .send()
        .await
        .unwrap();
    let opened: Value = serde_json::from_str(&opened.text().await.unwrap()).unwrap();
    assert_eq!(opened["issuer"]["client_id"], "acme-app");
    assert_ne!(opened["issuer"]["origin"], mock.get("origin"));
}

#[test]
fn an_error_in_the_file_is_reported_with_its_position() {
    for (name, text, needle) in [
        (
            "teir.toml",
            "[[persons]]\nslug = \"ada\"\nteir = \"t2\"\n",
            "unknown field `teir`, expected one of",
        ),
        (
            "top.toml",
            "[swiches]\n",
            "unknown field `swiches`, expected one of",
        ),
        (
            "word.toml",
            "[[persons]]\nslug = \"ada\"\nstatus = \"ok\"\n",
            "unknown variant `ok`, expected one of `verified`",
        ),
        (
            "uri.toml",
            "[[clients]]\nname = \"A\"\nredirect_uris = [\"http://app.test/\"]\n",
            "http://app.test/",
        ),
        (
            "short.toml",
            "[[tenants]]\nid = \"A\"\nwebhook_secret = \"short\"\n",
            "shorter than 16 characters",
        ),
        (
            "hook.toml",
            "[[webhooks]]\nurl = \"nowhere\"\n",
            "\"nowhere\" is not a valid HTTP or HTTPS URL",
        ),
        (
            "public.toml",
            "[[clients]]\nname = \"A\"\nkind = \"public\"\nsecret = \"s\"\n",
            "a public client must not have a secret",
        ),
        ("syntax.toml", "[[persons\n", "line 1"),
    ] {
        let path = written(name, text);
        let (message, code) =
            failure(&["--bind", "127.0.0.1:0", "--config", path.to_str().unwrap()]);
        assert!(message.contains(needle), "{name}: {message}");
        assert_eq!(code, 1);
    }
    let (message, _) = failure(&["--config", "/nowhere/at/all.toml"]);
    assert!(
        message.starts_with("kycport-mock: cannot read /nowhere/at/all.toml: "),
        "{message}"
    );
}

#[test]
fn the_terminal_output_has_an_environment_to_paste() {
    let mut child = command(&[
        "--bind",
        "127.0.0.1:0",
        "--redirect-uri",
        "http://localhost:4000/cb",
    ])
    .stdout(Stdio::piped())
    .spawn()
    .unwrap();
    let out = BufReader::new(child.stdout.take().unwrap());
    let lines: Vec<_> = out
        .lines()
        .map(Result::unwrap)
        .take_while(|line| line != "Press Ctrl-C to stop the mock.")
        .collect();
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(lines[0].starts_with("A mock of KYCPort is running at http://127.0.0.1:"));
    for name in [
        "ISSUER",
        "DISCOVERY_URL",
        "API_BASE_URL",
        "CLIENT_ID",
        "CLIENT_SECRET",
        "TENANT_API_KEY",
        "WEBHOOK_SECRET",
    ] {
        let begin = format!("KYCPORT_{name}=");
        assert!(lines.iter().any(|line| line.starts_with(&begin)), "{name}");
    }
    assert!(lines.contains(&"KYCPORT_REDIRECT_URI=http://localhost:4000/cb".to_owned()));
}

#[test]
fn a_non_loopback_address_must_be_allowed() {
    let (message, code) = failure(&["--bind", "0.0.0.0:0"]);
    assert!(message.contains("add --danger-bind-any"), "{message}");
    assert_eq!(code, 1);
}

#[test]
fn a_port_in_use_causes_a_clear_error() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let (message, code) = failure(&["--bind", &address]);
    assert!(
        message.starts_with(&format!("kycport-mock: cannot listen on {address}: ")),
        "{message}"
    );
    assert!(message.contains("--bind 127.0.0.1:0"), "{message}");
    assert_eq!(code, 1);
}

#[test]
fn unknown_flags_are_rejected() {
    let (message, code) = failure(&["--sample-person"]);
    assert!(message.contains("--sample-persons"), "{message}");
    assert_eq!(code, 2);
    let help = run(&["--help"]);
    assert!(help.status.success());
    assert!(
        String::from_utf8(help.stdout)
            .unwrap()
            .contains("[default: 127.0.0.1:9710]")
    );
}

#[tokio::test]
async fn flags_set_the_advertised_urls() {
    let mock = Running::start(&[
        "--issuer",
        "https://www.kycport.com",
        "--public-url",
        "http://localhost:9/",
    ]);
    assert_eq!(mock.get("issuer"), "https://www.kycport.com");
    assert_eq!(mock.get("origin"), "http://localhost:9");
    let tls = Running::start(&["--tls"]);
    assert!(tls.get("origin").starts_with("https://"));
    assert!(
        tls.get("root_pem")
            .starts_with("-----BEGIN CERTIFICATE-----")
    );
}

#[cfg(unix)]
#[test]
fn a_signal_ends_the_program_immediately_with_success() {
    for signal in ["-INT", "-TERM"] {
        let (_, _, is_well) = Running::start(&[]).end_by(signal);
        assert!(is_well, "{signal}");
    }
}

#[test]
fn the_program_ends_when_its_standard_input_closes() {
    let (_, _, is_well) = Running::start(&["--until-stdin-ends"]).close_stdin();
    assert!(is_well);
}
