//! The machine as `nt-model` sees it.

use crate::{
    arch::{self, Description, paging},
    pci, processors, serial,
};
use alloc::{
    alloc::{alloc_zeroed, dealloc},
    string::String,
    vec::Vec,
};
use core::{alloc::Layout, ptr::NonNull, str};
use nt_model::{
    AcpiError, AcpiValue, DeviceDescription, Machine, PAGE_SIZE, Protection, Resource, RunOn,
};

/// What a machine has beside what can be enumerated: ACPI's tables, or without
/// them a device tree.
pub trait Platform {
    /// What the PCI host bridge decodes.
    fn host_windows(&self) -> Vec<Resource>;

    /// The devices that are present and on no bus which can be enumerated.
    fn devices(&self) -> Vec<DeviceDescription> {
        Vec::new()
    }

    /// The ACPI node of the PCI function that `route` leads to: device and function
    /// numbers of each bridge from the root bus on, and its own.
    fn pci_node(&self, _route: &[(u8, u8)]) -> Option<String> {
        None
    }

    /// Evaluates `method` of the ACPI node `path`.
    fn evaluate(
        &self,
        _path: &str,
        _method: &str,
        _arguments: &[AcpiValue],
    ) -> Result<AcpiValue, AcpiError> {
        Err(AcpiError::NotFound)
    }

    /// All objects below the ACPI node `path`, with whether they are a device or
    /// have children.
    fn children(&self, _path: &str) -> Vec<(String, bool)> {
        Vec::new()
    }
}

/// The bare machine.
pub struct Guest {
    description: Description,
}

impl Guest {
    /// The machine that is described so.
    pub const fn new(description: Description) -> Self {
        Self { description }
    }
}

/// The PCI function that a description is of.
fn pci_function(device: &DeviceDescription) -> Option<pci::Function> {
    let (_, location) = device.id.strip_prefix("PCI\\")?.rsplit_once('\\')?;
    pci::functions()
        .into_iter()
        .find(|function| function.location() == location)
}

impl Machine for Guest {
    fn report(&mut self, line: &str) {
        serial::line(format_args!("{line}"));
    }

    fn devices(&mut self) -> Vec<DeviceDescription> {
        let mut devices = self.description.devices();
        let windows = self.description.host_windows();
        pci::open_bridges(&windows);
        let functions = pci::functions();
        pci::assign(&functions, &windows);
        devices.extend(functions.iter().filter_map(|function| {
            function.description(self.description.pci_node(&function.route))
        }));
        devices
    }

    fn evaluate(
        &mut self,
        path: &str,
        method: [u8; 4],
        arguments: &[AcpiValue],
    ) -> Result<AcpiValue, AcpiError> {
        let method = str::from_utf8(&method).map_err(|_| AcpiError::NotFound)?;
        self.description.evaluate(path, method, arguments)
    }

    fn children(&mut self, path: &str) -> Vec<(String, bool)> {
        self.description.children(path)
    }

    fn map_registers(&mut self, physical: u64, length: usize) -> Option<NonNull<u8>> {
        paging::map(physical, length)
    }

    fn unmap_registers(&mut self, address: NonNull<u8>, length: usize) {
        paging::unmap(address, length);
    }

    fn allocate_pages(&mut self, pages: usize) -> Option<NonNull<u8>> {
        // SAFETY: `layout` gives no layout of size zero.
        NonNull::new(unsafe { alloc_zeroed(layout(pages)?) })
    }

    fn free_pages(&mut self, start: NonNull<u8>, pages: usize) {
        let Some(layout) = layout(pages) else { return };
        paging::protect(start, layout.size(), Protection::ReadWrite);
        // SAFETY: `allocate_pages` gave these pages with the same layout.
        unsafe { dealloc(start.as_ptr(), layout) };
    }

    fn protect(&mut self, start: NonNull<u8>, pages: usize, protection: Protection) {
        paging::protect(start, pages * PAGE_SIZE, protection);
    }

    fn set_decode(&mut self, device: &DeviceDescription, on: bool) {
        if let Some(function) = pci_function(device) {
            function.set_decode(on);
        }
    }

    fn eject(&mut self, device: &DeviceDescription) -> bool {
        device.acpi_path.as_ref().map_or_else(
            || pci_function(device).is_some_and(|function| function.turn_slot_off()),
            |path| {
                self.description
                    .evaluate(path, "_EJ0", &[AcpiValue::Integer(1)])
                    .is_ok()
            },
        )
    }

    fn wait_for_host(&mut self) {
        serial::wait_for_byte();
    }

    #[cfg(target_arch = "x86_64")]
    fn idle(&mut self) -> Option<nt_model::CrashedBy> {
        Some(arch::outside::idle())
    }

    fn run_on(&self) -> RunOn {
        processors::run_on
    }

    fn set_irql(&mut self, irql: u8) {
        arch::interrupts::set_irql(irql);
    }
}

/// The layout of that many pages; `None` for none and for too many.
fn layout(pages: usize) -> Option<Layout> {
    let size = pages.checked_mul(PAGE_SIZE).filter(|&size| size > 0)?;
    Layout::from_size_align(size, PAGE_SIZE).ok()
}
