//! Checks whether people will be able to sign in, before anybody tries.
//!
//! ```text
//! cargo run --example doctor
//! ```
//!
//! With `KYCPORT_CLIENT_ID` set it checks the configuration in the environment, the store that
//! `KYCPORT_STORE` names included, and exits with 1 if something does not work. Without, it starts a
//! mock of KYCPort and checks that.
#![expect(clippy::print_stdout, reason = "it talks to whoever started it")]

use std::{error::Error, process::ExitCode};

use kycport::{Config, RelyingParty, mock::MockIssuer};

#[tokio::main]
async fn main() -> Result<ExitCode, Box<dyn Error>> {
    let mut mock = None;
    let config = if std::env::var_os("KYCPORT_CLIENT_ID").is_some() {
        Config::from_env()?
    } else {
        println!("KYCPORT_CLIENT_ID is not set: this is about a mock of KYCPort.\n");
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
