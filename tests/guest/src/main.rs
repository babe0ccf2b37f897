//! `nt-model` on a bare QEMU machine: loads the driver that QEMU hands over by
//! `fw_cfg`, gives it the machine's real devices, and reports on the serial port.
//!
//! What differs between architectures is `arch`, a folder for each. On a host the
//! program is empty: only a bare target has something to run, and the host only
//! the tests.

#![cfg_attr(target_os = "none", no_std, no_main)]

#[cfg(any(test, target_os = "none"))]
extern crate alloc;

#[cfg(any(test, target_os = "none"))]
#[cfg_attr(target_arch = "x86_64", path = "x86_64/mod.rs")]
#[cfg_attr(target_arch = "aarch64", path = "aarch64/mod.rs")]
mod arch;
#[cfg(target_os = "none")]
mod fw_cfg;
#[cfg(target_os = "none")]
mod heap;
#[cfg(target_os = "none")]
mod machine;
#[cfg(target_os = "none")]
mod pci;
#[cfg(target_os = "none")]
mod processors;
#[cfg(target_os = "none")]
mod run;
#[cfg(target_os = "none")]
mod serial;

#[cfg(not(target_os = "none"))]
const fn main() {}
