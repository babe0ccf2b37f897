//! The driver on real devices of QEMU's, in every situation, judged by QMP.

use std::{
    fs,
    path::Path,
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use anyhow::{Context, Result, anyhow, bail};
use e2e::{
    matrix::{self, Row},
    qemu::Config,
    run::{self, End, Outcome},
};

use super::Tally;

/// Machines at a time.
const WORKERS: usize = 2;

/// Runs the suite.
pub fn run(tally: &mut Tally) -> Result<()> {
    let driver = fs::read(kit::build_driver()?).context("can't read the driver")?;
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
    Ok(())
}

fn config(row: &Row, driver: &[u8], kernel: &Path) -> Config {
    Config {
        program: "qemu-system-x86_64".into(),
        machine: row.machine.to_owned(),
        devices: row.devices.clone(),
        panic_action: row.panic_action.to_owned(),
        arguments: Vec::new(),
        kernel: kernel.to_owned(),
        host: row.host.clone(),
        files: run::files(driver.to_vec(), &row.scenario()),
    }
}

/// Holds a run against its row.
fn judge(row: &Row, outcome: &Outcome) -> Result<()> {
    if let Some(violation) = outcome.violations().first() {
        bail!("the driver broke a rule of Windows: {violation}");
    }
    if outcome.panic_events() != row.events {
        bail!("other events than expected");
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
    if row.end == End::Complete && outcome.report.first("bugcheck").is_none() {
        bail!(
            "the guest did not come to its bug check: {:?}",
            outcome.report.lines.last()
        );
    }
    Ok(())
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
