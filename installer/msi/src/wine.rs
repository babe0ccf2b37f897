//! The MSI in Wine: installed, repaired, upgraded, removed, and made to fail.
//! What is asserted is what is on the disk and in the registry.

mod machine;
mod scenarios;
mod shims;
mod stage;

use std::path::Path;

use anyhow::Result;

use crate::check::Tally;

/// Runs all scenarios in a Wine under `target`, with the package in `package`
/// and the custom actions in `actions`.
///
/// # Errors
/// Wine or LLVM is missing, or the package is not there. What a scenario finds
/// is in the tally.
pub fn run(
    target: &Path,
    package: &Path,
    status_script: &Path,
    actions: &Path,
    tally: &mut Tally,
) -> Result<()> {
    let stage = stage::Stage::new(target, package, status_script, actions)?;
    for (name, scenario) in scenarios::SCENARIOS {
        let codes = stage.reset().and_then(|()| scenario(&stage));
        let codes = codes.map(|codes| {
            let codes: Vec<_> = codes.iter().map(u32::to_string).collect();
            format!("exit code {}", codes.join(", "))
        });
        tally.check(name, codes);
    }
    Ok(())
}
