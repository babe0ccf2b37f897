//! The lints of windows-drivers-rs hold.

use std::process::Command;

use kit::Architecture;

use super::{Tally, unit::succeed};

/// Runs the suite.
pub fn run(tally: &mut Tally) {
    let mut command = Command::new("cargo");
    command
        .args([
            "clippy",
            "--quiet",
            "--locked",
            "--all-targets",
            "--",
            "-D",
            "warnings",
        ])
        .current_dir(kit::root());
    tally.check(
        "clippy finds nothing in what runs on this host",
        succeed(&mut command),
    );
    for architecture in Architecture::ALL {
        tally.check(
            &format!("clippy finds nothing in what runs on Windows for {architecture}"),
            kit::clippy_driver(architecture),
        );
    }
    tally.check(
        "what builds and packs compiles for a Windows host",
        kit::check_windows_host(),
    );
}
