//! What libvirt makes of a crash: a real libvirtd, the shipped driver, and a Linux
//! guest beside it.

use std::thread;

use anyhow::{Context, Result, anyhow, ensure};
use e2e::libvirt::{
    domain::{self, Parts},
    host::{self, Host},
    linux::Linux,
    table::{self, Crash, Guest, Row, Sight},
};

use super::{Tally, parallel};
use crate::elsewhere::shipped;

/// Runs the suite.
pub fn run(tally: &mut Tally) -> Result<()> {
    host::check_rights()?;
    let driver = shipped()?;
    let kernel = kit::build_guest(kit::Architecture::X64)?;
    let root = kit::libvirt_root()?;
    let host = Host::start(&root, &kit::root().join("target/libvirt"))?;
    let parts = Parts::new(&host, &kernel, &driver, Linux::new(&root)?)?;
    for line in host.virsh(&["version"])?.lines().skip(1) {
        println!("  {line}");
    }
    println!(
        "  {:<85}{:<65}seen",
        "        guest, panic device, on_crash, crash", "expected"
    );
    let rows = table::rows();
    let sights = thread::scope(|scope| {
        // It waits for what does not come, beside the others.
        let silent = scope.spawn(|| silent(&host, &parts, rows.first()));
        let sights = compare(&host, &parts, &rows, tally);
        let silent = silent.join().map_err(|_| anyhow!("it panicked"));
        tally.check(
            "a driver that reports nothing is noticed",
            silent.and_then(|result| result),
        );
        sights
    });
    tally.check(
        "a killed QEMU and a crashed guest differ in event and log",
        killed_or_crashed(&sights),
    );
    tally.check("nothing is left when who started it is gone", host.stop());
    Ok(())
}

/// Runs and prints every row, and answers what was seen.
fn compare<'a>(
    host: &Host,
    parts: &Parts,
    rows: &'a [Row],
    tally: &mut Tally,
) -> Vec<(&'a Row, Sight)> {
    let jobs: Vec<(usize, &Row)> = rows.iter().enumerate().collect();
    let mut sights = Vec::new();
    parallel::in_order(
        parallel::BUSY,
        &jobs,
        |(index, row)| domain::run(host, parts, row, &format!("guest{index:02}"), false),
        |(_, row), outcome| {
            let expected = row.expected();
            let seen = outcome
                .as_ref()
                .map_or_else(|_| "no run".to_owned(), Sight::summary);
            let name = format!("{} {:<64} {seen}", title(row), expected.summary());
            let result = outcome.and_then(|sight| {
                let difference = sight.difference(&expected);
                sights.push((*row, sight));
                difference.map_or(Ok(()), |difference| Err(anyhow!(difference)))
            });
            tally.check(&name, result);
        },
    );
    sights
}

fn title(row: &Row) -> String {
    let guest = match row.guest {
        Guest::Driver => "driver",
        Guest::Linux => "Linux",
    };
    format!(
        "{guest:<7} {:<26} {:<17} {:<23}",
        format!("{} on {}", row.model.name, row.machine),
        row.on_crash,
        row.crash.name()
    )
}

/// The same row with a driver that has no device must fail, and say why.
fn silent(host: &Host, parts: &Parts, row: Option<&Row>) -> Result<()> {
    let row = row.context("there is no row")?;
    let sight = domain::run(host, parts, row, "silent", true)?;
    let difference = sight.difference(&row.expected()).unwrap_or_default();
    ensure!(
        sight.events.is_empty()
            && difference.contains("Crashed Panicked")
            && difference.contains("GUEST_PANICKED"),
        "seen was {}; the difference is {difference:?}",
        sight.summary()
    );
    Ok(())
}

/// What the device is for: both leave the guest shut off as crashed.
fn killed_or_crashed(sights: &[(&Row, Sight)]) -> Result<()> {
    for guest in [Guest::Driver, Guest::Linux] {
        let find = |crash| {
            sights
                .iter()
                .find(|(row, _)| (row.guest, row.on_crash, row.crash) == (guest, "destroy", crash))
                .map(|(_, sight)| sight)
                .with_context(|| format!("no {guest:?} guest ended so: {}", crash.name()))
        };
        let (killed, crashed) = (find(Crash::Killed)?, find(Crash::NoDump)?);
        ensure!(
            killed.state == crashed.state,
            "{} and {}",
            killed.state,
            crashed.state
        );
        ensure!(killed.events != crashed.events, "{:?}", killed.events);
        let panicked = |sight: &Sight| sight.log.iter().any(|it| it.contains("GUEST_PANICKED"));
        ensure!(
            panicked(crashed) && !panicked(killed),
            "{:?} and {:?}",
            crashed.log,
            killed.log
        );
    }
    Ok(())
}
