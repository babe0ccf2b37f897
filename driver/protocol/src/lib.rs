//! What the pvpanic device says and is told, decided without a kernel.
//!
//! The device is one byte. Reading it gives the events that the device offers,
//! writing one bit reports that event (QEMU, `docs/specs/pvpanic.rst`). On the
//! ACPI node of an ISA device the firmware has two control methods for the same
//! byte: `RDPT` reads it and `WRPT` writes it.
//!
//! Nothing here knows Windows: [`capability`] tells what a device offers,
//! [`report`] which event is due at which stage of a bug check, and [`acpi`]
//! builds and reads the buffers of the ACPI driver's requests. [`tracelogging`]
//! lays out what makes trace events describe themselves.

#![no_std]
#![forbid(unsafe_code)]

pub mod acpi;
pub mod capability;
pub mod report;
pub mod tracelogging;
