//! Builds the libraries that run in Windows' user mode.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result};

use crate::{
    architecture::Architecture,
    cargo,
    driver::{folder, lock},
    lint::DENY_WARNINGS,
    progress::Progress,
    reproducible,
    toolchain::Toolchain,
    vendor::Vendor,
    workspace::{self, write_if_changed},
};

/// Builds the package `package` of the workspace, whose library is called
/// `library`, and answers with the path of its DLL, beside the driver.
///
/// # Errors
///
/// If something is missing that `setup` would install, or does not compile.
pub fn build_windows_dll(
    architecture: Architecture,
    package: &str,
    library: &str,
) -> Result<PathBuf> {
    let workspace = workspace::root();
    let name = library.replace('_', "-");
    let mut progress = Progress::new(format!("Building {name}.dll for {architecture}"));
    run(
        &workspace,
        architecture,
        package,
        "build",
        &mut progress,
        |_, _| {},
    )?;
    let built = target_folder(&workspace)
        .join(architecture.windows_target())
        .join("driver")
        .join(format!("{library}.dll"));
    let mut image =
        fs::read(&built).with_context(|| format!("the build left no {}", built.display()))?;
    if !cfg!(windows) {
        reproducible::stamp(&mut image, None)?;
    }
    let path = folder(&workspace, architecture).join(format!("{name}.dll"));
    write_if_changed(&path, &image)?;
    Ok(path)
}

/// Runs the compiler's own clippy over such a package, with every warning an
/// error.
///
/// # Errors
///
/// If anything is found, or does not compile.
pub fn clippy_windows_dll(architecture: Architecture, package: &str) -> Result<()> {
    let mut progress = Progress::new(format!("Checking {package} for {architecture} with clippy"));
    let workspace = workspace::root();
    run(
        &workspace,
        architecture,
        package,
        "check",
        &mut progress,
        |command, toolchain| {
            command
                .env("RUSTC_WORKSPACE_WRAPPER", toolchain.clippy())
                .env("CLIPPY_ARGS", DENY_WARNINGS);
        },
    )
}

fn run(
    workspace: &Path,
    architecture: Architecture,
    package: &str,
    subcommand: &str,
    progress: &mut Progress,
    prepare: impl Fn(&mut Command, &Toolchain),
) -> Result<()> {
    let _lock = lock(workspace)?;
    let toolchain = Toolchain::find(workspace, architecture, progress)?;
    let mut command = cargo::command(workspace, &toolchain);
    let target = architecture.windows_target();
    let (variable, linker) = Toolchain::linker(target);
    command.args([subcommand, "--locked", "--package", package]);
    command.args(["--profile", "driver"]);
    command.args(toolchain.arguments(target));
    if !cfg!(windows) {
        let vendor = Vendor::prepare(workspace, &toolchain, progress)?;
        command.args(vendor.arguments()).env(variable, linker);
    }
    command
        // No time of day in the image.
        .env("CARGO_ENCODED_RUSTFLAGS", "-Clink-arg=/Brepro")
        .arg("--target-dir")
        .arg(target_folder(workspace));
    prepare(&mut command, &toolchain);
    cargo::run(
        command,
        &workspace.join("target").join(format!("{package}.log")),
        progress,
    )
}

/// Not the driver's: with other flags each would build the library anew.
fn target_folder(workspace: &Path) -> PathBuf {
    workspace.join("target/cross-user")
}
