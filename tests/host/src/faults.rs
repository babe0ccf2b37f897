//! Fault injection in the shipped driver: each call that can fail does, in each
//! documented way, and what comes of it is held against what the driver promises
//! for a failure of that call. The promise is written down here a second time, by
//! what the world sees of it: statuses, events at the device, traces, properties.

use std::collections::BTreeMap;

use nt_model::Outcome;

use crate::{
    Device, Life, live,
    report::{kind, number, text},
    suite::{Results, violation},
};

/// No function has more ways to fail.
const MOST_WAYS: u32 = 4;

/// The events, as bits of the capability byte.
const PANICKED: u8 = 1;
const CRASH_LOADED: u8 = 2;

/// The driver's device properties.
const ARMED: &str = "3";
const WARNINGS: &str = "5";
const REFUSAL: &str = "6";
const REPORT_DUMP_END: &str = "7";
const ALL: [&str; 6] = ["2", ARMED, "4", WARNINGS, REFUSAL, REPORT_DUMP_END];

/// `STATUS_OBJECT_NAME_NOT_FOUND`: nobody has set the value.
const NOT_SET: &str = "0xc0000034";

/// `Warnings`: RDPT or WRPT not answered, one of two callbacks not registered.
const NO_RDPT: u32 = 1;
const NO_WRPT: u32 = 4;
const NOT_ALL_REGISTERED: u32 = 8;

/// Windows could not map the register; it registered no callback.
const NOT_MAPPED: &str = "0xc000009a";
const NOT_REGISTERED: &str = "0xc0000183";

/// How a scenario ends.
#[derive(Clone, Copy)]
enum Crash {
    Without,
    NoDump,
    Dump,
    Broken,
}

/// A scenario in which every call that can fail is made to fail.
struct Scenario {
    name: &'static str,
    capabilities: [u8; 2],
    report_dump_end: u32,
    steps: &'static str,
    crash: Crash,
}

const fn scenario(name: &'static str, steps: &'static str, crash: Crash) -> Scenario {
    Scenario {
        name,
        capabilities: [3, 3],
        report_dump_end: 0,
        steps,
        crash,
    }
}

const SCENARIOS: [Scenario; 12] = [
    scenario(
        "start, open, stop, unload",
        "load\nstart\nopen 0\nstop 0\nstop 1\nunload\n",
        Crash::Without,
    ),
    scenario("start, bug check, dump", "load\nstart\n", Crash::Dump),
    scenario("start, bug check, no dump", "load\nstart\n", Crash::NoDump),
    Scenario {
        capabilities: [1, 2],
        ..scenario("one event each, dump", "load\nstart\n", Crash::Dump)
    },
    Scenario {
        capabilities: [2, 1],
        ..scenario("one event each, no dump", "load\nstart\n", Crash::NoDump)
    },
    Scenario {
        report_dump_end: 2,
        ..scenario("ReportDumpEnd 2, dump", "load\nstart\n", Crash::Dump)
    },
    Scenario {
        report_dump_end: 1,
        ..scenario(
            "ReportDumpEnd 1, broken dump",
            "load\nstart\n",
            Crash::Broken,
        )
    },
    Scenario {
        report_dump_end: 7,
        ..scenario("ReportDumpEnd 7, dump", "load\nstart\n", Crash::Dump)
    },
    scenario(
        "restart both, bug check",
        "load\nstart\nrestart 0\nrestart 1\n",
        Crash::Dump,
    ),
    scenario(
        "disable, enable, bug check",
        "load\nstart\ndisable 0\nenable 0\n",
        Crash::NoDump,
    ),
    scenario(
        "sleep, surprise removal, bug check",
        "load\nstart\nsuspend\nresume\nsurprise-remove 1\n",
        Crash::Dump,
    ),
    scenario(
        "unload, load again, bug check",
        "load\nstart\nunload\nload\nstart\n",
        Crash::NoDump,
    ),
];

impl Scenario {
    fn text(&self) -> String {
        let set = match self.report_dump_end {
            0 => String::new(),
            value => format!("set ReportDumpEnd {value}\n"),
        };
        let crash = match self.crash {
            Crash::Without => "",
            Crash::NoDump => "bugcheck 0xE2 no-dump\n",
            Crash::Dump => "bugcheck 0xE2 dump\n",
            Crash::Broken => "bugcheck 0xE2 dump-fails=3\n",
        };
        format!("trace\n{set}{}{crash}", self.steps)
    }

    fn devices(&self) -> [Device; 2] {
        let [isa, pci] = self.capabilities;
        [Device::isa(0x505, isa), Device::pci(4, 0xFEBF_1000, pci)]
    }

    /// What a device sees that is armed for these events.
    fn events(&self, armed: u8, report_dump_end: u32) -> Vec<u64> {
        let panicked = armed & PANICKED != 0;
        let loaded = armed & CRASH_LOADED != 0;
        let at_end = match self.crash {
            Crash::Without => return Vec::new(),
            Crash::NoDump => return if panicked { vec![1] } else { Vec::new() },
            Crash::Dump => report_dump_end == 2,
            Crash::Broken => matches!(report_dump_end, 1 | 2),
        };
        match (panicked, loaded) {
            (true, true) if at_end => vec![2, 1],
            (_, true) => vec![2],
            (true, false) => vec![1],
            (false, false) => Vec::new(),
        }
    }
}

/// The end of a start.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Start {
    line: usize,
    id: String,
    status: String,
    started: bool,
    attempts: u32,
}

/// A fault that was injected, and where.
#[derive(Clone, Debug)]
struct Fault {
    line: usize,
    function: String,
    result: String,
    /// The device that a callback ran for; empty in `DriverEntry`.
    id: String,
    /// A method had been evaluated in the same callback.
    after_method: bool,
}

/// What the world sees of a life.
#[derive(Clone, Debug, Default)]
struct Story {
    fault: Option<Fault>,
    loaded: Vec<String>,
    starts: Vec<Start>,
    /// Traces that warn of something, with their last value.
    troubles: Vec<String>,
    told: BTreeMap<String, u32>,
    /// By device and key.
    properties: BTreeMap<(String, String), String>,
    events: BTreeMap<String, Vec<u64>>,
}

impl Story {
    fn of(life: &Life) -> Self {
        let mut story = Self::default();
        let (mut current, mut method) = (String::new(), false);
        for (index, line) in life.report.iter().enumerate() {
            let word = |key: &str| text(line, key).unwrap_or_default().to_owned();
            match kind(line) {
                "enter" => (current, method) = (word("id"), false),
                "acpi" => method = true,
                "fault" => {
                    story.fault = Some(Fault {
                        line: index,
                        function: word("function"),
                        result: word("result"),
                        id: current.clone(),
                        after_method: method,
                    });
                }
                "loaded" => story.loaded.push(word("status")),
                "started" => story.starts.push(Start {
                    line: index,
                    id: word("id"),
                    status: word("status"),
                    started: line.contains("\"started\":true"),
                    attempts: number(line, "attempts"),
                }),
                "trace" => story.trace(line),
                "property" => {
                    let key = word("key");
                    let key = key.rsplit(' ').next().unwrap_or_default().to_owned();
                    if line.contains("\"deleted\":") {
                        story.properties.remove(&(word("id"), key));
                    } else {
                        story.properties.insert((word("id"), key), word("bytes"));
                    }
                }
                _ => {}
            }
        }
        for write in &life.writes {
            // As the report spells it.
            let id = write.device.replace('\\', "\\\\");
            story.events.entry(id).or_default().push(write.value);
        }
        story
    }

    fn trace(&mut self, line: &str) {
        const WARNING: u32 = 3;
        let event = text(line, "event").unwrap_or_default();
        *self.told.entry(event.to_owned()).or_default() += 1;
        if number(line, "level") <= WARNING {
            let last = line.rsplit('"').nth(1).unwrap_or_default();
            self.troubles.push(format!("{event} {last}"));
        }
    }

    fn told(&self, event: &str) -> u32 {
        self.told.get(event).copied().unwrap_or_default()
    }

    fn properties_of(&self, id: &str) -> BTreeMap<&str, &str> {
        self.properties
            .iter()
            .filter(|((of, _), _)| of == id)
            .map(|((_, key), bytes)| (key.as_str(), bytes.as_str()))
            .collect()
    }
}

/// What the driver promises for a failed call.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Promise {
    /// `DriverEntry` passes the status on, and nothing is left.
    DriverRefused,
    /// The device does not start, with this status; its properties tell why, or
    /// there is no device object to hold them.
    DeviceRefused { status: String, told: bool },
    /// The device does not start at first, and does when it is tried again. A
    /// restart is not: the device is refused.
    TriedAgain,
    /// The device starts and is armed for one event of two.
    OneEvent(u8),
    /// The device starts, and warns that a method did not answer.
    Warned(u32),
    /// The settings are the defaults.
    Defaults,
    /// Something that would have told of the start is missing.
    Untold,
    /// Nothing changes.
    Nothing,
}

impl Promise {
    const NAMES: [&'static str; 8] = [
        "driver refused",
        "device refused",
        "tried again",
        "one event of two",
        "warned",
        "default settings",
        "not told",
        "no difference",
    ];

    const fn name(&self) -> &'static str {
        let index = match self {
            Self::DriverRefused => 0,
            Self::DeviceRefused { .. } => 1,
            Self::TriedAgain => 2,
            Self::OneEvent(_) => 3,
            Self::Warned(_) => 4,
            Self::Defaults => 5,
            Self::Untold => 6,
            Self::Nothing => 7,
        };
        Self::NAMES[index]
    }

    fn of(fault: &Fault, offered: u8) -> Option<Self> {
        Some(match fault.function.as_str() {
            "WdfVersionBind" | "WdfDriverCreate" => Self::DriverRefused,
            "WdfDriverOpenParametersRegistryKey" | "WdfRegistryQueryULong" => Self::Defaults,
            "EtwRegister" | "EtwWriteTransfer" | "WdfDeviceAssignProperty" => Self::Untold,
            "WdfDeviceCreate" => Self::DeviceRefused {
                status: fault.result.clone(),
                told: false,
            },
            "WdfDeviceQueryProperty" => Self::Nothing,
            "WdfIoTargetSendIoctlSynchronously" if fault.after_method => Self::Warned(NO_WRPT),
            "WdfIoTargetSendIoctlSynchronously" => Self::Warned(NO_RDPT),
            "MmMapIoSpaceEx" => Self::TriedAgain,
            "KeRegisterBugCheckCallback" => Self::without(PANICKED, offered),
            "KeRegisterBugCheckReasonCallback" => Self::without(CRASH_LOADED, offered),
            _ => return None,
        })
    }

    fn without(event: u8, offered: u8) -> Self {
        match offered & !event {
            0 => Self::DeviceRefused {
                status: NOT_REGISTERED.into(),
                told: true,
            },
            armed => Self::OneEvent(armed),
        }
    }
}

/// A check of one faulty life.
struct Check<'a> {
    scenario: &'a Scenario,
    sound: &'a Story,
    faulty: &'a Story,
    fault: &'a Fault,
    promise: Promise,
}

impl Check<'_> {
    /// What is not as promised.
    fn broken(mut self) -> Option<String> {
        let at = self.faulty.starts.iter().position(|start| {
            start.line > self.fault.line && start.id == self.fault.id && !self.fault.id.is_empty()
        });
        // A restart is not tried again.
        if self.promise == Promise::TriedAgain
            && at.is_some_and(|at| !self.faulty.starts[at].started)
            && self.is_restart(at)
        {
            self.promise = Promise::DeviceRefused {
                status: NOT_MAPPED.into(),
                told: true,
            };
        }
        self.loads()
            .or_else(|| self.starts(at))
            .or_else(|| self.troubles())
            .or_else(|| self.devices(at))
    }

    fn is_restart(&self, at: Option<usize>) -> bool {
        let restarted = self.scenario.steps.contains("restart");
        let earlier = |at: usize| {
            let mut before = self.faulty.starts[..at].iter();
            before.any(|start| start.id == self.fault.id)
        };
        restarted && at.is_some_and(earlier)
    }

    fn loads(&self) -> Option<String> {
        let refused = &self.faulty.loaded;
        let failed: Vec<&String> = refused
            .iter()
            .filter(|status| *status != "0x00000000")
            .collect();
        let right = if self.promise == Promise::DriverRefused {
            failed == [&as_status(&self.fault.result)]
        } else {
            failed.is_empty()
        };
        (!right).then(|| format!("DriverEntry answered {refused:?}"))
    }

    fn starts(&self, at: Option<usize>) -> Option<String> {
        let told = self.faulty.told("DeviceStarted");
        for (index, start) in self.faulty.starts.iter().enumerate() {
            let sound = |start: &Start| {
                start.started && start.attempts == 1 && start.status == "0x00000000"
            };
            let right = if Some(index) == at {
                match &self.promise {
                    Promise::DeviceRefused { status, .. } => {
                        !start.started && start.attempts == 1 && start.status == as_status(status)
                    }
                    Promise::TriedAgain => start.started && start.attempts == 2,
                    _ => sound(start),
                }
            } else {
                sound(start)
            };
            if !right {
                return Some(format!("a start ended so: {start:?}"));
            }
        }
        let started = self.faulty.starts.iter().filter(|start| start.started);
        let started = u32::try_from(started.count()).unwrap_or(u32::MAX);
        let missing = match self.fault.function.as_str() {
            "EtwRegister" => told < started,
            "EtwWriteTransfer" => told == started || told + 1 == started,
            _ => told == started,
        };
        (!missing).then(|| format!("{started} starts were told of {told} times"))
    }

    /// Traces that warn are those that belong to the fault, and no others.
    fn troubles(&self) -> Option<String> {
        let status = as_status(&self.fault.result);
        let expected = match &self.promise {
            Promise::DriverRefused if self.fault.function == "WdfVersionBind" => None,
            Promise::DriverRefused => Some(format!("DriverFailed Status={status}")),
            Promise::DeviceRefused { status, told: true } => {
                Some(format!("DeviceRefused Status={status}"))
            }
            Promise::DeviceRefused { .. } => Some(format!("DeviceAddFailed Status={status}")),
            Promise::TriedAgain => Some(format!("DeviceRefused Status={NOT_MAPPED}")),
            Promise::OneEvent(_) => {
                Some(format!("DeviceWarnings Warnings=0x{NOT_ALL_REGISTERED:x}"))
            }
            Promise::Warned(bits) => Some(format!("DeviceWarnings Warnings=0x{bits:x}")),
            Promise::Defaults if status != NOT_SET => {
                Some(format!("ReportDumpEndUnreadable Status={status}"))
            }
            Promise::Untold | Promise::Defaults | Promise::Nothing => None,
        };
        // A value without a meaning is warned of at every load.
        let mut seen = self.faulty.troubles.clone();
        if self.scenario.report_dump_end > 2 {
            seen.retain(|trouble| !trouble.starts_with("ReportDumpEndRefused"));
        }
        if self.fault.function == "WdfDeviceAssignProperty" {
            let status = format!("PropertyNotWritten Status={status}");
            // Deleting a property that is not there fails as well, and is silent.
            seen.retain(|trouble| *trouble != status);
        }
        let expected: Vec<String> = expected.into_iter().collect();
        (seen != expected).then(|| format!("traced {seen:?} instead of {expected:?}"))
    }

    /// Events and properties of each device in the end.
    fn devices(&self, at: Option<usize>) -> Option<String> {
        let gone = self.faulty.loaded.last().is_some_and(|s| s != "0x00000000");
        let report_dump_end = match self.promise {
            Promise::Defaults if self.scenario.report_dump_end < 3 => 0,
            _ => self.scenario.report_dump_end,
        };
        for (device, offered) in self
            .scenario
            .devices()
            .iter()
            .zip(self.scenario.capabilities)
        {
            let id = device.id.replace('\\', "\\\\");
            let later = |at: usize| self.faulty.starts[at + 1..].iter().any(|it| it.id == id);
            let touched = self.fault.id == id && at.is_some_and(|at| !later(at));
            let present = !self.sound.properties_of(&id).is_empty() && !gone;
            let mut properties = self.sound.properties_of(&id);
            if gone {
                properties.clear();
            }
            let (mut armed, mut warnings) = (offered, 0);
            let refusal;
            match &self.promise {
                Promise::DeviceRefused { status, told } if touched => {
                    armed = 0;
                    properties.clear();
                    refusal = bytes(status);
                    if *told {
                        properties.insert(REFUSAL, &refusal);
                    }
                }
                Promise::OneEvent(only) if touched => {
                    (armed, warnings) = (*only, NOT_ALL_REGISTERED);
                }
                Promise::Warned(bits) if touched => warnings = *bits,
                _ => {}
            }
            let told = (format!("{armed:02x}"), bytes(&format!("{warnings:x}")));
            if properties.contains_key(ARMED) {
                properties.insert(ARMED, &told.0);
                properties.insert(WARNINGS, &told.1);
            }
            if self.promise == Promise::Defaults && properties.contains_key(REPORT_DUMP_END) {
                properties.insert(REPORT_DUMP_END, "00");
            }
            let events = if present {
                self.scenario.events(armed, report_dump_end)
            } else {
                Vec::new()
            };
            let seen = self.faulty.events.get(&id).cloned().unwrap_or_default();
            if seen != events {
                return Some(format!("{id} saw {seen:?} instead of {events:?}"));
            }
            let mut now = self.faulty.properties_of(&id);
            if self.fault.function == "WdfDeviceAssignProperty" && self.fault.id == id {
                // One is missing or, where its deletion failed, left.
                let differ = |key: &&str| now.get(key) != properties.get(key);
                let keys: Vec<&str> = ALL.into_iter().filter(differ).collect();
                if let [key] = keys[..] {
                    now.remove(key);
                    properties.remove(key);
                }
            }
            if now != properties {
                return Some(format!(
                    "{id} has properties {now:?} instead of {properties:?}"
                ));
            }
        }
        None
    }
}

/// An NTSTATUS in eight digits.
fn as_status(text: &str) -> String {
    let digits = text.strip_prefix("0x").unwrap_or(text);
    format!("0x{digits:0>8}")
}

/// A number as a property's bytes, the lowest first.
fn bytes(text: &str) -> String {
    let digits = text.strip_prefix("0x").unwrap_or(text);
    let value = u32::from_str_radix(digits, 16).unwrap_or_default();
    format!("{:08x}", value.swap_bytes())
}

/// The machines and scenarios in which every call is made to fail.
pub fn scenarios() -> Vec<(Vec<Device>, String)> {
    SCENARIOS
        .iter()
        .map(|scenario| (scenario.devices().to_vec(), scenario.text()))
        .collect()
}

/// Each call that can fail does, in each of its ways.
pub fn faults(results: &mut Results, image: &[u8]) {
    let mut outcomes: BTreeMap<&'static str, u32> = BTreeMap::new();
    let mut injected = 0;
    for scenario in &SCENARIOS {
        let steps = scenario.text();
        let devices = scenario.devices();
        let life = live(image, &devices, &steps);
        let sound = Story::of(&life);
        let calls = number(life.line("calls").unwrap_or_default(), "can_fail");
        results.check(life.outcome == Outcome::Complete && calls > 0, || {
            format!("{}: {}", scenario.name, violation(&life))
        });
        for (call, way) in (1..=calls).flat_map(|call| (0..MOST_WAYS).map(move |way| (call, way))) {
            let life = live(image, &devices, &format!("fail call {call} {way}\n{steps}"));
            let faulty = Story::of(&life);
            let Some(fault) = &faulty.fault else {
                continue;
            };
            injected += 1;
            let of = devices
                .iter()
                .position(|device| device.id.replace('\\', "\\\\") == fault.id);
            let offered = of.map_or(0, |index| scenario.capabilities[index]);
            let promise = Promise::of(fault, offered);
            let wrong = promise.map_or_else(
                || Some("nothing is promised for it".to_owned()),
                |promise| {
                    *outcomes.entry(promise.name()).or_default() += 1;
                    let check = Check {
                        scenario,
                        sound: &sound,
                        faulty: &faulty,
                        fault,
                        promise,
                    };
                    check.broken()
                },
            );
            results.check(life.outcome == Outcome::Complete && wrong.is_none(), || {
                format!(
                    "{} with call {call} ({} gives {}): {}; {}",
                    scenario.name,
                    fault.function,
                    fault.result,
                    wrong.unwrap_or_default(),
                    violation(&life)
                )
            });
        }
    }
    let kinds: Vec<String> = Promise::NAMES
        .iter()
        .map(|name| format!("{} {name}", outcomes.get(name).copied().unwrap_or_default()))
        .collect();
    results.check(outcomes.len() == Promise::NAMES.len(), || {
        format!("an outcome never came about: {}", kinds.join(", "))
    });
    results.summary.push(format!(
        "{injected} faults injected, as promised: {}",
        kinds.join(", ")
    ));
}
