//! Which instructions of the driver's image run, over all scenarios of the suite:
//! every one is single-stepped.

use std::collections::BTreeSet;

use crate::{
    Device, faults, live,
    report::number,
    suite::{CONTRACT_CAPABILITIES, Random, machine, mapped_port},
};

/// Random machines that are stepped through.
const MACHINES: u32 = 300;

/// For a device that does not start, or not as usual.
const LOADED: &str = "load\nstart\nunload\n";

/// The offsets in the image, hexadecimal, of all instructions that ran.
#[must_use]
pub fn cover(image: &[u8], seed: u64) -> BTreeSet<String> {
    let mut offsets = BTreeSet::new();
    let mut walk = |devices: &[Device], scenario: &str| {
        let life = live(image, devices, &format!("cover\n{scenario}"));
        // The kind, `offsets` and then one text for each.
        let covered = life.line("covered").unwrap_or_default();
        offsets.extend(covered.split('"').skip(5).step_by(2).map(str::to_owned));
    };
    for capability in CONTRACT_CAPABILITIES {
        for device in [
            Device::isa(0x505, capability),
            Device::pci(4, 0xFEBF_1000, capability),
        ] {
            for dump in ["dump", "no-dump"] {
                let scenario = format!("load\nstart\nbugcheck 0xE2 {dump}\n");
                walk(std::slice::from_ref(&device), &scenario);
            }
        }
    }
    for (devices, scenario) in faults::scenarios() {
        let life = live(image, &devices, &scenario);
        let calls = number(life.line("calls").unwrap_or_default(), "can_fail");
        walk(&devices, &scenario);
        for call in 1..=calls {
            for way in 0..2 {
                walk(&devices, &format!("fail call {call} {way}\n{scenario}"));
            }
        }
    }
    walk(&[mapped_port()], LOADED);
    // What is done about a refusal may fail as well.
    let absent = [Device::isa(0x505, 0xFF)];
    let life = live(image, &absent, LOADED);
    for call in 1..=number(life.line("calls").unwrap_or_default(), "can_fail") {
        walk(&absent, &format!("fail call {call} 0\n{LOADED}"));
    }
    let mut random = Random::new(seed);
    for _ in 0..MACHINES {
        let (devices, scenario) = machine(&mut random);
        walk(&devices, &scenario);
    }
    offsets
}
