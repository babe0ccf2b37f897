//! `nt-model` on a bare QEMU machine: loads the driver that QEMU hands over by
//! `fw_cfg`, gives it the machine's real devices, and reports on COM1.
//!
//! QEMU starts it by `-kernel` through its PVH note. On a host the program is
//! empty: only the bare target `x86_64-unknown-none` has something to run, and
//! the host only the tests.

#![cfg_attr(target_os = "none", no_std, no_main)]

#[cfg(any(test, target_os = "none"))]
extern crate alloc;

#[cfg(target_os = "none")]
mod acpi;
#[cfg(target_os = "none")]
mod boot;
#[cfg(any(test, target_os = "none"))]
mod crs;
#[cfg(target_os = "none")]
mod fw_cfg;
#[cfg(target_os = "none")]
mod heap;
#[cfg(target_os = "none")]
mod interrupts;
#[cfg(target_os = "none")]
mod machine;
#[cfg(target_os = "none")]
mod paging;
#[cfg(target_os = "none")]
mod pci;
#[cfg(target_os = "none")]
mod processors;
#[cfg(target_os = "none")]
mod serial;

#[cfg(not(target_os = "none"))]
const fn main() {}
