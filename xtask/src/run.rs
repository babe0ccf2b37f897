//! `demo` and `run`: one driver on one machine, and what the host saw.

use std::{
    fs,
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Context, Result, anyhow};
use e2e::{
    contract::{self, Dump},
    matrix::matching,
    qemu::Config,
    run::{End, Outcome},
};
use kit::Architecture;
use serde_json::{Value, json};

use crate::{options::Options, story};

/// Builds the driver, with a line of progress, and answers where it is.
///
/// # Errors
///
/// If something is missing or does not compile.
pub fn built_driver(architecture: Architecture) -> Result<PathBuf> {
    kit::setup(kit::Purpose::Run)?;
    kit::build_driver(architecture)
}

/// Builds the driver, crashes a guest with it, and holds what the host saw
/// against the contract.
///
/// # Errors
///
/// If a part of it could not be run at all.
pub fn demo(options: &Options) -> Result<ExitCode> {
    let driver = built_driver(options.architecture)?;
    let outcome = boot(&driver, options)?;
    let expected = expected(&outcome, options.dump);
    let seen = outcome.panic_events();
    let ok = !expected.is_empty() && seen == expected && outcome.violations().is_empty();
    if options.json {
        println!("{}", document(&outcome, ok));
    } else {
        println!(
            "pvpanic.sys on {}, {}\n",
            options.machine,
            situation(options)
        );
        story::print(&outcome);
        println!("\n{}", verdict(&expected, &seen, &outcome));
    }
    Ok(exit(ok))
}

/// Runs somebody's driver and tells what it did.
///
/// # Errors
///
/// If the run itself did not work.
pub fn run(options: &Options) -> Result<ExitCode> {
    kit::setup(kit::Purpose::Run)?;
    let driver = options.driver.as_deref().unwrap_or_else(|| Path::new(""));
    let outcome = boot(driver, options)?;
    let seen = outcome.panic_events();
    let ok = options
        .expect
        .as_ref()
        .is_none_or(|expected| *expected == seen);
    if options.json {
        println!("{}", document(&outcome, ok));
    } else {
        println!(
            "{} on {}, {}\n",
            driver.display(),
            options.machine,
            situation(options)
        );
        story::print(&outcome);
        println!("\nThe host saw {}.", list(&seen));
        if let Some(expected) = &options.expect {
            println!(
                "Expected was {}: {}.",
                list(expected),
                if ok { "as it is" } else { "NOT as it is" }
            );
        }
    }
    Ok(exit(ok))
}

fn boot(driver: &Path, options: &Options) -> Result<Outcome> {
    let image =
        fs::read(driver).with_context(|| format!("can't read the driver {}", driver.display()))?;
    let matches = matching();
    let dump = if options.dump { "dump" } else { "no-dump" };
    let scenario = format!("observe\n{matches}load\nstart\nbugcheck 0xE2 {dump}\n");
    let kernel = kit::build_guest(options.architecture)?;
    let new = match options.architecture {
        Architecture::X64 => Config::new,
        Architecture::Arm64 => Config::virt,
    };
    let outcome = e2e::run::run(&Config {
        machine: options.machine.clone(),
        devices: options.devices.clone(),
        panic_action: options.panic_action.clone(),
        ..new(&kernel, image, &scenario)
    })?;
    outcome.accepted().map_err(|error| {
        let reason = error.to_string();
        // The scenario is this program's: its lines tell the user nothing.
        let reason = reason
            .strip_prefix("scenario line ")
            .and_then(|rest| rest.split_once(": "))
            .map_or(reason.as_str(), |(_, reason)| reason);
        anyhow!("{} can't be run: {reason}", driver.display())
    })
}

/// What the contract asks for, device after device.
fn expected(outcome: &Outcome, dump: bool) -> Vec<&'static str> {
    let dump = if dump { Dump::Complete } else { Dump::Off };
    outcome
        .capabilities
        .iter()
        .flat_map(|&capability| contract::expected(capability, dump, 0))
        .collect()
}

fn situation(options: &Options) -> String {
    let devices = if options.devices.is_empty() {
        "no panic device".to_owned()
    } else {
        options.devices.join(" and ")
    };
    let dump = if options.dump { "on" } else { "off" };
    format!("{devices}, crash dumps {dump}")
}

fn verdict(expected: &[&str], seen: &[&str], outcome: &Outcome) -> String {
    let wrong = outcome.violations();
    if !wrong.is_empty() {
        format!("The driver broke a rule of Windows: {}", wrong.join("; "))
    } else if expected.is_empty() {
        format!(
            "No device here offers an event to report; the host saw {}.",
            list(seen)
        )
    } else if seen == expected {
        format!("The host saw {}, as it should.", list(seen))
    } else {
        format!(
            "The host saw {} and should have seen {}.",
            list(seen),
            list(expected)
        )
    }
}

/// Panic events in words.
pub fn list<T: AsRef<str>>(events: &[T]) -> String {
    if events.is_empty() {
        return "no panic event".to_owned();
    }
    events
        .iter()
        .map(AsRef::as_ref)
        .collect::<Vec<_>>()
        .join(", then ")
}

fn document(outcome: &Outcome, ok: bool) -> Value {
    let devices: Vec<Value> = outcome
        .report
        .all("started")
        .map(|it| json!({"id": it["id"], "started": it["started"], "status": it["status"]}))
        .collect();
    json!({
        "ok": ok,
        "driver_sha256": outcome.report.first("image").map_or(Value::Null, |it| it["sha256"].clone()),
        "devices": devices,
        "events": outcome.panic_events(),
        "violations": outcome.violations(),
        "qemu": outcome.qemu,
        "end": match &outcome.end {
            End::Complete => "complete".to_owned(),
            End::Paused(state) => format!("paused: {state}"),
            End::Exited(code) => code.map_or_else(|| "killed".to_owned(), |code| format!("exited: {code}")),
        },
    })
}

/// The exit status that tells whether all is as expected.
pub const fn exit(ok: bool) -> ExitCode {
    if ok {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}
