//! The tests of the package: what it is made of, that others read it as we
//! do, and that whatever is broken is refused.
//!
//! Nothing here is skipped: a tool that is missing is a failure.

mod architectures;
mod broken_inf;
mod damage;
mod delivery;
mod documents;
mod have_disk;
mod inf_rules;
mod refusals;
mod signing;
mod windows_kit;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use crate::driver_package::Driver;
use crate::staging::Staging;

/// Where the tests work, and on what.
#[derive(Clone, Debug)]
pub struct Place {
    /// The repository.
    pub repository: PathBuf,
    /// Cargo's target folder.
    pub target: PathBuf,
    /// The `.sys` to pack, for x64.
    pub driver: PathBuf,
    /// Its symbols.
    pub symbols: PathBuf,
    /// The driver for ARM64.
    pub arm64: Driver,
}

/// How many tests passed, and how many did not.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tally {
    /// Passed.
    pub passed: usize,
    /// Failed.
    pub failed: usize,
}

impl Tally {
    /// Counts and prints one test.
    fn take<T>(&mut self, name: &str, result: Result<T>) -> Option<T> {
        match result {
            Ok(value) => {
                self.passed += 1;
                println!("ok      {name}");
                Some(value)
            }
            Err(error) => {
                self.failed += 1;
                println!("FAILED  {name}: {error:#}");
                None
            }
        }
    }
}

/// Runs all tests.
///
/// # Errors
/// The place is not there: no driver, or a target folder that can't be
/// written. What a test finds is in the tally.
pub fn run(place: &Place) -> Result<Tally> {
    for (file, build) in [
        (&place.driver, "cargo xtask build"),
        (&place.symbols, "cargo xtask build"),
        (&place.arm64.image, "cargo xtask build --arch arm64"),
        (&place.arm64.symbols, "cargo xtask build --arch arm64"),
    ] {
        fs::metadata(file)
            .with_context(|| format!("{} is not there: run `{build}`", file.display()))?;
    }
    let work = work(&place.target)?;
    let mut tally = Tally::default();
    inf_rules::run(place, &mut tally);
    delivery::run(place, work.path(), &mut tally);
    architectures::run(place, &work.path().join("architectures"), &mut tally);
    refusals::run(place, work.path(), &mut tally);
    windows_kit::run(place, work.path(), &mut tally);
    Ok(tally)
}

/// A folder for the tests' own files, which is gone afterwards.
fn work(target: &Path) -> Result<Staging> {
    fs::create_dir_all(target).with_context(|| format!("{}", target.display()))?;
    // Wine wants the whole path.
    Staging::new(&fs::canonicalize(target)?)
}
