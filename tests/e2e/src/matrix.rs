//! Every situation in which the driver is tried on real devices of QEMU's, and
//! what the host must see in each.

use crate::{
    contract::{self, CRASH_LOADED, Dump, PANICKED},
    qemu::HostAction,
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

/// All rows.
#[must_use]
pub fn rows() -> Vec<Row> {
    let mut rows = capabilities();
    rows.extend(mixes());
    rows.extend(lives());
    rows.extend(policies());
    rows
}

const NO_DUMP: &str = "bugcheck 0xE2 no-dump";
const DUMP: &str = "bugcheck 0xE2 dump";
const BROKEN_DUMP: &str = "bugcheck 0xE2 dump-fails=3";

/// One ISA device: each capability, with and without a dump, with a dump that
/// breaks off, and with each value of `ReportDumpEnd`.
fn capabilities() -> Vec<Row> {
    let mut rows = Vec::new();
    for capability in [0, 1, 2, 3, 4, 7, 8 | 1, 0xFF] {
        for (dump, word, step) in [
            (Dump::Off, "no dump", NO_DUMP),
            (Dump::Complete, "dump", DUMP),
            (Dump::Broken, "broken dump", BROKEN_DUMP),
        ] {
            for report_dump_end in 0..=2 {
                let device = format!("{ISA},events={capability}");
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
        ..Row::new(name, &[ISA], &format!("start; {DUMP}"), &[CRASH_LOADED])
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

/// Every way in which a device comes and goes.
fn lives() -> Vec<Row> {
    let isa = HARDWARE_IDS[0];
    let pci = HARDWARE_IDS[1];
    let steps = |steps: &str| format!("start; {steps}; {NO_DUMP}");
    vec![
        Row::new("disabled", &[ISA], &steps(&format!("disable {isa}")), &[]).properties(0),
        Row::new(
            "disabled and enabled",
            &[ISA],
            &steps(&format!("disable {isa}; enable {isa}")),
            &[PANICKED],
        )
        .statuses(&[SUCCESS; 2]),
        Row::new(
            "stopped and started again",
            &[PCI],
            &steps(&format!("restart {pci}")),
            &[PANICKED],
        )
        .statuses(&[SUCCESS; 2]),
        Row::new("stopped", &[PCI], &steps(&format!("stop {pci}")), &[]),
        Row::new(
            "removed, another stays",
            &[ISA, PCI],
            &steps(&format!("remove {isa}")),
            &[PANICKED],
        ),
        Row::new(
            "removed by surprise",
            &[PCI],
            &steps(&format!("surprise-remove {pci}")),
            &[],
        ),
        Row::new(
            "removed by surprise, another stays",
            &[ISA, PCI],
            &steps(&format!("surprise-remove {pci}")),
            &[PANICKED],
        ),
        Row::new(
            "opened by a program, which is refused",
            &[ISA],
            &steps(&format!("open {isa}")),
            &[PANICKED],
        ),
        Row::new("asleep, ISA", &[ISA], &steps("suspend"), &[PANICKED]),
        Row::new(
            "asleep, PCI decodes",
            &[PCI],
            &steps("suspend"),
            &[PANICKED],
        ),
        Row::new(
            "asleep, PCI decodes nothing",
            &[PCI],
            &steps("suspend decode-off"),
            &[],
        ),
        Row::new(
            "awake again",
            &[ISA, PCI],
            &steps("suspend decode-off; resume"),
            &[PANICKED, PANICKED],
        ),
        Row::new("unloaded", &[ISA, PCI], &steps("unload"), &[]),
        Row::new(
            "unloaded and loaded again",
            &[ISA, PCI],
            &steps("unload; load; start"),
            &[PANICKED, PANICKED],
        )
        .statuses(&[SUCCESS; 4]),
        Row::new(
            "unplugged",
            &[ISA, PCI],
            &steps(&format!("wait unplug; eject {pci}")),
            &[PANICKED],
        )
        .host(HostAction::Unplug(1)),
        Row::new(
            "plugged",
            &[ISA],
            &steps("wait plug; rescan"),
            &[PANICKED, PANICKED],
        )
        .host(HostAction::Plug(PCI.to_owned()))
        .statuses(&[SUCCESS; 2]),
    ]
}

/// What QEMU does at the event.
fn policies() -> Vec<Row> {
    let crash = &format!("start; {NO_DUMP}");
    vec![
        Row::new("QEMU pauses", &[ISA], crash, &[PANICKED])
            .panic_action("pause", End::Paused("guest-panicked".to_owned())),
        Row::new("QEMU shuts down", &[ISA], crash, &[PANICKED])
            .panic_action("shutdown", End::Exited(Some(0))),
        Row::new("QEMU exits with failure", &[ISA], crash, &[PANICKED])
            .panic_action("exit-failure", End::Exited(Some(1))),
    ]
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_row_has_a_name_of_its_own() {
        let rows = rows();
        let names: HashSet<&str> = rows.iter().map(|row| row.name.as_str()).collect();
        assert_eq!(names.len(), rows.len());
    }
}
