//! The driver on real devices of QEMU's, in every situation, judged by QMP.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail, ensure};
use e2e::{
    matrix::{self, OLD_MACHINE, Row, VIRT},
    qemu::Config,
    run::{self, End, Outcome},
};
use kit::Architecture;
use serde_json::json;

use super::{Tally, nt, parallel};

/// `STATUS_ACCESS_DENIED`, as the report has it.
const ACCESS_DENIED: &str = "0xc0000022";

/// A generation of QEMU.
struct Generation {
    /// Its major version.
    major: u32,
    /// What its panic devices offer if nothing else is asked for.
    offers: u8,
}

const SEVEN: Generation = Generation {
    major: 7,
    offers: 3,
};

const TEN: Generation = Generation {
    major: 10,
    offers: 7,
};

impl Generation {
    /// The run must have been on this generation, and on its device.
    fn judge(&self, row: &Row, outcome: &Outcome) -> Result<()> {
        ensure!(
            outcome.qemu.starts_with(&format!("{}.", self.major)),
            "this is {}",
            outcome.qemu
        );
        for (device, &offered) in row.devices.iter().zip(&outcome.capabilities) {
            let expected = match row.machine {
                _ if device.contains("events=") => continue,
                OLD_MACHINE => 1,
                _ => self.offers,
            };
            ensure!(
                offered == expected,
                "{device} offers {offered:#04x} instead of {expected:#04x}"
            );
        }
        Ok(())
    }
}

/// Runs the suite on x64.
pub fn run(tally: &mut Tally) -> Result<()> {
    let generations = [
        (SEVEN, kit::qemu(SEVEN.major)?),
        (TEN, kit::qemu(TEN.major)?),
    ];
    run_on(Architecture::X64, &matrix::rows(), &generations, tally)
}

/// Runs the suite on ARM64, with the QEMU that the distribution installs.
pub fn run_on_arm64(tally: &mut Tally) -> Result<()> {
    let generations = [(SEVEN, "qemu-system-aarch64".into())];
    run_on(
        Architecture::Arm64,
        &matrix::rows_on_arm64(),
        &generations,
        tally,
    )
}

fn run_on(
    architecture: Architecture,
    rows: &[Row],
    generations: &[(Generation, PathBuf)],
    tally: &mut Tally,
) -> Result<()> {
    let driver = kit::build_driver(architecture)?;
    let driver = fs::read(&driver).with_context(|| format!("can't read {}", driver.display()))?;
    let kernel = kit::build_guest(architecture)?;
    let jobs: Vec<_> = rows
        .iter()
        .flat_map(|row| generations.iter().map(move |(_, program)| (row, program)))
        .collect();
    let mut outcomes = Vec::new();
    let mut first = true;
    parallel::in_order(
        parallel::BUSY,
        &jobs,
        |(row, program)| {
            run::run(&Config {
                program: (*program).clone(),
                ..config(row, &driver, &kernel)
            })
        },
        |(row, _), outcome| {
            outcomes.push(outcome);
            if outcomes.len() == generations.len() {
                print(
                    row,
                    generations,
                    std::mem::take(&mut outcomes),
                    first,
                    tally,
                );
                first = false;
            }
        },
    );
    for minor in kit::released_versions() {
        tally.check(
            &format!("another driver, in C, for KMDF 1.{minor}"),
            another(architecture, minor, &kernel),
        );
    }
    Ok(())
}

/// Prints a row that was run on every generation, with the table's head before the
/// first.
fn print(
    row: &Row,
    generations: &[(Generation, PathBuf)],
    outcomes: Vec<Result<Outcome>>,
    first: bool,
    tally: &mut Tally,
) {
    let column = |text: fn(&Outcome) -> String| {
        outcomes.iter().fold(String::new(), |columns, outcome| {
            let text = outcome.as_ref().map_or_else(|_| "no run".to_owned(), text);
            format!("{columns} {text:<24}")
        })
    };
    if first {
        let versions = column(|outcome| format!("seen by {}", outcome.qemu));
        println!("  {:<52} {:<28}{versions}", "situation", "expected");
    }
    let seen = column(|outcome| names(&outcome.panic_events()));
    let line = format!("{:<44} {:<28}{seen}", row.name, names(&row.events));
    let result =
        outcomes
            .into_iter()
            .zip(generations)
            .try_for_each(|(outcome, (generation, _))| {
                outcome
                    .and_then(|outcome| {
                        judge(row, &outcome)?;
                        generation.judge(row, &outcome)
                    })
                    .with_context(|| format!("QEMU {}", generation.major))
            });
    tally.check(line.trim_end(), result);
}

/// The test kernel knows nothing of pvpanic: it runs a driver that is none, too,
/// and sees it write to its register.
fn another(architecture: Architecture, minor: u8, kernel: &Path) -> Result<()> {
    let driver = nt::c_driver(architecture, "plain.c", minor)?;
    let driver = fs::read(&driver).with_context(|| format!("can't read {}", driver.display()))?;
    let matching = matrix::matching();
    let scenario = format!("observe\n{matching}load\nstart\nbugcheck 0xE2 dump\n");
    let (config, register, place) = match architecture {
        Architecture::X64 => (
            Config::new(kernel, driver, &scenario),
            "port",
            json!("0x505"),
        ),
        Architecture::Arm64 => (Config::virt(kernel, driver, &scenario), "offset", json!(0)),
    };
    let outcome = run::run(&config)?.accepted()?;
    if let Some(violation) = outcome.violations().first() {
        bail!("{violation}");
    }
    let bound = outcome.report.first("bound").map(|it| it["kmdf"].clone());
    ensure!(
        bound
            .as_ref()
            .is_some_and(|it| *it == format!("1.{minor}").as_str()),
        "bound to KMDF {bound:?}"
    );
    ensure!(
        outcome
            .report
            .all("register_write")
            .any(|it| it[register] == place),
        "it wrote nothing to its register"
    );
    Ok(())
}

fn config(row: &Row, driver: &[u8], kernel: &Path) -> Config {
    let new = if row.machine == VIRT {
        Config::virt
    } else {
        Config::new
    };
    Config {
        machine: row.machine.to_owned(),
        devices: row.devices.clone(),
        panic_action: row.panic_action.to_owned(),
        host: row.host.clone(),
        ..new(kernel, driver.to_vec(), &row.scenario())
    }
}

/// Runs row after row with a driver until one fails, and says which and why.
pub fn first_failure(driver: &[u8], kernel: &Path) -> Option<String> {
    matrix::rows().iter().find_map(|row| {
        run::run(&config(row, driver, kernel))
            .and_then(|outcome| judge(row, &outcome))
            .err()
            .map(|error| format!("{}: {error:#}", row.name))
    })
}

/// Holds a run against its row.
fn judge(row: &Row, outcome: &Outcome) -> Result<()> {
    if let Some(violation) = outcome.violations().first() {
        bail!("the driver broke a rule of Windows: {violation}");
    }
    let seen = outcome.panic_events();
    if seen != row.events {
        bail!(
            "expected {}, the host saw {}; the driver registered {}",
            names(&row.events),
            names(&seen),
            registered(outcome)
        );
    }
    if outcome.end != row.end {
        bail!("ended as {:?}, expected {:?}", outcome.end, row.end);
    }
    let expected: Vec<String> = row
        .statuses
        .iter()
        .map(|status| format!("0x{status:08x}"))
        .collect();
    let statuses: Vec<&str> = outcome
        .report
        .all("started")
        .filter_map(|it| it["status"].as_str())
        .collect();
    if statuses != expected {
        bail!("the starts ended with {statuses:?}, expected {expected:?}");
    }
    for start in outcome.report.all("started") {
        if start["attempts"] != 1 {
            bail!("{} was started {} times", start["id"], start["attempts"]);
        }
    }
    if let Some(trace) = outcome
        .report
        .all("trace")
        .find(|it| it["event"] == "DeviceWarnings")
    {
        bail!("the driver warns of a healthy device: {trace}");
    }
    if let Some(open) = outcome.report.first("opened")
        && open["status"] != ACCESS_DENIED
    {
        bail!("a program opened the device: {open}");
    }
    let properties = properties(outcome);
    if row
        .properties
        .is_some_and(|count| count != properties.len())
    {
        bail!("the device properties in the end are {properties:?}");
    }
    if row.end == End::Complete && outcome.report.first("bugcheck").is_none() {
        bail!(
            "the guest did not come to its bug check: {:?}",
            outcome.report.lines.last()
        );
    }
    Ok(())
}

/// The device properties that are there in the end.
fn properties(outcome: &Outcome) -> BTreeSet<String> {
    let mut present = BTreeSet::new();
    for it in outcome.report.all("property") {
        let property = format!("{} {}", it["id"], it["key"]);
        if it["deleted"].is_null() {
            present.insert(property);
        } else {
            present.remove(&property);
        }
    }
    present
}

/// The callbacks that were registered, for a message.
fn registered(outcome: &Outcome) -> String {
    let kinds: Vec<&str> = outcome
        .report
        .all("callback")
        .filter(|it| it["registered"] == true)
        .filter_map(|it| it["kind"].as_str())
        .collect();
    if kinds.is_empty() {
        return "no callback".to_owned();
    }
    kinds.join(", ")
}

fn names(events: &[&str]) -> String {
    if events.is_empty() {
        return "nothing".to_owned();
    }
    let short: Vec<&str> = events
        .iter()
        .map(|event| event.strip_prefix("GUEST_").unwrap_or(event))
        .collect();
    short.join(", ")
}
