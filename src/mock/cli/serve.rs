//! The default command, which runs the mock and prints its settings.

use std::{
    fmt::Write as _,
    io::{self, Write as _},
};

use super::{CliError, Print, Serve, config, shutdown::Shutdown};
use crate::mock::{
    builder::MockIssuerBuilder, error::MockError, http::log::RecordedRequest, issuer::MockIssuer,
    overview::Overview,
};

pub(super) fn serve(serve: &Serve) -> Result<(), CliError> {
    let shutdown = Shutdown::new()?;
    let kyc = builder(serve)?
        .start_blocking()
        .map_err(|error| sentence(&error, serve.bind))?;
    kyc.client().register_redirect_uri(&serve.redirect_uri)?;
    let output = match serve.print {
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
    print_text(Print::Text, &output);
    if serve.until_stdin_ends {
        shutdown.wait_with_stdin();
    } else {
        shutdown.wait();
    }
    Ok(())
}

fn builder(serve: &Serve) -> Result<MockIssuerBuilder, CliError> {
    let mut builder = MockIssuer::builder().admin();
    if let Some(file) = &serve.config {
        builder = builder.initial_state(config::read(file)?);
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
        builder = builder.watch_requests(move |request| print_text(print, &line(request)));
    }
    Ok(builder)
}

fn sentence(error: &MockError, bind: std::net::SocketAddr) -> String {
    match error {
        MockError::NotLoopback(address) => format!(
            "{address} is not a loopback address: anyone who can reach it could sign in as any \
             person; to allow this, add --danger-bind-any"
        ),
        MockError::Listen(error) => {
            format!("cannot listen on {bind}: {error}; use --bind 127.0.0.1:0 for a free port")
        }
        other => other.to_string(),
    }
}

/// Formats the settings that a person needs to configure an app.
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
        let _ = write!(
            text,
            "\nThe root certificate that your app must trust:\n\n{root}"
        );
    }
    text.push_str("\nPress Ctrl-C to stop the mock.\n\n");
    text
}

/// Formats a request as one line with its response and the reason of a rejection. The line contains
/// the names of parameters but not their values.
fn line(request: &RecordedRequest) -> String {
    let line = format!("{request:?}");
    // Replace control characters, because a client's parameter name must not move the terminal's
    // cursor.
    let line = line.chars().map(|c| if c.is_control() { '?' } else { c });
    let mut line: String = line.take(MAX_LINE).collect();
    line.push('\n');
    line
}

/// Prints the text. Ignores write errors, because a closed output must not stop the mock.
fn print_text(print: Print, text: &str) {
    let _ = match print {
        Print::Text => io::stdout().lock().write_all(text.as_bytes()),
        Print::Json => io::stderr().lock().write_all(text.as_bytes()),
    };
}

/// Maximum length of a printed request, in characters.
const MAX_LINE: usize = 400;
