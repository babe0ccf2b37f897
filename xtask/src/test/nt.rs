//! The shipped driver in the kernel model in a process: thousands of lives,
//! every fault, and drivers that break each rule on purpose.

use std::{
    fs,
    io::{BufRead, BufReader},
    path::PathBuf,
    process::{Command, Stdio},
};

use anyhow::{Context, Result, bail, ensure};
use e2e::{
    matrix::matching,
    qemu::Config,
    run::{self, Outcome},
};
use kit::Architecture;
use serde_json::{Value, json};

use super::{Tally, parallel, same};

/// Runs the suite.
pub fn run(tally: &mut Tally) -> Result<()> {
    let driver = kit::build_driver(Architecture::X64)?;
    let mut command = Command::new("cargo");
    command
        .args([
            "run",
            "--quiet",
            "--locked",
            "--release",
            "--package",
            "host",
            "--",
            "suite",
        ])
        .current_dir(kit::root())
        .arg("--driver")
        .arg(&driver);
    for minor in kit::released_versions() {
        command
            .arg("--plain")
            .arg(c_driver(Architecture::X64, "plain.c", minor)?);
    }
    command
        .arg("--order")
        .arg(c_driver(Architecture::X64, "order.c", 15)?)
        .arg("--calls")
        .arg(c_driver(Architecture::X64, "calls.c", 15)?)
        .arg("--sinner")
        .arg(c_driver(Architecture::X64, "sinner.c", 15)?);
    other_runner(&mut command, tally)
}

/// Commits every sin on ARM64, in QEMU: each stops with its rule and no other, and
/// without one the same driver runs clean.
pub fn run_on_arm64(tally: &mut Tally) -> Result<()> {
    let path = c_driver(Architecture::Arm64, "sinner.c", 15)?;
    let driver = fs::read(&path).with_context(|| format!("can't read {}", path.display()))?;
    let kernel = kit::build_guest(Architecture::Arm64)?;
    let output = Command::new(same::build_host()?)
        .arg("sins")
        .output()
        .context("can't run tests/host")?;
    let mut sins: Vec<Value> = String::from_utf8_lossy(&output.stdout)
        .lines()
        .map(|line| serde_json::from_str(line).with_context(|| format!("{line} is no JSON")))
        .collect::<Result<_>>()?;
    let first = sins.first().context("tests/host knows no sin")?;
    let clean = first["scenario"]
        .as_str()
        .and_then(|it| it.split_once('\n'));
    let clean = clean.context("a sin has no scenario")?.1;
    sins.insert(0, json!({"scenario": clean}));
    parallel::in_order(
        parallel::BUSY,
        &sins,
        |sin| {
            let scenario = matching() + sin["scenario"].as_str().unwrap_or_default();
            run::run(&Config::virt(&kernel, driver.clone(), &scenario))
        },
        |sin, outcome| {
            let rule = sin["rule"].as_str();
            let name = rule.map_or_else(
                || "without a sin".to_owned(),
                |rule| format!("sin {} breaks {rule}", sin["sin"]),
            );
            let judge = |outcome: Outcome| {
                let broken = outcome.violations();
                let right = match (rule, &broken[..]) {
                    (None, []) => outcome.report.first("bugcheck_end").is_some(),
                    (Some(rule), [one]) => one.starts_with(&format!("{rule}: ")),
                    _ => false,
                };
                ensure!(right, "it was stopped by {broken:?}");
                Ok(())
            };
            tally.check(&name, outcome.and_then(judge));
        },
    );
    Ok(())
}

/// Runs a program that tests: what it prints is passed on, and its last line
/// has the counts.
pub fn other_runner(command: &mut Command, tally: &mut Tally) -> Result<()> {
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .context("can't run cargo")?;
    let mut closing = String::new();
    if let Some(pipe) = child.stdout.take() {
        for line in BufReader::new(pipe).lines() {
            let line = line.context("can't read what the suite prints")?;
            if !closing.is_empty() {
                println!("  {closing}");
            }
            closing = line;
        }
    }
    let status = child.wait().context("can't wait for the suite")?;
    let (passed, failed) = counts(&closing)
        .with_context(|| format!("the suite ended with {closing:?} and not with its counts"))?;
    ensure!(passed > 0, "the suite ran nothing");
    tally.add(passed, failed);
    if !status.success() && failed == 0 {
        bail!("the suite ended with {status}");
    }
    Ok(())
}

/// Builds one of the project's own drivers in C.
pub fn c_driver(architecture: Architecture, file: &str, minor: u8) -> Result<PathBuf> {
    let path = kit::root().join("tests/nt/drivers").join(file);
    let name = format!("{}-{minor}", file.trim_end_matches(".c"));
    kit::build_c_driver(architecture, &[path.as_path()], &name, minor)
}

/// The counts in `N passed, N failed`, which may have a word before them.
fn counts(line: &str) -> Option<(u32, u32)> {
    let counts = line.split_once(": ").map_or(line, |(_, counts)| counts);
    let (passed, failed) = counts.split_once(", ")?;
    Some((
        passed.strip_suffix(" passed")?.parse().ok()?,
        failed.strip_suffix(" failed")?.parse().ok()?,
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_closing_line_of_the_suite_is_read() {
        assert_eq!(counts("20454 passed, 0 failed"), Some((20_454, 0)));
        assert_eq!(counts("msi: 27 passed, 1 failed"), Some((27, 1)));
        assert_eq!(counts("all is well"), None);
    }
}
