//! The MSI: its database, the rules that the database must obey, and what it
//! does in Wine.

mod archive;
mod build;
pub mod check;
pub mod command_line;
mod icon;
mod identity;
mod image;
pub mod rules;
mod schema;
mod sequence;
pub mod wine;

use std::path::PathBuf;

use anyhow::Result;

pub use build::{Contents, build};
pub use command_line::of_folder;
pub use kit::Architecture;

/// The crate with the custom actions.
const ACTIONS: &str = "installer-action";

/// Builds the library with the custom actions and answers with its path.
///
/// # Errors
/// The compiler for Windows is missing, or it does not compile.
pub fn actions(architecture: Architecture) -> Result<PathBuf> {
    kit::build_windows_dll(architecture, ACTIONS, "pvpanic_action")
}

/// The script that tells what a crash will send.
#[must_use]
pub fn status_script() -> PathBuf {
    kit::root().join("installer/Get-PvPanicStatus.ps1")
}
