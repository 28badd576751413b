//! Serving, and what is said about it.

use std::{
    fmt::Write as _,
    io::{self, Write as _},
};

use super::{Print, Sentence, Serve, config, ending::Ending};
use crate::mock::{
    builder::MockIssuerBuilder, error::MockError, http::log::RecordedRequest, issuer::MockIssuer,
    overview::Overview,
};

pub(super) fn serve(serve: &Serve) -> Result<(), Sentence> {
    let ending = Ending::new()?;
    let kyc = builder(serve)?
        .start_blocking()
        .map_err(|error| sentence(&error, serve.bind))?;
    kyc.client().register_redirect_uri(&serve.redirect_uri)?;
    let said = match serve.print {
        Print::Text => text(&kyc, &serve.redirect_uri),
        Print::Json => {
            let overview = Overview::of(
                kyc.core(),
                kyc.client().record(),
                kyc.public_client().record(),
            );
            serde_json::to_string(&overview)? + "\n"
        }
    };
    say(Print::Text, &said);
    if serve.until_stdin_ends {
        ending.wait_with_stdin();
    } else {
        ending.wait();
    }
    Ok(())
}

fn builder(serve: &Serve) -> Result<MockIssuerBuilder, Sentence> {
    let mut builder = MockIssuer::builder().admin();
    if let Some(file) = &serve.config {
        builder = builder.begin_with(config::read(file)?);
    }
    builder = if serve.danger_bind_any {
        builder.danger_bind_any(serve.bind)
    } else {
        builder.bind(serve.bind)
    };
    if let Some(url) = &serve.public_url {
        builder = builder.public_origin(url.trim_end_matches('/'));
    }
    if let Some(issuer) = &serve.issuer {
        builder = builder.issuer(issuer);
    }
    if serve.sample_persons {
        builder = builder.with_sample_persons();
    }
    if serve.auto_consent {
        builder = builder.auto_consent(true);
    }
    if let Some(token) = &serve.admin_token {
        builder = builder.admin_token(token);
    }
    if serve.danger_webhooks_anywhere {
        builder = builder.danger_webhooks_anywhere();
    }
    if serve.tls {
        builder = builder.tls();
    }
    if !serve.quiet {
        let print = serve.print;
        builder = builder.watch_requests(move |request| say(print, &line(request)));
    }
    Ok(builder)
}

fn sentence(error: &MockError, bind: std::net::SocketAddr) -> String {
    match error {
        MockError::NotLoopback(address) => format!(
            "whoever reaches {address} could sign in as anyone; if it must be, add \
             --danger-bind-any"
        ),
        MockError::Listen(error) => format!(
            "cannot listen on {bind}: {error}; --bind 127.0.0.1:0 takes a port that is free"
        ),
        other => other.to_string(),
    }
}

/// What a person needs to go on.
fn text(kyc: &MockIssuer, redirect_uri: &str) -> String {
    let mut text = format!("A mock of KYCPort is running at {}\n", kyc.origin());
    let _ = writeln!(text, "Admin API: {}", kyc.admin_url().unwrap_or_default());
    let _ = writeln!(
        text,
        "Admin token, for other machines: {}",
        kyc.admin_token().unwrap_or_default()
    );
    text.push_str("\nThe environment of your app:\n\n");
    for (name, value) in kyc.environment(redirect_uri) {
        let _ = writeln!(text, "{name}={value}");
    }
    if let Some(root) = kyc.root_pem() {
        let _ = write!(text, "\nWhom your app is to trust:\n\n{root}");
    }
    text.push_str("\nCtrl-C ends it.\n\n");
    text
}

/// A request in one line: what was asked, what was answered and why. Names of parameters, never
/// values.
fn line(request: &RecordedRequest) -> String {
    let line = format!("{request:?}");
    // A name that came from outside moves no cursor.
    let line = line.chars().map(|c| if c.is_control() { '?' } else { c });
    let mut line: String = line.take(LONGEST_LINE).collect();
    line.push('\n');
    line
}

/// Nobody may be there to read it, and that ends nothing.
fn say(print: Print, text: &str) {
    let _ = match print {
        Print::Text => io::stdout().lock().write_all(text.as_bytes()),
        Print::Json => io::stderr().lock().write_all(text.as_bytes()),
    };
}

/// As much as is read at a glance, and a little more.
const LONGEST_LINE: usize = 400;
