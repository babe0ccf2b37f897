//! The bug check itself on real devices of QEMU's: on every processor with the
//! others stopped, with other drivers' callbacks around, and with a dump that
//! breaks off at each of its writes.

use std::{fs, path::Path};

use anyhow::{Context, Result, bail, ensure};
use e2e::{
    contract::{CRASH_LOADED, PANICKED},
    matrix::{ISA, PCI, matching},
    qemu::Config,
    run::{self, End},
};
use kit::Architecture;

use super::Tally;

/// Processors of the machine.
const PROCESSORS: u32 = 4;
/// Writes of the dump.
const WRITES: u32 = 5;

/// A crash with an ISA and a PCI device.
struct Crash {
    name: String,
    /// What comes before the driver is loaded.
    before: &'static str,
    /// What comes after the devices were started.
    steps: String,
    events: &'static [&'static str],
}

const LOADED: &[&str] = &[CRASH_LOADED; 2];
const PANIC: &[&str] = &[PANICKED; 2];
const BOTH: &[&str] = &[CRASH_LOADED, CRASH_LOADED, PANICKED, PANICKED];
const NOTHING: &[&str] = &[];

fn crash(
    name: impl Into<String>,
    before: &'static str,
    steps: impl Into<String>,
    events: &'static [&'static str],
) -> Crash {
    Crash {
        name: name.into(),
        before,
        steps: steps.into(),
        events,
    }
}

fn crashes() -> Vec<Crash> {
    let mut all = Vec::new();
    for processor in 0..PROCESSORS {
        for (dump, events) in [("no-dump", PANIC), ("dump", LOADED)] {
            all.push(crash(
                format!("processor {processor}, {dump}"),
                "",
                format!("bugcheck 0xE2 {dump} on {processor}"),
                events,
            ));
        }
    }
    for write in 1..=WRITES {
        let steps = format!("bugcheck 0xE2 dump-fails={write} on 3");
        let name = format!("dump fails at write {write}");
        all.push(crash(&name, "", &steps, LOADED));
        let name = format!("{name}, ReportDumpEnd 1");
        all.push(crash(name, "set ReportDumpEnd 1\n", &steps, BOTH));
    }
    let (no_dump, dump) = ("bugcheck 0xE2 no-dump", "bugcheck 0xE2 dump");
    let after = |other: &str, crash: &str| format!("{other}\n{crash}");
    let more = [
        ("another driver before", "other\n", dump.into(), LOADED),
        ("another driver after", "", after("other", dump), LOADED),
        (
            "a corrupt record before: Windows calls nobody behind it",
            "other corrupt\n",
            no_dump.into(),
            NOTHING,
        ),
        (
            "a corrupt record after, no dump",
            "",
            after("other corrupt", no_dump),
            PANIC,
        ),
        (
            "a corrupt record after, dump",
            "",
            after("other corrupt", dump),
            LOADED,
        ),
        (
            "a callback before crashes",
            "other crashes\n",
            no_dump.into(),
            NOTHING,
        ),
        (
            "a callback after crashes, no dump",
            "",
            after("other crashes", no_dump),
            PANIC,
        ),
        (
            "a callback after crashes within the dump",
            "set ReportDumpEnd 2\n",
            after("other crashes", dump),
            LOADED,
        ),
    ];
    for (name, before, steps, events) in more {
        all.push(crash(name, before, steps, events));
    }
    all
}

/// Runs the suite on x64.
pub fn run(tally: &mut Tally) -> Result<()> {
    run_on(Architecture::X64, Config::new, [ISA, PCI], tally)
}

/// Runs the suite on ARM64.
pub fn run_on_arm64(tally: &mut Tally) -> Result<()> {
    run_on(Architecture::Arm64, Config::virt, [PCI, PCI], tally)
}

fn run_on(
    architecture: Architecture,
    machine: fn(&Path, Vec<u8>, &str) -> Config,
    models: [&str; 2],
    tally: &mut Tally,
) -> Result<()> {
    let driver = kit::build_driver(architecture)?;
    let driver = fs::read(&driver).with_context(|| format!("can't read {}", driver.display()))?;
    let kernel = kit::build_guest(architecture)?;
    let matching = matching();
    for crash in crashes() {
        let scenario = format!("{matching}{}load\nstart\n{}\n", crash.before, crash.steps);
        let mut config = machine(&kernel, driver.clone(), &scenario);
        config.devices = models.map(|model| format!("{model},events=3")).to_vec();
        config
            .arguments
            .extend(["-smp".to_owned(), PROCESSORS.to_string()]);
        tally.check(&crash.name, judge(&crash, &config));
    }
    Ok(())
}

fn judge(crash: &Crash, config: &Config) -> Result<()> {
    let outcome = run::run(config)?;
    if let Some(violation) = outcome.violations().first() {
        bail!("{violation}");
    }
    let seen = outcome.panic_events();
    ensure!(
        seen == crash.events,
        "expected {:?}, the host saw {seen:?}",
        crash.events
    );
    ensure!(
        outcome.end == End::Complete && outcome.report.first("bugcheck_end").is_some(),
        "the bug check did not come to its end: {:?}",
        outcome.report.lines.last()
    );
    Ok(())
}
