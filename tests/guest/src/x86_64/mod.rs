//! A PC, started through PVH, with SeaBIOS and ACPI.

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
#[cfg(target_os = "none")]
pub mod paging;
#[cfg(target_os = "none")]
pub mod processors;
#[cfg(target_os = "none")]
pub mod uart;

#[cfg(target_os = "none")]
pub use acpi::Acpi as Firmware;
