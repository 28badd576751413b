//! Checks the configuration of an app before people sign in.
//!
//! ```text
//! cargo run --example doctor
//! ```
//!
//! If `KYCPORT_CLIENT_ID` is set, the program checks the configuration from the environment,
//! including the store that `KYCPORT_STORE` names. Without the variable, the program starts a mock
//! of KYCPort and checks the mock. The exit code is 1 if a check fails.
#![expect(clippy::print_stdout, reason = "the example prints to its user")]

use std::{error::Error, process::ExitCode};

use kycport::{Config, RelyingParty, mock::MockIssuer};

#[tokio::main]
async fn main() -> Result<ExitCode, Box<dyn Error>> {
    let mut mock = None;
    let config = if std::env::var_os("KYCPORT_CLIENT_ID").is_some() {
        Config::from_env()?
    } else {
        println!("KYCPORT_CLIENT_ID is not set: checking a mock of KYCPort.\n");
        let kyc = mock.insert(MockIssuer::start().await);
        kyc.config("http://127.0.0.1:3000/auth/callback").build()?
    };
    let kycport = RelyingParty::new(config)?;
    let report = kycport.doctor().await;
    print!("{report}");
    Ok(if report.is_healthy() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}
