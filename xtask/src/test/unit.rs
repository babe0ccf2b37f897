//! The unit tests of every crate that builds on this host.

use std::process::{Command, Output};

use anyhow::{Context, Result, bail};

use super::Tally;

/// Runs the suite.
pub fn run(tally: &mut Tally) -> Result<()> {
    let mut command = Command::new("cargo");
    command
        .args(["test", "--quiet", "--locked", "--no-fail-fast"])
        .current_dir(kit::root());
    let output = output(&mut command)?;
    let text = String::from_utf8_lossy(&output.stdout);
    let results: Vec<(u32, u32)> = text.lines().filter_map(result).collect();
    for &(passed, failed) in &results {
        tally.add(passed, failed);
    }
    if !output.status.success() {
        bail!("{text}{}", String::from_utf8_lossy(&output.stderr));
    }
    if results.iter().all(|(passed, _)| *passed == 0) {
        bail!("cargo test ran no test");
    }
    Ok(())
}

/// The counts in a line like `test result: ok. 3 passed; 0 failed; …`.
fn result(line: &str) -> Option<(u32, u32)> {
    let counts = line.strip_prefix("test result: ")?.split_once(". ")?.1;
    let mut parts = counts.split("; ");
    let mut count = |word: &str| parts.next()?.strip_suffix(word)?.trim().parse().ok();
    Some((count("passed")?, count("failed")?))
}

/// Runs a command that must succeed; if it does not, what it printed is the error.
pub fn succeed(command: &mut Command) -> Result<()> {
    let output = output(command)?;
    if !output.status.success() {
        bail!(
            "{}{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
    }
    Ok(())
}

fn output(command: &mut Command) -> Result<Output> {
    command
        .output()
        .with_context(|| format!("can't start {}", command.get_program().display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_closing_line_of_cargo_test_is_read() {
        assert_eq!(
            result("test result: ok. 14 passed; 1 failed; 0 ignored; 0 measured"),
            Some((14, 1))
        );
        assert_eq!(result("running 14 tests"), None);
    }
}
