//! The image is what Windows demands, and the same from every folder.

use anyhow::Result;

use super::Tally;

/// Runs the suite.
pub fn run(_tally: &mut Tally) -> Result<()> {
    kit::build_driver()?;
    Ok(())
}
