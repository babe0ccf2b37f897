//! The scenario language: one step on each line, `#` begins a comment.

use alloc::{
    format,
    string::{String, ToString},
    vec::Vec,
};
use core::fmt;

use crate::{bugcheck::Dump, function, kernel::Injection, record::Foreign};

/// A step of a scenario.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// `set build N`: the Windows build that is modelled.
    Build(u32),
    /// `set NAME N`: a `REG_DWORD` of the service's Parameters key.
    Parameter(String, u32),
    /// `match ID`: the driver is for devices with this hardware ID.
    Match(String),
    /// `fail call N [WAY]` and `fail FUNCTION N [WAY]`.
    Fail(Injection),
    /// `observe`: driver code is single-stepped from here on.
    Observe,
    /// `cover`: likewise, and the instructions that ran are reported.
    Cover,
    /// `trace`: every call of the driver is reported from here on.
    Trace,
    /// `other [corrupt|crashes]`: another driver registers bug-check callbacks.
    Other(Foreign),
    /// `load`.
    Load,
    /// `start [DEVICE]`.
    Start(Option<String>),
    /// `stop DEVICE`.
    Stop(String),
    /// `restart DEVICE`: stop, take the resources that it has now, start.
    Restart(String),
    /// `disable DEVICE`.
    Disable(String),
    /// `enable DEVICE`.
    Enable(String),
    /// `surprise-remove DEVICE`.
    SurpriseRemove(String),
    /// `remove DEVICE`.
    Remove(String),
    /// `eject DEVICE`: removal that the bus then completes.
    Eject(String),
    /// `open DEVICE`: a program opens it.
    Open(String),
    /// `suspend [decode-off]`.
    Suspend(bool),
    /// `resume`.
    Resume,
    /// `rescan`: what is new is started, what has gone is removed by surprise.
    Rescan,
    /// `wait WORD`: until the host has done what the word says.
    Wait(String),
    /// `unload`.
    Unload,
    /// `idle [dump|no-dump|dump-fails=N]`: until the machine's user crashes it; the
    /// last step.
    Idle(Dump),
    /// `bugcheck CODE [dump|no-dump|dump-fails=N] [on N]`: the last step; with the
    /// processor that it is on.
    BugCheck(u32, Dump, u32),
}

/// A line that is no step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScenarioError {
    /// Its number, from 1.
    pub line: usize,
    /// What is wrong, and what is allowed.
    pub reason: String,
}

impl fmt::Display for ScenarioError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "scenario line {}: {}", self.line, self.reason)
    }
}

const STEPS: &str = "set, match, fail, observe, cover, trace, other, load, start, stop, restart, \
                     disable, enable, surprise-remove, remove, eject, open, suspend, resume, \
                     rescan, wait, unload, idle or bugcheck";
/// Windows builds that the model knows.
const BUILDS: [u32; 4] = [14_393, 17_763, 20_348, 26_100];

/// Reads a scenario.
///
/// # Errors
///
/// [`ScenarioError`] for the first line that is no step.
pub fn parse(text: &str) -> Result<Vec<(usize, Step)>, ScenarioError> {
    let mut steps = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let line = line.split('#').next().unwrap_or_default();
        let words: Vec<&str> = line.split_whitespace().collect();
        if words.is_empty() {
            continue;
        }
        let step = parse_step(&words).map_err(|reason| ScenarioError {
            line: index + 1,
            reason,
        })?;
        steps.push((index + 1, step));
    }
    Ok(steps)
}

fn number(word: &str) -> Result<u32, String> {
    word.strip_prefix("0x")
        .map_or_else(|| word.parse(), |digits| u32::from_str_radix(digits, 16))
        .map_err(|_| format!("\"{word}\" is no number (decimal, or 0x and hexadecimal)"))
}

fn parse_step(words: &[&str]) -> Result<Step, String> {
    let name = words[0];
    let needs = |what: &str| format!("{name} needs {what}");
    let device = || match words {
        [_, device] => Ok((*device).to_string()),
        _ => Err(needs("one DEVICE: its index or the beginning of its id")),
    };
    let alone = |step: Step| match words {
        [_] => Ok(step),
        [_, extra, ..] => Err(format!("{name} takes nothing behind it, not \"{extra}\"")),
        [] => Err(String::new()),
    };
    match (name, &words[1..]) {
        ("set", ["build", build]) => {
            let build = number(build)?;
            if BUILDS.contains(&build) {
                Ok(Step::Build(build))
            } else {
                Err(format!(
                    "build {build} is not modelled: 14393, 17763, 20348 or 26100 are"
                ))
            }
        }
        ("set", [value, data]) => Ok(Step::Parameter((*value).to_string(), number(data)?)),
        ("set", _) => Err(needs("\"build\" or a value's name, and a number")),
        ("match", [id]) => Ok(Step::Match((*id).to_string())),
        ("match", _) => Err(needs("one hardware ID")),
        ("fail", rest) => parse_failure(rest),
        ("observe", _) => alone(Step::Observe),
        ("cover", _) => alone(Step::Cover),
        ("trace", _) => alone(Step::Trace),
        ("other", []) => Ok(Step::Other(Foreign::Sound)),
        ("other", ["corrupt"]) => Ok(Step::Other(Foreign::Corrupt)),
        ("other", ["crashes"]) => Ok(Step::Other(Foreign::Crashes)),
        ("other", _) => Err(needs("nothing, \"corrupt\" or \"crashes\"")),
        ("load", _) => alone(Step::Load),
        ("start", []) => Ok(Step::Start(None)),
        ("start", _) => device().map(Some).map(Step::Start),
        ("stop", _) => device().map(Step::Stop),
        ("restart", _) => device().map(Step::Restart),
        ("disable", _) => device().map(Step::Disable),
        ("enable", _) => device().map(Step::Enable),
        ("surprise-remove", _) => device().map(Step::SurpriseRemove),
        ("remove", _) => device().map(Step::Remove),
        ("eject", _) => device().map(Step::Eject),
        ("open", _) => device().map(Step::Open),
        ("suspend", []) => Ok(Step::Suspend(false)),
        ("suspend", ["decode-off"]) => Ok(Step::Suspend(true)),
        ("suspend", _) => Err(needs("nothing, or \"decode-off\"")),
        ("resume", _) => alone(Step::Resume),
        ("rescan", _) => alone(Step::Rescan),
        ("wait", [word]) => Ok(Step::Wait((*word).to_string())),
        ("wait", _) => Err(needs("one word that says what the host has to do")),
        ("unload", _) => alone(Step::Unload),
        ("idle", []) => Ok(Step::Idle(Dump::Written)),
        ("idle", [dump]) => Ok(Step::Idle(parse_dump(dump)?)),
        ("idle", _) => Err(needs("nothing, or dump, no-dump or dump-fails=N")),
        ("bugcheck", [code]) => Ok(Step::BugCheck(number(code)?, Dump::Written, 0)),
        ("bugcheck", [code, dump]) => Ok(Step::BugCheck(number(code)?, parse_dump(dump)?, 0)),
        ("bugcheck", [code, dump, "on", processor]) => {
            let processor = number(processor)?;
            Ok(Step::BugCheck(number(code)?, parse_dump(dump)?, processor))
        }
        ("bugcheck", _) => Err(needs(
            "a STOP code and dump, no-dump or dump-fails=N, and may have \"on\" and a processor",
        )),
        _ => Err(format!("\"{name}\" is no step: {STEPS}")),
    }
}

fn parse_dump(word: &str) -> Result<Dump, String> {
    match word {
        "dump" => Ok(Dump::Written),
        "no-dump" => Ok(Dump::Disabled),
        _ => match word.strip_prefix("dump-fails=") {
            Some(write) => match number(write)? {
                write @ 1..=5 => Ok(Dump::FailsAt(write)),
                other => Err(format!("the dump has writes 1 to 5, not {other}")),
            },
            None => Err(format!("\"{word}\" is not dump, no-dump or dump-fails=N")),
        },
    }
}

fn parse_failure(rest: &[&str]) -> Result<Step, String> {
    let (target, occurrence, way) = match rest {
        [target, occurrence] => (*target, number(occurrence)?, 0),
        [target, occurrence, way] => (*target, number(occurrence)?, number(way)?),
        _ => {
            return Err(
                "fail needs \"call\" or a function's name, which of its calls (from 1), \
                        and may have which of its ways to fail (from 0)"
                    .into(),
            );
        }
    };
    let function = if target == "call" {
        None
    } else {
        let known = function::all().find(|function| function.name == target);
        match known {
            None => return Err(format!("\"{target}\" is no function that the model has")),
            Some(function) if function.failures.len() <= way as usize => {
                return Err(format!(
                    "{target} has {} ways to fail, counted from 0",
                    function.failures.len()
                ));
            }
            Some(_) => Some(target.to_string()),
        }
    };
    if occurrence == 0 {
        return Err("calls are counted from 1".into());
    }
    Ok(Step::Fail(Injection {
        function,
        occurrence,
        way: way as usize,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reason(text: &str) -> String {
        parse(text).map(|_| ()).unwrap_err().to_string()
    }

    #[test]
    fn every_step_is_understood() {
        let steps = parse(
            "# a comment\nset build 17763\nset ReportDumpEnd 2 # behind\n\nmatch ACPI\\QEMU0001\n\
             fail KeRegisterBugCheckCallback 1\nfail call 3\nobserve\ncover\ntrace\nother\n\
             other corrupt\nother crashes\nload\nstart\nstart 0\nstop 0\nrestart 0\ndisable 0\nenable 0\n\
             surprise-remove 0\nremove 0\neject 0\nopen 0\nsuspend\nsuspend decode-off\nresume\n\
             rescan\nunload\nidle no-dump\nbugcheck 0xE2 dump-fails=2 on 3\n",
        )
        .unwrap_or_default();
        assert_eq!(steps.len(), 29);
        assert_eq!(steps[0], (2, Step::Build(17_763)));
        assert_eq!(steps[28], (31, Step::BugCheck(0xE2, Dump::FailsAt(2), 3)));
    }

    #[test]
    fn a_bad_line_is_named_with_what_is_allowed() {
        assert!(reason("load\nstrat").starts_with("scenario line 2: \"strat\" is no step: set,"));
        assert!(reason("set build 9").contains("14393, 17763, 20348 or 26100"));
        assert!(reason("set X y").contains("\"y\" is no number"));
        assert!(reason("stop").contains("needs one DEVICE"));
        assert!(reason("load now").contains("takes nothing behind it, not \"now\""));
        assert!(reason("fail Nothing 1").contains("no function that the model has"));
        assert!(reason("fail MmMapIoSpaceEx 0").contains("counted from 1"));
        assert!(reason("bugcheck 0xE2 maybe").contains("dump-fails=N"));
    }
}
