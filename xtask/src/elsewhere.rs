//! A second copy of the sources, below `target/`, to build the driver from
//! another folder or with a fault in it.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, bail};
use kit::Architecture;

use crate::mutants::Fault;

/// The copy.
#[derive(Debug)]
pub struct Elsewhere {
    root: PathBuf,
}

impl Elsewhere {
    /// Brings the copy up to date with what git tracks or does not ignore.
    /// Files that are the same keep their time, so that cargo builds little.
    ///
    /// # Errors
    ///
    /// Without git, or if a file can't be copied.
    pub fn new() -> Result<Self> {
        let sources = kit::root();
        let root = sources.join("target/elsewhere");
        let listing = Command::new("git")
            .args([
                "ls-files",
                "-z",
                "--cached",
                "--others",
                "--exclude-standard",
            ])
            .current_dir(&sources)
            .output()
            .context("can't run git")?;
        if !listing.status.success() {
            bail!("git ls-files: {}", String::from_utf8_lossy(&listing.stderr));
        }
        for name in listing.stdout.split(|&byte| byte == 0) {
            let name = std::str::from_utf8(name).context("a file's name is no UTF-8")?;
            let from = sources.join(name);
            // A name at the end is empty; a deleted file may still be tracked.
            if !name.is_empty() && from.is_file() {
                write(&root.join(name), &read(&from)?)?;
            }
        }
        let toolchain = root.join("target/toolchain");
        if !toolchain.exists() {
            fs::create_dir_all(root.join("target"))
                .with_context(|| format!("can't create {}", root.display()))?;
            std::os::unix::fs::symlink(sources.join("target/toolchain"), &toolchain)
                .with_context(|| format!("can't link {}", toolchain.display()))?;
        }
        Ok(Self { root })
    }

    /// A copy in which nothing is built yet.
    ///
    /// # Errors
    ///
    /// As [`Self::new`], or if the old copy can't be deleted.
    pub fn fresh() -> Result<Self> {
        let root = kit::root().join("target/elsewhere");
        if root.exists() {
            fs::remove_dir_all(&root)
                .with_context(|| format!("can't delete {}", root.display()))?;
        }
        Self::new()
    }

    /// Makes a source file newer than what was built of it.
    ///
    /// # Errors
    ///
    /// If it can't be written.
    pub fn touch(&self, name: &str) -> Result<()> {
        let path = self.root.join(name);
        let content = read(&path)?;
        fs::write(&path, content).with_context(|| format!("can't write {}", path.display()))
    }

    /// Builds the driver of the copy.
    ///
    /// # Errors
    ///
    /// If it does not compile.
    pub fn build(&self, architecture: Architecture) -> Result<Vec<u8>> {
        read(&kit::build_driver_in(&self.root, architecture)?)
    }

    /// Builds the driver with a fault in it.
    ///
    /// # Errors
    ///
    /// If the fault's text is not in its file exactly once, or does not compile.
    pub fn build_with(&self, fault: &Fault) -> Result<Vec<u8>> {
        self.with(fault, |copy| copy.build(Architecture::X64))
    }

    /// Runs the protocol's unit tests with a fault in it: what failed, if any did.
    ///
    /// # Errors
    ///
    /// If the fault's text is not in its file exactly once, or cargo can't be run.
    pub fn unit_tests_with(&self, fault: &Fault) -> Result<Option<String>> {
        if !fault.file.starts_with("driver/protocol/") {
            return Ok(None);
        }
        let output = self.with(fault, |copy| {
            Command::new("cargo")
                .args([
                    "test",
                    "--quiet",
                    "--locked",
                    "--package",
                    "pvpanic-protocol",
                ])
                .current_dir(&copy.root)
                .env("CARGO_TARGET_DIR", copy.root.join("target"))
                .output()
                .context("can't run cargo")
        })?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let failed = text
            .lines()
            .find_map(|line| line.strip_suffix(" stdout ----")?.strip_prefix("---- "));
        Ok((!output.status.success()).then(|| {
            failed.map_or_else(
                || "does not compile as a test".to_owned(),
                |name| format!("unit test {name}"),
            )
        }))
    }

    /// Puts a fault into the copy, does something, and takes it out again,
    /// whatever comes of it.
    fn with<T>(&self, fault: &Fault, act: impl FnOnce(&Self) -> Result<T>) -> Result<T> {
        let path = self.root.join(fault.file);
        let original = read(&path)?;
        let text = String::from_utf8_lossy(&original);
        let count = text.matches(fault.find).count();
        if count != 1 {
            bail!(
                "{} has {:?} {count} times instead of once: bring the fault up to date",
                fault.file,
                fault.find
            );
        }
        write(
            &path,
            text.replacen(fault.find, fault.replace, 1).as_bytes(),
        )?;
        let result = act(self);
        write(&path, &original)?;
        result
    }
}

/// Builds the driver of this workspace for x64 and answers its bytes: those that
/// are shipped.
///
/// # Errors
///
/// If it does not compile.
pub fn shipped() -> Result<Vec<u8>> {
    read(&kit::build_driver(Architecture::X64)?)
}

fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).with_context(|| format!("can't read {}", path.display()))
}

fn write(path: &Path, content: &[u8]) -> Result<()> {
    if fs::read(path).is_ok_and(|present| present == content) {
        return Ok(());
    }
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).with_context(|| format!("can't create {}", folder.display()))?;
    }
    fs::write(path, content).with_context(|| format!("can't write {}", path.display()))
}
