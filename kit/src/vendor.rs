//! The crates' sources under `target/vendor`, with `wdk-build` edited.
//!
//! A directory of sources that replaces the registry leaves Cargo.lock as it
//! is: it only says where the very same crates come from.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail};

use crate::{
    cargo, host_edits,
    progress::Progress,
    toolchain::Toolchain,
    workspace::{fingerprint, read, write_if_changed},
};

/// The vendored crates of a workspace.
pub struct Vendor {
    folder: PathBuf,
}

impl Vendor {
    /// Vendors the crates, if Cargo.lock changed since they were.
    pub fn prepare(
        workspace: &Path,
        toolchain: &Toolchain,
        progress: &mut Progress,
    ) -> Result<Self> {
        let vendor = Self {
            folder: workspace.join("target/vendor"),
        };
        let stamp = workspace.join("target/vendor.fingerprint");
        let library = toolchain.library_manifest();
        let mut texts = vec![read(&workspace.join("Cargo.lock"))?];
        if let Some(library) = &library {
            texts.push(read(&library.with_file_name("Cargo.lock"))?);
        }
        texts.extend(host_edits::texts().map(str::to_owned));
        let wanted = fingerprint(&texts);
        if fs::read_to_string(&stamp).is_ok_and(|present| present == wanted) {
            return Ok(vendor);
        }
        progress.step("fetching the sources of the crates");
        if stamp.exists() {
            fs::remove_file(&stamp).with_context(|| format!("can't remove {}", stamp.display()))?;
        }
        // Cargo would take an edited copy for an intact one.
        let edited = vendor.folder.join(wdk_build());
        if edited.exists() {
            fs::remove_dir_all(&edited)
                .with_context(|| format!("can't remove {}", edited.display()))?;
        }
        let mut command = cargo::command(workspace, toolchain);
        command.args([
            "vendor",
            "--quiet",
            "--locked",
            "--versioned-dirs",
            "--respect-source-config",
        ]);
        if let Some(library) = &library {
            command.arg("--sync").arg(library);
        }
        command.arg(&vendor.folder);
        let output = command.output().context("can't run cargo")?;
        if !output.status.success() {
            bail!(
                "`cargo vendor` failed ({}):\n{}",
                output.status,
                String::from_utf8_lossy(&output.stderr)
            );
        }
        if !edited.is_dir() {
            bail!(
                "{} is not there. The edits in kit/src/host_edits.rs are written for that release; \
                 if Cargo.lock has another, write them anew",
                edited.display()
            );
        }
        host_edits::apply(&edited)?;
        write_if_changed(&stamp, wanted.as_bytes())?;
        Ok(vendor)
    }

    /// What makes cargo take the crates from here.
    pub fn arguments(&self) -> [String; 4] {
        [
            "--config".to_owned(),
            "source.crates-io.replace-with=\"vendored\"".to_owned(),
            "--config".to_owned(),
            // A literal string of TOML: backslashes stand for themselves.
            format!("source.vendored.directory='{}'", self.folder.display()),
        ]
    }
}

/// The folder of the crate that is edited.
fn wdk_build() -> String {
    format!("wdk-build-{}", host_edits::RELEASE)
}
