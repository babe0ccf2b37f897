//! The shipped driver on a machine and through a life that the input chooses:
//! never a broken rule, and never a write to a place that is not the device's.

#![no_main]

use std::sync::LazyLock;

use host::{Acpi, Device, Outcome, live};
use libfuzzer_sys::fuzz_target;
use nt_model::{AcpiValue, Resource};

const STEPS: [&str; 14] = [
    "start",
    "stop 0",
    "restart 0",
    "restart 1",
    "disable 0",
    "enable 0",
    "disable 1",
    "enable 1",
    "suspend\nresume",
    "suspend decode-off\nresume",
    "open 0",
    "surprise-remove 1",
    "rescan",
    "unload\nload",
];
const CRASHES: [&str; 7] = [
    "dump",
    "no-dump",
    "dump-fails=1",
    "dump-fails=2",
    "dump-fails=3",
    "dump-fails=4",
    "dump-fails=5",
];
/// Longer lives only repeat themselves.
const MOST_STEPS: usize = 24;

static DRIVER: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let path = std::env::var("PVPANIC_SYS")
        .unwrap_or_else(|_| "../../target/driver/x64/pvpanic.sys".into());
    std::fs::read(&path).unwrap_or_else(|error| {
        eprintln!("{path}: {error}; `cargo xtask build` makes it, PVPANIC_SYS names another");
        std::process::exit(1)
    })
});

/// Takes numbers from the input; zeros when it has ended.
struct Input<'a>(&'a [u8]);

impl Input<'_> {
    fn byte(&mut self) -> u8 {
        let Some((first, rest)) = self.0.split_first() else {
            return 0;
        };
        self.0 = rest;
        *first
    }

    fn word(&mut self) -> u64 {
        u64::from_le_bytes([(); 8].map(|()| self.byte()))
    }

    fn bytes(&mut self) -> Vec<u8> {
        let length = usize::from(self.byte()).min(self.0.len());
        let (taken, rest) = self.0.split_at(length);
        self.0 = rest;
        taken.to_vec()
    }

    fn acpi(&mut self) -> Acpi {
        match self.byte() % 6 {
            0 => Acpi::Missing,
            1 => Acpi::Fails,
            2 => Acpi::Gives(AcpiValue::Integer(self.word())),
            3 => Acpi::Gives(AcpiValue::Buffer(self.bytes())),
            4 => Acpi::Gives(AcpiValue::String(
                String::from_utf8_lossy(&self.bytes()).into_owned(),
            )),
            _ => {
                let elements = self.bytes().into_iter();
                Acpi::Gives(AcpiValue::Package(
                    elements.map(|it| AcpiValue::Integer(it.into())).collect(),
                ))
            }
        }
    }

    fn resource(&mut self) -> Resource {
        let (kind, start) = (self.byte(), self.word());
        let length = u32::try_from(self.word() & 0xffff_ffff).unwrap_or(0);
        match kind % 4 {
            0 => Resource::Port { start, length },
            1 => Resource::Memory { start, length },
            2 => Resource::MappedPort { start, length },
            _ => Resource::Interrupt { vector: length },
        }
    }
}

fuzz_target!(|bytes: &[u8]| {
    let mut input = Input(bytes);
    let mut isa = Device::isa(0x505, input.byte());
    isa.rdpt = input.acpi();
    isa.wrpt = input.byte() % 2 == 0;
    if input.byte() % 4 == 0 {
        let count = input.byte() % 4;
        isa.resources = Some((0..count).map(|_| input.resource()).collect());
    }
    let pci = Device::pci(4, 0xFEBF_1000, input.byte());
    let mut scenario = format!("set ReportDumpEnd {}\n", input.byte() % 4);
    if input.byte() % 2 == 0 {
        scenario += &format!("fail call {} {}\n", 1 + input.byte() % 80, input.byte() % 3);
    }
    scenario += "load\nstart\n";
    let crash = CRASHES[usize::from(input.byte()) % CRASHES.len()];
    for step in input.0.iter().take(MOST_STEPS) {
        scenario += STEPS[usize::from(*step) % STEPS.len()];
        scenario.push('\n');
    }
    scenario += "bugcheck 0xE2 ";
    scenario += crash;

    let life = live(&DRIVER, &[isa.clone(), pci], &scenario);
    let sound = life.outcome == Outcome::Complete
        && life.writes.iter().all(|write| {
            !write.device.is_empty() && write.width == 1 && matches!(write.value, 1 | 2)
        });
    assert!(
        sound,
        "{isa:?}, {scenario:?}: {:?}; {:?}",
        life.writes,
        life.line("violation").or_else(|| life.line("refused"))
    );
});
