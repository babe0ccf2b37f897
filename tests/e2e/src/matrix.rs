//! Every situation in which the driver is tried on real devices of QEMU's, and
//! what the host must see in each.

use crate::{
    contract::{self, CRASH_LOADED, Dump, PANICKED},
    qemu::{HostAction, SLOT},
    run::End,
};

/// One situation.
#[derive(Clone, Debug)]
pub struct Row {
    /// What is special about it.
    pub name: String,
    /// `-machine`.
    pub machine: &'static str,
    /// `-device`, each.
    pub devices: Vec<String>,
    /// `-action panic=`.
    pub panic_action: &'static str,
    /// What happens in the guest after the driver is loaded.
    pub steps: String,
    /// What is set before.
    pub settings: String,
    /// What the host does each time that the guest waits for it.
    pub host: Vec<HostAction>,
    /// All panic events, in order.
    pub events: Vec<&'static str>,
    /// The status with which each start ended, in order.
    pub statuses: Vec<u32>,
    /// How the run ends.
    pub end: End,
    /// How many device properties there are in the end, where that is checked.
    pub properties: Option<usize>,
}

/// The hardware IDs that the driver is for.
pub const HARDWARE_IDS: [&str; 2] = ["ACPI\\QEMU0001", "PCI\\VEN_1B36&DEV_0011"];

/// The lines of a scenario that bind the driver to the devices it is for.
#[must_use]
pub fn matching() -> String {
    HARDWARE_IDS.map(|id| format!("match {id}\n")).concat()
}

/// The ISA device.
pub const ISA: &str = "pvpanic";
/// The PCI device.
pub const PCI: &str = "pvpanic-pci";

/// The ARM64 machine.
pub const VIRT: &str = "virt";
/// A machine whose panic devices offer `PANICKED` only.
pub const OLD_MACHINE: &str = "pc-i440fx-5.1";

const SUCCESS: u32 = 0;
/// No device decodes the address.
const NO_SUCH_DEVICE: u32 = 0xC000_000E;
/// The device offers no event that the driver reports.
const FEATURE_NOT_SUPPORTED: u32 = 0xC000_0463;

impl Row {
    fn new(
        name: impl Into<String>,
        devices: &[&str],
        steps: &str,
        events: &[&'static str],
    ) -> Self {
        Self {
            name: name.into(),
            machine: "pc",
            devices: devices.iter().map(|&device| device.to_owned()).collect(),
            panic_action: "none",
            steps: steps.to_owned(),
            settings: String::new(),
            host: Vec::new(),
            events: events.to_vec(),
            statuses: vec![SUCCESS; devices.len()],
            end: End::Complete,
            properties: None,
        }
    }

    const fn properties(mut self, count: usize) -> Self {
        self.properties = Some(count);
        self
    }

    const fn on(mut self, machine: &'static str) -> Self {
        self.machine = machine;
        self
    }

    fn statuses(mut self, statuses: &[u32]) -> Self {
        self.statuses = statuses.to_vec();
        self
    }

    fn host(mut self, action: HostAction) -> Self {
        self.host.push(action);
        self
    }

    fn panic_action(mut self, action: &'static str, end: End) -> Self {
        self.panic_action = action;
        self.end = end;
        self
    }

    /// The scenario for the test kernel.
    #[must_use]
    pub fn scenario(&self) -> String {
        let mut text = self.settings.clone() + &matching();
        text.push_str("load\n");
        for step in self.steps.split("; ") {
            text.push_str(step);
            text.push('\n');
        }
        text
    }
}

/// All rows on x64.
#[must_use]
pub fn rows() -> Vec<Row> {
    let mut rows = capabilities(ISA, &[0, 1, 2, 3, 4, 7, 8 | 1, 0xFF]);
    rows.extend(mixes());
    rows.extend(lives([ISA, PCI], HARDWARE_IDS));
    rows.extend(plugging([ISA, PCI], PCI));
    rows.extend(policies(ISA));
    rows
}

/// All rows on ARM64, which has the PCI device alone.
#[must_use]
pub fn rows_on_arm64() -> Vec<Row> {
    let in_slot = format!("{PCI},bus={SLOT}");
    let mut rows = capabilities(PCI, &[0, 1, 2, 3, 4, 5, 6, 7, 8 | 1, 0xFF]);
    rows.extend(mixes_on_arm64(&in_slot));
    rows.extend(lives([PCI, PCI], ["0", "1"]));
    rows.extend(plugging([PCI, &in_slot], &in_slot));
    rows.extend(policies(PCI));
    rows.into_iter().map(|row| row.on(VIRT)).collect()
}

const NO_DUMP: &str = "bugcheck 0xE2 no-dump";
const DUMP: &str = "bugcheck 0xE2 dump";
const BROKEN_DUMP: &str = "bugcheck 0xE2 dump-fails=3";

/// One device of that model: each capability, with and without a dump, with a dump
/// that breaks off, and with each value of `ReportDumpEnd`.
fn capabilities(model: &str, capabilities: &[u8]) -> Vec<Row> {
    let mut rows = Vec::new();
    for &capability in capabilities {
        for (dump, word, step) in [
            (Dump::Off, "no dump", NO_DUMP),
            (Dump::Complete, "dump", DUMP),
            (Dump::Broken, "broken dump", BROKEN_DUMP),
        ] {
            for report_dump_end in 0..=2 {
                let device = format!("{model},events={capability}");
                let name =
                    format!("offers {capability:#04x}, {word}, ReportDumpEnd {report_dump_end}");
                let events = contract::expected(capability, dump, report_dump_end);
                let status = match capability {
                    0xFF => NO_SUCH_DEVICE,
                    0 | 4 => FEATURE_NOT_SUPPORTED,
                    _ => SUCCESS,
                };
                rows.push(Row {
                    settings: format!("set ReportDumpEnd {report_dump_end}\n"),
                    statuses: vec![status],
                    ..Row::new(name, &[&device], &format!("start; {step}"), &events)
                });
            }
        }
    }
    let name = "ReportDumpEnd 3 counts as 0";
    rows.push(Row {
        settings: "set ReportDumpEnd 3\n".to_owned(),
        ..Row::new(name, &[model], &format!("start; {DUMP}"), &[CRASH_LOADED])
    });
    rows
}

/// Machines, ports and mixes of devices.
fn mixes() -> Vec<Row> {
    let crash = &format!("start; {NO_DUMP}");
    let dump = &format!("start; {DUMP}");
    let two = &[PANICKED, PANICKED];
    vec![
        Row::new("q35", &[ISA], crash, &[PANICKED])
            .on("q35")
            .properties(5),
        Row::new("q35, dump", &[ISA], dump, &[CRASH_LOADED]).on("q35"),
        Row::new(
            "a machine that offers PANICKED only",
            &[ISA],
            dump,
            &[PANICKED],
        )
        .on(OLD_MACHINE),
        Row::new(
            "another port",
            &["pvpanic,ioport=0x5c0"],
            crash,
            &[PANICKED],
        ),
        Row::new("no device", &[], crash, &[]),
        Row::new("PCI", &[PCI], crash, &[PANICKED]),
        Row::new("PCI, dump", &[PCI], dump, &[CRASH_LOADED]),
        Row::new("PCI on q35", &[PCI], crash, &[PANICKED]).on("q35"),
        Row::new("ISA and PCI", &[ISA, PCI], crash, two),
        Row::new(
            "ISA and PCI, dump",
            &[ISA, PCI],
            dump,
            &[CRASH_LOADED, CRASH_LOADED],
        ),
        Row::new("ISA and PCI on q35", &[ISA, PCI], crash, two).on("q35"),
        Row::new("two PCI", &[PCI, PCI], crash, two),
        Row::new("ISA and two PCI", &[ISA, PCI, PCI], crash, &[PANICKED; 3]),
        Row::new(
            "one offers PANICKED, the other CRASH_LOADED, dump",
            &["pvpanic,events=1", "pvpanic-pci,events=2"],
            dump,
            &[CRASH_LOADED, PANICKED],
        ),
        Row::new(
            "one is refused, the other reports",
            &["pvpanic,events=0", PCI],
            crash,
            &[PANICKED],
        )
        .statuses(&[FEATURE_NOT_SUPPORTED, SUCCESS])
        .properties(6),
    ]
}

/// Mixes of PCI devices, on the root bus and in a slot.
fn mixes_on_arm64(in_slot: &str) -> Vec<Row> {
    let crash = &format!("start; {NO_DUMP}");
    let dump = &format!("start; {DUMP}");
    vec![
        Row::new("no device", &[], crash, &[]),
        Row::new("PCI", &[PCI], crash, &[PANICKED]).properties(5),
        Row::new("PCI, dump", &[PCI], dump, &[CRASH_LOADED]),
        Row::new("in a slot", &[in_slot], crash, &[PANICKED]),
        Row::new("in a slot, dump", &[in_slot], dump, &[CRASH_LOADED]),
        Row::new("two", &[PCI, PCI], crash, &[PANICKED; 2]),
        Row::new("two, dump", &[PCI, PCI], dump, &[CRASH_LOADED; 2]),
        Row::new("three", &[PCI, in_slot, PCI], crash, &[PANICKED; 3]),
        Row::new(
            "one offers PANICKED, the other CRASH_LOADED, dump",
            &["pvpanic-pci,events=1", "pvpanic-pci,events=2"],
            dump,
            &[CRASH_LOADED, PANICKED],
        ),
        Row::new(
            "one is refused, the other reports",
            &["pvpanic-pci,events=0", PCI],
            crash,
            &[PANICKED],
        )
        .statuses(&[FEATURE_NOT_SUPPORTED, SUCCESS])
        .properties(6),
    ]
}

/// Every way in which devices of two models come and go; the names pick them in a
/// scenario.
fn lives([one, other]: [&str; 2], [first, second]: [&str; 2]) -> Vec<Row> {
    // The other model may be alone.
    let alone = if one == other { first } else { second };
    let steps = |steps: &str| format!("start; {steps}; {NO_DUMP}");
    vec![
        Row::new("disabled", &[one], &steps(&format!("disable {first}")), &[]).properties(0),
        Row::new(
            "disabled and enabled",
            &[one],
            &steps(&format!("disable {first}; enable {first}")),
            &[PANICKED],
        )
        .statuses(&[SUCCESS; 2]),
        Row::new(
            "stopped and started again",
            &[other],
            &steps(&format!("restart {alone}")),
            &[PANICKED],
        )
        .statuses(&[SUCCESS; 2]),
        Row::new("stopped", &[other], &steps(&format!("stop {alone}")), &[]),
        Row::new(
            "removed, another stays",
            &[one, other],
            &steps(&format!("remove {first}")),
            &[PANICKED],
        ),
        Row::new(
            "removed by surprise",
            &[other],
            &steps(&format!("surprise-remove {alone}")),
            &[],
        ),
        Row::new(
            "removed by surprise, another stays",
            &[one, other],
            &steps(&format!("surprise-remove {second}")),
            &[PANICKED],
        ),
        Row::new(
            "opened by a program, which is refused",
            &[one],
            &steps(&format!("open {first}")),
            &[PANICKED],
        ),
        Row::new("asleep", &[one], &steps("suspend"), &[PANICKED]),
        Row::new(
            "asleep, the device decodes",
            &[other],
            &steps("suspend"),
            &[PANICKED],
        ),
        Row::new(
            "asleep, the device decodes nothing",
            &[other],
            &steps("suspend decode-off"),
            &[],
        ),
        Row::new(
            "awake again",
            &[one, other],
            &steps("suspend decode-off; resume"),
            &[PANICKED, PANICKED],
        ),
        Row::new("unloaded", &[one, other], &steps("unload"), &[]),
        Row::new(
            "unloaded and loaded again",
            &[one, other],
            &steps("unload; load; start"),
            &[PANICKED, PANICKED],
        )
        .statuses(&[SUCCESS; 4]),
    ]
}

/// A device that is unplugged and one that is plugged, beside another.
fn plugging([stays, goes]: [&str; 2], comes: &str) -> Vec<Row> {
    let pci = HARDWARE_IDS[1];
    vec![
        Row::new(
            "unplugged",
            &[stays, goes],
            &format!("start; wait unplug; eject {pci}; {NO_DUMP}"),
            &[PANICKED],
        )
        .host(HostAction::Unplug(1)),
        Row::new(
            "plugged",
            &[stays],
            &format!("start; wait plug; rescan; {NO_DUMP}"),
            &[PANICKED, PANICKED],
        )
        .host(HostAction::Plug(comes.to_owned()))
        .statuses(&[SUCCESS; 2]),
    ]
}

/// What QEMU does at the event.
fn policies(model: &str) -> Vec<Row> {
    let crash = &format!("start; {NO_DUMP}");
    vec![
        Row::new("QEMU pauses", &[model], crash, &[PANICKED])
            .panic_action("pause", End::Paused("guest-panicked".to_owned())),
        Row::new("QEMU shuts down", &[model], crash, &[PANICKED])
            .panic_action("shutdown", End::Exited(Some(0))),
        Row::new("QEMU exits with failure", &[model], crash, &[PANICKED])
            .panic_action("exit-failure", End::Exited(Some(1))),
    ]
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_row_has_a_name_of_its_own() {
        for rows in [rows(), rows_on_arm64()] {
            let names: HashSet<&str> = rows.iter().map(|row| row.name.as_str()).collect();
            assert_eq!(names.len(), rows.len());
        }
    }
}
