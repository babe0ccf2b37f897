//! Everything that is checked.

use std::fs;
use std::path::Path;

use anyhow::{Result, ensure};

use crate::{image, rules, wine};

/// How many checks passed, and how many did not.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tally {
    /// Passed.
    pub passed: u32,
    /// Failed.
    pub failed: u32,
}

impl Tally {
    /// Counts and prints one check; it answers with what it saw.
    pub(crate) fn check(&mut self, name: &str, result: Result<String>) {
        match result {
            Ok(seen) => {
                self.passed += 1;
                println!("  ok      {name}: {seen}");
            }
            Err(error) => {
                self.failed += 1;
                println!("  FAILED  {name}");
                for line in format!("{error:#}").lines() {
                    println!("            {line}");
                }
            }
        }
    }
}

/// Checks the custom actions, the MSI of the package in `folder`, and what it
/// does in Wine under `target`. Prints each check with its verdict.
///
/// # Errors
/// A tool is missing, or the package is not there.
pub fn run(target: &Path, folder: &Path) -> Result<Tally> {
    let actions = crate::actions()?;
    let library = fs::read(&actions)?;
    let mut tally = Tally::default();
    tally.check(
        "the custom actions are small, need no C runtime and load on build 14393",
        image::check(&library),
    );
    tally.check(
        "clippy finds nothing in the custom actions",
        kit::clippy_windows_dll(kit::Architecture::X64, crate::ACTIONS)
            .map(|()| "clean".to_owned()),
    );
    tally.check(
        "the MSI obeys every rule and is the same when it is built again",
        built_twice(folder),
    );
    wine::run(
        target,
        folder,
        &crate::status_script(),
        &actions,
        &mut tally,
    )?;
    Ok(tally)
}

fn built_twice(folder: &Path) -> Result<String> {
    let build = || crate::of_folder(folder, "0.1.0", 1_700_000_000);
    let msi = build()?;
    ensure!(msi == build()?, "the second differs");
    let findings = rules::check(&msi)?;
    ensure!(findings.is_empty(), "{findings:?}");
    Ok(format!("{} bytes", msi.len()))
}
