//! The kernel model in a Linux process: the shipped driver image runs in it, its
//! port instructions and register accesses are caught and answered by simulated
//! devices. No privilege is needed.
//!
//! Port instructions fault in a process, and a mapping of registers is a page
//! without access, so that every access of the driver arrives in the signal
//! handler, is decoded and carried out on the simulated device.

mod calls;
mod cover;
mod device;
mod faults;
mod machine;
mod order;
mod report;
mod signals;
mod sins;
mod suite;
mod watchdog;

use std::sync::{Mutex, PoisonError};

pub use cover::cover;
pub use device::{Acpi, Bus, Device, DeviceError, Place, Write};
pub use nt_model::Outcome;
pub use sins::{SCENARIO, SINS, SINS_ON_ARM64, SINS_ON_X64};
pub use suite::{Paths, Results, check, suite};

/// One life of a driver: what the model reported and what the devices saw.
#[derive(Clone, Debug)]
pub struct Life {
    /// How it ended.
    pub outcome: Outcome,
    /// The report, a JSON object on each line.
    pub report: Vec<String>,
    /// What was written to device registers, in order.
    pub writes: Vec<Write>,
}

impl Life {
    /// The values that were written, in order.
    #[must_use]
    pub fn values(&self) -> Vec<u64> {
        self.writes.iter().map(|write| write.value).collect()
    }

    /// The first line of the report whose kind is `kind`.
    #[must_use]
    pub fn line(&self, kind: &str) -> Option<&str> {
        let start = format!("{{\"{kind}\":");
        let found = self.report.iter().find(|line| line.starts_with(&start));
        found.map(String::as_str)
    }
}

/// The model has one processor: lives in one process take turns.
static PROCESSOR: Mutex<()> = Mutex::new(());

/// Takes the driver `image` through `scenario` on a machine with `devices`.
#[must_use]
pub fn live(image: &[u8], devices: &[Device], scenario: &str) -> Life {
    let _turn = PROCESSOR.lock().unwrap_or_else(PoisonError::into_inner);
    signals::install();
    device::with_bus(|bus| *bus = Bus::new(devices));
    let mut machine = machine::Process::default();
    let outcome = watchdog::watch(|| nt_model::run(&mut machine, image, scenario));
    Life {
        outcome,
        report: machine.into_report(),
        writes: device::with_bus(Bus::take_writes),
    }
}
