//! Everything that is checked.

use std::fs;
use std::path::Path;

use anyhow::{Result, ensure};
use kit::Architecture;

use crate::command_line::packaged;
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

/// Checks the custom actions and the MSI for each processor, and what the one for
/// x64 does in Wine under `target`; no Wine runs the other. Prints each check with
/// its verdict.
///
/// # Errors
/// A tool is missing, or the package is not there.
pub fn run(target: &Path) -> Result<Tally> {
    let mut tally = Tally::default();
    for architecture in Architecture::ALL {
        let library = fs::read(crate::actions(architecture)?)?;
        tally.check(
            &format!(
                "the custom actions for {architecture} are small, need no C runtime and load on \
                 build 14393"
            ),
            image::check(&library, architecture),
        );
        let others = Architecture::ALL
            .into_iter()
            .filter(|it| *it != architecture);
        tally.check(
            &format!("the custom actions for {architecture} are refused for another processor"),
            refused(&library, others),
        );
        tally.check(
            &format!("clippy finds nothing in the custom actions for {architecture}"),
            kit::clippy_windows_dll(architecture, crate::ACTIONS).map(|()| "clean".to_owned()),
        );
        tally.check(
            &format!(
                "the MSI for {architecture} obeys every rule and is the same when it is built again"
            ),
            built_twice(architecture),
        );
    }
    wine::run(
        target,
        &packaged(Architecture::X64),
        &crate::status_script(),
        &crate::actions(Architecture::X64)?,
        &mut tally,
    )?;
    Ok(tally)
}

fn refused(library: &[u8], others: impl Iterator<Item = Architecture>) -> Result<String> {
    for other in others {
        ensure!(image::check(library, other).is_err(), "not for {other}");
    }
    Ok("they are".to_owned())
}

fn built_twice(architecture: Architecture) -> Result<String> {
    let folder = packaged(architecture);
    let build = || crate::of_folder(architecture, &folder, "0.1.0", 1_700_000_000);
    let msi = build()?;
    ensure!(msi == build()?, "the second differs");
    let findings = rules::check(&msi, architecture)?;
    ensure!(findings.is_empty(), "{findings:?}");
    Ok(format!("{} bytes", msi.len()))
}
