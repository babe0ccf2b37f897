//! A PC with ACPI, started through PVH or by a boot loader.

#[cfg(target_os = "none")]
mod acpi;
#[cfg(target_os = "none")]
pub mod boot;
#[cfg(target_os = "none")]
pub mod configuration;
mod crs;
#[cfg(target_os = "none")]
pub mod fw_cfg;
#[cfg(target_os = "none")]
pub mod interrupts;
#[cfg(any(test, target_os = "none"))]
mod multiboot;
#[cfg(target_os = "none")]
pub mod outside;
#[cfg(target_os = "none")]
pub mod paging;
#[cfg(target_os = "none")]
pub mod processors;
#[cfg(target_os = "none")]
pub mod uart;

#[cfg(target_os = "none")]
pub use acpi::Acpi as Description;
