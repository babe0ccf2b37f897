//! The code is formatted.

use std::process::Command;

use super::{Tally, unit::succeed};

/// Runs the suite.
pub fn run(tally: &mut Tally) {
    let mut command = Command::new("cargo");
    command
        .args(["fmt", "--all", "--check"])
        .current_dir(kit::root());
    tally.check("all crates are formatted", succeed(&mut command));
}
