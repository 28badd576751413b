//! The command `verify`, which checks a live issuer against the contract.

use std::{
    io::{self, Write as _},
    process::ExitCode,
};

use tokio::runtime::Builder;

use super::{CliError, Verify};
use crate::mock::probe::Probe;

pub(super) fn verify(what: &Verify) -> Result<ExitCode, CliError> {
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let mut probe = Probe::new(&what.against);
    if let Some(issuer) = &what.issuer {
        probe = probe.issuer(issuer);
    }
    let report = runtime.block_on(probe.run());
    writeln!(io::stdout(), "{report}")?;
    Ok(ExitCode::from(report.exit_code()))
}
