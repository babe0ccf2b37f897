#![no_std]
//! A model of the part of the Windows kernel that a KMDF driver sees.
//!
//! [`run`] loads a driver image, takes it through a scenario and reports what it
//! did. What differs between a bare machine and a process is a [`Machine`].

extern crate alloc;

#[cfg_attr(target_arch = "x86_64", path = "x86_64/mod.rs")]
#[cfg_attr(target_arch = "aarch64", path = "aarch64/mod.rs")]
mod arch;
mod bugcheck;
mod function;
mod gate;
mod image;
mod instruction;
mod kernel;
mod kmdf_device;
mod kmdf_driver;
mod kmdf_io;
mod kmdf_object;
mod layout;
mod loader;
mod machine;
mod memory;
mod ntoskrnl;
mod object;
mod observe;
mod pnp;
mod record;
mod report;
mod rules;
mod run;
mod scenario;
mod status;
mod trace_logging;
mod wdfldr;

pub use arch::Registers;
#[cfg(target_arch = "x86_64")]
pub use arch::instruction::complete;
pub use image::{LoadError, lay_out};
pub use instruction::{Access, Target, access};
pub use rules::{RULES, Rule};

pub use machine::{
    AcpiError, AcpiValue, CrashedBy, DeviceDescription, Machine, PAGE_SIZE, Protection, Resource,
    RunOn, Trap,
};

/// The names of all functions that are modelled.
pub fn functions() -> impl Iterator<Item = &'static str> {
    function::all().map(|function| function.name)
}

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The scenario was carried out to its end.
    Complete,
    /// The driver broke a rule; the report names it.
    Violation,
    /// The image could not be loaded, or the scenario has a bad line; the report
    /// says why.
    Refused,
}

/// Runs `scenario` with the driver image `image` and writes the report through
/// [`Machine::report`].
pub fn run(machine: &mut dyn Machine, image: &[u8], scenario: &str) -> Outcome {
    run::run(machine, image, scenario)
}

/// Tells the model of an exception. Returns `false` where it did not happen in
/// driver code, so that it is the back end's own fault; else execution goes on
/// with `registers`, which may have been changed.
pub fn trap(registers: &mut Registers, trap: Trap) -> bool {
    kernel::trap(registers, trap)
}
