//! The driver on real devices of QEMU's, in every situation, judged by QMP.

use std::{
    collections::BTreeSet,
    fs,
    path::Path,
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use anyhow::{Context, Result, anyhow, bail, ensure};
use e2e::{
    matrix::{self, Row},
    qemu::Config,
    run::{self, End, Outcome},
};

use super::{Tally, nt};
use crate::elsewhere::shipped;

/// `STATUS_ACCESS_DENIED`, as the report has it.
const ACCESS_DENIED: &str = "0xc0000022";

/// Machines at a time.
const WORKERS: usize = 2;

/// Runs the suite.
pub fn run(tally: &mut Tally) -> Result<()> {
    let driver = shipped()?;
    let kernel = kit::build_guest()?;
    let rows = matrix::rows();
    let next = AtomicUsize::new(0);
    let results: Vec<Mutex<Option<Result<Outcome>>>> =
        rows.iter().map(|_| Mutex::new(None)).collect();
    println!("  {:<52} {:<36} seen", "situation", "expected");
    thread::scope(|scope| {
        for _ in 0..WORKERS {
            scope.spawn(|| {
                loop {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    let Some((row, slot)) = rows.get(index).zip(results.get(index)) else {
                        break;
                    };
                    let outcome = run::run(&config(row, &driver, &kernel));
                    if let Ok(mut slot) = slot.lock() {
                        *slot = Some(outcome);
                    }
                }
            });
        }
    });
    for (row, result) in rows.iter().zip(results) {
        let outcome = result
            .into_inner()
            .ok()
            .flatten()
            .ok_or_else(|| anyhow!("{} was not run", row.name))?;
        let seen = outcome.as_ref().map_or_else(
            |_| "no run".to_owned(),
            |outcome| names(&outcome.panic_events()),
        );
        let name = format!("{:<44} {:<36} {seen}", row.name, names(&row.events));
        tally.check(&name, outcome.and_then(|outcome| judge(row, &outcome)));
    }
    for minor in kit::released_versions() {
        tally.check(
            &format!("another driver, in C, for KMDF 1.{minor}"),
            another(minor, &kernel),
        );
    }
    Ok(())
}

/// The test kernel knows nothing of pvpanic: it runs a driver that is none, too,
/// and sees it write to its register.
fn another(minor: u8, kernel: &Path) -> Result<()> {
    let driver = nt::c_driver(kit::Architecture::X64, "plain.c", minor)?;
    let driver = fs::read(&driver).with_context(|| format!("can't read {}", driver.display()))?;
    let scenario = "observe\nmatch ACPI\\QEMU0001\nload\nstart\nbugcheck 0xE2 dump\n";
    let config = Config::new(kernel, driver, scenario);
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
            .any(|it| it["port"] == "0x505"),
        "it wrote nothing to its register"
    );
    Ok(())
}

fn config(row: &Row, driver: &[u8], kernel: &Path) -> Config {
    Config {
        machine: row.machine.to_owned(),
        devices: row.devices.clone(),
        panic_action: row.panic_action.to_owned(),
        host: row.host.clone(),
        ..Config::new(kernel, driver.to_vec(), &row.scenario())
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
