//! Rules for `[Manufacturer]` and the Models sections.

use super::Surroundings;
use crate::inf::Finding;
use crate::inf::model::{self, Device, Target};
use crate::inf::parse::Inf;

/// The devices of facts: QEMU's ISA device, QEMU's PCI device as virtio-win's
/// package names it, and any other hypervisor's PCI device.
pub const HARDWARE_IDS: [&str; 3] = [
    r"ACPI\QEMU0001",
    r"PCI\VEN_1B36&DEV_0011&SUBSYS_11001AF4&REV_01",
    r"PCI\VEN_1B36&DEV_0011",
];

/// The name in Device Manager, by which test suites find the device.
const DEVICE_NAME: &str = "QEMU PVPanic Device";

/// Server 2016 and Windows 10 1607: the earliest Windows the driver loads on,
/// and the first to understand a build number in a decoration.
const FIRST_BUILD: u32 = 14393;

pub(super) fn apply(inf: &Inf, surroundings: &Surroundings, findings: &mut Vec<Finding>) {
    let targets = model::targets(inf);
    if targets.is_empty() {
        findings.push(Finding::new(
            inf.section("Manufacturer")
                .map_or(1, |section| section.line),
            "manufacturer",
            "[Manufacturer] is missing or empty",
            "name a Models section and its target systems there",
        ));
    }
    for target in &targets {
        decoration(target, surroundings, findings);
        models(inf, target, findings);
    }
    let earliest = targets
        .iter()
        .filter_map(|target| target.system.as_ref())
        .map(|system| system.build)
        .min();
    if let (Some(first), Some(build)) = (targets.first(), earliest)
        && build != FIRST_BUILD
    {
        findings.push(Finding::new(
            first.line,
            "target-first-build",
            format!("the earliest build named is {build}"),
            "name build 14393 (Server 2016): older ones don't understand the decoration, and that one must not be left out",
        ));
    }
}

fn decoration(target: &Target, surroundings: &Surroundings, findings: &mut Vec<Finding>) {
    let Some(system) = &target.system else {
        findings.push(Finding::new(
            target.line,
            "target-decoration",
            format!("{:?} names no architecture and build", target.decoration),
            "write NT<architecture>.10.0...<build>, without product type or suite mask",
        ));
        return;
    };
    let ours = surroundings.architecture.inf_name();
    if system.architecture != ours {
        findings.push(Finding::new(
            target.line,
            "target-architecture",
            format!(
                "the models are for {}, pvpanic.sys is for {ours}",
                system.architecture
            ),
            "stamp the INF for the architecture of the .sys",
        ));
    }
    if system.version != (10, 0) {
        findings.push(Finding::new(
            target.line,
            "target-decoration",
            format!(
                "version {}.{} is not 10.0",
                system.version.0, system.version.1
            ),
            "Windows 10, 11 and Server 2016 and later all are 10.0",
        ));
    }
}

fn models(inf: &Inf, target: &Target, findings: &mut Vec<Finding>) {
    let Some(section) = inf.section(&target.models) else {
        findings.push(Finding::new(
            target.line,
            "models-section",
            format!("[{}] is not there", target.models),
            "add the Models section, or drop the target: its systems would find no device",
        ));
        return;
    };
    let devices = model::devices(inf, &target.models);
    for id in HARDWARE_IDS {
        if !devices.iter().any(|device| is_for(device, id)) {
            findings.push(Finding::new(
                section.line,
                "hardware-ids",
                format!("no device has the hardware ID {id}"),
                "list all three in each Models section: ISA, QEMU's PCI device, other hypervisors' PCI device",
            ));
        }
    }
    for device in &devices {
        check_device(device, findings);
    }
}

fn is_for(device: &Device, id: &str) -> bool {
    device
        .ids
        .first()
        .is_some_and(|first| first.eq_ignore_ascii_case(id))
}

fn check_device(device: &Device, findings: &mut Vec<Finding>) {
    if !HARDWARE_IDS.iter().any(|id| is_for(device, id)) {
        findings.push(Finding::new(
            device.line,
            "hardware-id-foreign",
            format!("{} is no pvpanic device", device.ids.join(",")),
            "list only the IDs of pvpanic: the driver would be installed on another device",
        ));
    }
    if device.ids.len() > 1 {
        findings.push(Finding::new(
            device.line,
            "compatible-ids",
            "a compatible ID follows the hardware ID",
            "give each ID a line of its own: a compatible ID ranks below every hardware ID",
        ));
    }
    if device.name != DEVICE_NAME {
        findings.push(Finding::new(
            device.line,
            "device-name",
            format!("the device is called {:?}", device.name),
            "call it QEMU PVPanic Device, as virtio-win does: test suites look for that name",
        ));
    }
}
