//! `package`: builds the driver and hands it to the program that packs, signs
//! and verifies. That one is a crate of its own, to keep this program small.

use std::{
    ffi::OsString,
    process::{Command, ExitCode},
};

use anyhow::{Context, Result};

/// Builds the driver and makes the package; the options are the packer's.
///
/// # Errors
///
/// If the driver can't be built or the packer can't be started.
pub fn package(options: Vec<OsString>) -> Result<ExitCode> {
    kit::setup(kit::Purpose::Pack)?;
    kit::build_driver(kit::Architecture::X64)?;
    let actions =
        kit::build_windows_dll(kit::Architecture::X64, "installer-action", "pvpanic_action")?;
    let status = packer()
        .arg("package")
        .arg("--actions")
        .arg(actions)
        .args(options)
        .status()
        .context("can't run cargo")?;
    Ok(if status.success() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// The packing program, without its arguments.
pub fn packer() -> Command {
    let mut command = Command::new("cargo");
    command
        .args(["run", "--quiet", "--locked", "--package", "package", "--"])
        // It works below this folder's target, wherever cargo builds.
        .env("CARGO_TARGET_DIR", kit::root().join("target"))
        .current_dir(kit::root());
    command
}
