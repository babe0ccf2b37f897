//! `test`: all suites, or one.

mod crash;
mod errors;
mod faults;
mod format;
mod image;
mod libvirt;
mod lint;
mod msi;
mod nt;
mod package;
mod parallel;
pub mod qemu;
pub mod same;
mod unit;
mod windows;
mod windows_image;
mod workflows;

use std::{
    fmt::Display,
    process::ExitCode,
    time::{Duration, Instant},
};

use anyhow::{Result, anyhow, bail, ensure};
use kit::Architecture;

/// A suite: its name and what runs it.
pub type Suite = (&'static str, fn(&mut Tally) -> Result<()>);

/// In the order in which a mistake is cheapest to find.
pub const SUITES: &[Suite] = &[
    ("format", |tally| {
        format::run(tally);
        Ok(())
    }),
    ("lint", |tally| {
        lint::run(tally);
        Ok(())
    }),
    ("unit", unit::run),
    ("image", image::run),
    ("nt", nt::run),
    ("same", same::run),
    ("qemu", qemu::run),
    ("crash", crash::run),
    ("nt-arm64", nt::run_on_arm64),
    ("same-arm64", same::run_on_arm64),
    ("qemu-arm64", qemu::run_on_arm64),
    ("crash-arm64", crash::run_on_arm64),
    ("faults", faults::run),
    ("libvirt", libvirt::run),
    ("errors", errors::run),
    ("windows", windows::run),
    ("workflows", workflows::run),
    ("windows-image", windows_image::run),
    ("package", package::run),
    ("msi", msi::run),
];

/// What has passed and what has failed.
#[derive(Debug, Default)]
pub struct Tally {
    passed: u32,
    failed: u32,
}

impl Tally {
    /// Counts one check and prints it.
    pub fn check(&mut self, name: &str, result: Result<()>) {
        match result {
            Ok(()) => {
                self.passed += 1;
                println!("  ok      {name}");
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

    /// Counts the checks of somebody else's test runner.
    pub const fn add(&mut self, passed: u32, failed: u32) {
        self.passed += passed;
        self.failed += failed;
    }
}

/// The suite of that name, for that architecture; `None` for all.
///
/// # Errors
///
/// If there is none.
pub fn suite(
    name: Option<&str>,
    architecture: Option<Architecture>,
) -> Result<Option<&'static Suite>> {
    let Some(name) = name else {
        ensure!(
            architecture.is_none(),
            "--arch needs a suite; without one all run, for both architectures"
        );
        return Ok(None);
    };
    let find = |name: &str| SUITES.iter().find(|(it, _)| *it == name);
    let suite = find(name).ok_or_else(|| {
        let names: Vec<&str> = SUITES.iter().map(|(name, _)| *name).collect();
        anyhow!("no suite {name}: there are {}", names.join(", "))
    })?;
    let on_arm64 = find(&format!("{name}-{}", Architecture::Arm64));
    match architecture {
        Some(_) if on_arm64.is_none() => bail!("the suite {name} takes no --arch"),
        None | Some(Architecture::X64) => Ok(Some(suite)),
        Some(Architecture::Arm64) => Ok(on_arm64),
    }
}

/// Runs every suite, or the one given.
///
/// # Errors
///
/// If what the tests need can't be installed.
pub fn test(suite: Option<&Suite>) -> Result<ExitCode> {
    let suites = suite.map_or(SUITES, std::slice::from_ref);
    kit::setup(kit::Purpose::Test)?;
    let mut times: Vec<(&str, Duration)> = Vec::new();
    let mut total = Tally::default();
    for (name, run) in suites {
        println!("{name}");
        let start = Instant::now();
        let mut tally = Tally::default();
        if let Err(error) = run(&mut tally) {
            tally.check("the suite itself", Err(error));
        }
        println!("{}\n", line(&name, &tally));
        times.push((name, start.elapsed()));
        total.add(tally.passed, tally.failed);
    }
    if times.len() > 1 {
        for (name, time) in &times {
            println!("  {name:<8} {:>6.1} s", time.as_secs_f64());
        }
        println!("{}", line(&"all", &total));
    }
    Ok(if total.failed == 0 && total.passed > 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// The closing line of a suite.
fn line(name: &impl Display, tally: &Tally) -> String {
    format!("{name}: {} passed, {} failed", tally.passed, tally.failed)
}
