//! Holds the kernel's structures, as the kit's headers have them, against
//! Microsoft's metadata.

use anyhow::Result;

use crate::{architecture::Architecture, cargo, driver::Build, progress::Progress, workspace};

/// Compiles `tests/layout`, whose assertions compare the bindings with
/// `windows-sys`.
///
/// # Errors
///
/// If a structure differs: the compiler's message names it.
pub fn check_structures(architecture: Architecture) -> Result<()> {
    let workspace = workspace::root();
    let mut progress = Progress::new(format!(
        "Checking the kernel's structures for {architecture}"
    ));
    let build = Build::prepare(&workspace, architecture, &mut progress)?;
    let mut command = build.cargo("check");
    command.args(["--package", "layout", "--profile", "driver"]);
    cargo::run(command, &workspace.join("target/layout.log"), &mut progress)
}
