//! The driver package: INF, catalogue, signatures, media, and what breaks them.

use anyhow::Result;

use super::{Tally, nt};
use crate::package::packer;

/// Runs the suite.
pub fn run(tally: &mut Tally) -> Result<()> {
    kit::build_driver(kit::Architecture::X64)?;
    let mut command = packer();
    command.arg("check");
    nt::other_runner(&mut command, tally)
}
