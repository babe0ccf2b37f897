//! `package`: builds the drivers and hands them to the program that packs, signs
//! and verifies. That one is a crate of its own, to keep this program small.

use std::{
    ffi::OsString,
    process::{Command, ExitCode},
};

use anyhow::{Context, Result};
use kit::Architecture;

/// Builds the drivers and makes the package; the options are the packer's.
///
/// # Errors
///
/// If a driver can't be built or the packer can't be started.
pub fn package(options: Vec<OsString>) -> Result<ExitCode> {
    kit::setup(kit::Purpose::Pack)?;
    // Minutes of building are not spent on a mistyped option.
    if !succeeds(packer().arg("options").args(&options))? {
        return Ok(ExitCode::FAILURE);
    }
    Ok(if succeeds(packing()?.args(options))? {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

fn succeeds(command: &mut Command) -> Result<bool> {
    let status = command.status().context("can't run cargo")?;
    Ok(status.success())
}

/// Builds drivers and custom actions for every architecture, and answers with the
/// packing program that is to pack them.
///
/// # Errors
///
/// If something can't be built.
pub fn packing() -> Result<Command> {
    let mut command = packer();
    command.arg("package");
    for &architecture in architectures() {
        let driver = kit::build_driver(architecture)?;
        command.arg("--driver").arg(driver);
        let actions = kit::build_windows_dll(architecture, "installer-action", "pvpanic_action")?;
        command.arg("--actions").arg(actions);
    }
    Ok(command)
}

/// What this host has a kit for: Microsoft's is for one architecture.
const fn architectures() -> &'static [Architecture] {
    if cfg!(windows) {
        &[Architecture::X64]
    } else {
        &Architecture::ALL
    }
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
