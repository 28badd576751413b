//! The program `kycport-mock`, which runs the mock issuer. `kycport-mock --help` describes its
//! arguments.

use std::process::ExitCode;

fn main() -> ExitCode {
    kycport::mock::cli::run(std::env::args_os())
}
