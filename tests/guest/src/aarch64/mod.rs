//! QEMU's `virt`, started without firmware, described by a device tree.

#![cfg(target_os = "none")]

mod board;
pub mod boot;
pub mod configuration;
pub mod fw_cfg;
pub mod interrupts;
pub mod paging;
pub mod processors;
pub mod uart;

pub use board::Board as Description;
