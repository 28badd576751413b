//! The mock issuer as a program: see `kycport-mock --help`.

use std::process::ExitCode;

fn main() -> ExitCode {
    kycport::mock::cli::run(std::env::args_os())
}
