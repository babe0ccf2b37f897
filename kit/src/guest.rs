//! Builds the test kernel's program for a bare machine.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::Result;

use crate::{
    architecture::Architecture, cargo, driver::lock, progress::Progress, toolchain::Toolchain,
    vendor::Vendor, workspace,
};

/// Builds `tests/guest` for an architecture and answers with the path of the ELF
/// file that QEMU starts.
///
/// # Errors
///
/// If something is missing that `setup` would install, or does not compile.
pub fn build_guest(architecture: Architecture) -> Result<PathBuf> {
    let workspace = workspace::root();
    let mut progress = Progress::new(format!("Building the test kernel for {architecture}"));
    let _lock = lock(&workspace)?;
    let toolchain = Toolchain::find(&workspace, architecture, &mut progress)?;
    let vendor = Vendor::prepare(&workspace, &toolchain, &mut progress)?;
    let command = cargo(&workspace, architecture, &toolchain, &vendor, "build");
    cargo::run(command, &workspace.join("target/guest.log"), &mut progress)?;
    Ok(cargo::target_folder(&workspace)
        .join(architecture.bare_target())
        .join("guest/guest"))
}

/// Cargo for the test kernel's program.
pub fn cargo(
    workspace: &Path,
    architecture: Architecture,
    toolchain: &Toolchain,
    vendor: &Vendor,
    subcommand: &str,
) -> Command {
    let mut command = cargo::command(workspace, toolchain);
    let target = architecture.bare_target();
    let (variable, linker) = Toolchain::linker(target);
    command
        .env(variable, linker)
        .args([subcommand, "--locked", "--package", "guest"])
        .args(["--profile", "guest"])
        .args(toolchain.arguments(target))
        .args(vendor.arguments())
        .arg("--target-dir")
        .arg(cargo::target_folder(workspace));
    command
}
