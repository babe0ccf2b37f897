//! Clippy for what is not built for the host.

use anyhow::Result;

use crate::{
    architecture::Architecture,
    cargo,
    driver::{Build, lock},
    guest,
    progress::Progress,
    toolchain::Toolchain,
    vendor::Vendor,
    workspace,
};

/// Runs the compiler's own clippy over the driver and the test kernel's
/// program, with every warning an error.
///
/// `cargo clippy` would run the clippy of cargo's own toolchain, which is
/// another release than the compiler here.
///
/// # Errors
///
/// If anything is found, or does not compile.
pub fn clippy_driver(architecture: Architecture) -> Result<()> {
    let workspace = workspace::root();
    let log = workspace.join("target/clippy.log");
    let mut progress = Progress::new(format!(
        "Checking the driver for {architecture} with clippy"
    ));
    let build = Build::prepare(&workspace, architecture, &mut progress)?;
    let clippy = build.toolchain().clippy();

    let mut command = build.cargo("check");
    command
        .env("RUSTC_WORKSPACE_WRAPPER", &clippy)
        .env("CLIPPY_ARGS", DENY_WARNINGS)
        .args(["--profile", "driver"])
        .args(["--package", "pvpanic", "--package", "layout"]);
    cargo::run(command, &log, &mut progress)?;

    let (toolchain, vendor) = (build.toolchain(), build.vendor());
    let mut command = guest::cargo(&workspace, architecture, toolchain, vendor, "check");
    command
        .env("RUSTC_WORKSPACE_WRAPPER", &clippy)
        .env("CLIPPY_ARGS", DENY_WARNINGS);
    cargo::run(command, &log, &mut progress)
}

/// Compiles what builds and packs the driver on a Windows host, without linking.
///
/// # Errors
///
/// If something in it is for Linux alone.
pub fn check_windows_host() -> Result<()> {
    let workspace = workspace::root();
    let mut progress = Progress::new("Checking the commands of a Windows host");
    let _lock = lock(&workspace)?;
    let toolchain = Toolchain::find(&workspace, Architecture::X64, &mut progress)?;
    let vendor = Vendor::prepare(&workspace, &toolchain, &mut progress)?;
    let mut command = cargo::command(&workspace, &toolchain);
    command
        .args(["check", "--locked", "--package", "xtask"])
        .args(["--package", "package"])
        .args(toolchain.program_arguments(Architecture::X64.windows_target()))
        .args(vendor.arguments())
        .arg("--target-dir")
        .arg(workspace.join("target/windows-host"));
    cargo::run(
        command,
        &workspace.join("target/windows-host.log"),
        &mut progress,
    )
}

/// As `cargo clippy` passes it.
pub const DENY_WARNINGS: &str = "-D__CLIPPY_HACKERY__warnings__CLIPPY_HACKERY__";
