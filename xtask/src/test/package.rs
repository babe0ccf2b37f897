//! The driver package: INF, catalogue, signatures, media, and what breaks them.

use anyhow::Result;
use kit::Architecture;

use super::{Tally, nt};
use crate::package::packer;

/// Runs the suite.
pub fn run(tally: &mut Tally) -> Result<()> {
    for architecture in Architecture::ALL {
        kit::build_driver(architecture)?;
    }
    let mut command = packer();
    command.arg("check");
    nt::other_runner(&mut command, tally)
}
