//! `windows`: somebody's own disk image, booted and crashed, and what the host
//! saw.

mod junit;
mod options;

use std::{process::ExitCode, time::Duration};

use anyhow::{Error, Result};
use e2e::windows::{self, Channel, Crash, Firmware, Format, Outcome, Up, Verdict};
use serde_json::{Value, json};

use self::junit::{Case, Trouble};
pub use self::options::Options;
use crate::{
    run::{exit, list},
    story,
};

/// Boots the image, crashes it, and tells what the host saw.
///
/// # Errors
///
/// If the image could not be tried at all. The `JUnit` file says so too.
pub fn windows(options: &Options) -> Result<ExitCode> {
    let mut said = String::new();
    let result = attempt(options, &mut said);
    let cases = match &result {
        Ok((outcome, reason)) => cases(options, outcome, reason),
        Err(error) => vec![not_run(options, error)],
    };
    let written = options
        .junit
        .as_ref()
        .map_or(Ok(()), |path| junit::write(path, &cases, &said));
    let (outcome, reason) = result?;
    if options.json {
        println!("{}", document(options, &outcome, &reason));
    } else {
        println!("\n{reason}");
        println!(
            "The pictures of its screen and its serial log are in {}.",
            options.config.out.display()
        );
    }
    written?;
    Ok(exit(outcome.verdict == Verdict::Seen))
}

/// The run, what came of it, and that in words.
fn attempt(options: &Options, said: &mut String) -> Result<(Outcome, String)> {
    let config = &options.config;
    // Before anything is installed for an image that is none.
    Format::of(&config.image)?;
    kit::setup(kit::Purpose::Boot)?;
    let mut tell = |line: &str| {
        // Standard output is the JSON object's.
        if options.json {
            eprintln!("{line}");
        } else {
            println!("{line}");
        }
        said.push_str(line);
        said.push('\n');
    };
    tell(&format!("{}\n", situation(options)));
    let mut start = None;
    let outcome = windows::run(config, &mut |moment| {
        let start = *start.get_or_insert(moment.at);
        tell(&story::moment(start, moment.at, moment.who, &moment.what));
    })?;
    let reason = reason(options, &outcome);
    said.push_str(&reason);
    Ok((outcome, reason))
}

fn situation(options: &Options) -> String {
    format!(
        "{} on {} with {}, disk on {}, {}, crashed by {}",
        options.config.image.display(),
        options.config.machine,
        match options.config.firmware {
            Firmware::Bios => "BIOS",
            Firmware::Uefi => "UEFI",
        },
        options.disk,
        options.config.devices.join(" and "),
        match options.config.crash {
            Crash::Nmi => "NMI",
            Crash::Keyboard => "the keyboard",
        }
    )
}

/// What came of it, in a sentence or two.
fn reason(options: &Options, outcome: &Outcome) -> String {
    let seen: Vec<&str> = outcome.events.iter().map(String::as_str).collect();
    let seen = list(&seen);
    let expected = options.config.expect.as_ref();
    let expected = expected.map_or_else(|| "any event".to_owned(), |events| list(events));
    match outcome.verdict {
        Verdict::Seen if options.config.expect.is_some() => {
            format!("The host saw {seen}, as expected.")
        }
        Verdict::Seen => format!("The host saw {seen}."),
        Verdict::WrongEvents => format!("The host saw {seen}; expected was {expected}."),
        Verdict::NoEvent => format!(
            "The host saw no event within {} s of the crash; expected was {expected}. Did the \
             guest crash (crash.png)? Is the driver installed and started?",
            options.config.event_timeout.as_secs()
        ),
        Verdict::RestartedSilently => format!(
            "The guest restarted after the crash, and the host saw no event; expected was \
             {expected}. Is the driver installed and started?"
        ),
        Verdict::SwitchedOff => match outcome.crashed {
            Some(_) => "The guest switched itself off after the crash, without an event.",
            None => "The guest switched itself off before it was crashed.",
        }
        .to_owned(),
        Verdict::CrashedByItself => {
            format!("The host saw {seen} before the guest was crashed: it crashed by itself.")
        }
        Verdict::Restarts => format!(
            "The guest restarted {} times and was never up.",
            outcome.restarts
        ),
        Verdict::NothingBoots => format!(
            "Nothing was booted from the disk within {} s. Is the image made for other firmware \
             (--firmware) or another controller (--disk)?",
            options.config.boot_timeout.as_secs()
        ),
    }
}

fn document(options: &Options, outcome: &Outcome, reason: &str) -> Value {
    json!({
        "ok": outcome.verdict == Verdict::Seen,
        "verdict": outcome.verdict.word(),
        "reason": reason,
        "image": options.config.image,
        "firmware": match options.config.firmware {
            Firmware::Bios => "bios",
            Firmware::Uefi => "uefi",
        },
        "machine": options.config.machine,
        "disk": options.disk,
        "accel": options.config.accelerator,
        "devices": options.config.devices,
        "agent": match options.config.agent {
            Channel::Virtio => "virtio",
            Channel::Isa => "isa",
            Channel::None => "none",
        },
        "crash": match options.config.crash {
            Crash::Nmi => "nmi",
            Crash::Keyboard => "keyboard",
        },
        "expected": options.config.expect,
        "events": outcome.events,
        "up": outcome.up.map(|(by, after)| json!({
            "by": match by {
                Up::Agent => "agent",
                Up::Still => "still-screen",
                Up::Timeout => "timeout",
            },
            "seconds": after.as_secs_f64(),
        })),
        "restarts": outcome.restarts,
        "screenshots": outcome.pictures,
        "serial": outcome.serial,
        "qemu": outcome.qemu,
    })
}

/// Two test cases: the guest comes up, and the host sees its crash.
fn cases(options: &Options, outcome: &Outcome, reason: &str) -> Vec<Case> {
    let failure = || Err(Trouble::Failure(outcome.verdict.word(), reason.to_owned()));
    let crash = match outcome.verdict {
        Verdict::Seen => Ok(()),
        _ if outcome.up.is_none() => Err(Trouble::Skipped),
        _ => failure(),
    };
    vec![
        Case {
            name: format!("{} comes up", options.config.image.display()),
            time: outcome.up.map_or(outcome.time, |(_, after)| after),
            result: if outcome.up.is_some() {
                Ok(())
            } else {
                failure()
            },
        },
        Case {
            name: format!(
                "the host sees the crash of {}",
                options.config.image.display()
            ),
            time: outcome.crashed.unwrap_or(Duration::ZERO),
            result: crash,
        },
    ]
}

/// The test case of a run that could not be.
fn not_run(options: &Options, error: &Error) -> Case {
    Case {
        name: format!("{} comes up", options.config.image.display()),
        time: Duration::ZERO,
        result: Err(Trouble::Error(format!("{error:#}"))),
    }
}
