//! The machine as `nt-model` sees it.

use crate::{
    arch::{self, Firmware, paging},
    pci, processors, serial,
};
use alloc::{
    alloc::{alloc_zeroed, dealloc},
    string::String,
    vec::Vec,
};
use core::{alloc::Layout, ptr::NonNull, str};
use nt_model::{AcpiError, AcpiValue, DeviceDescription, Machine, PAGE_SIZE, Protection, RunOn};

/// The bare machine.
pub struct Guest {
    firmware: Firmware,
}

impl Guest {
    /// The machine that `firmware` describes.
    pub const fn new(firmware: Firmware) -> Self {
        Self { firmware }
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
        let mut devices = self.firmware.devices();
        let functions = pci::functions();
        pci::assign(&functions, &self.firmware.host_windows());
        devices.extend(
            functions.iter().filter_map(|function| {
                function.description(self.firmware.pci_node(&function.route))
            }),
        );
        devices
    }

    fn evaluate(
        &mut self,
        path: &str,
        method: [u8; 4],
        arguments: &[AcpiValue],
    ) -> Result<AcpiValue, AcpiError> {
        let method = str::from_utf8(&method).map_err(|_| AcpiError::NotFound)?;
        self.firmware.evaluate(path, method, arguments)
    }

    fn children(&mut self, path: &str) -> Vec<(String, bool)> {
        self.firmware.children(path)
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
        let Some(path) = &device.acpi_path else {
            return false;
        };
        self.firmware
            .evaluate(path, "_EJ0", &[AcpiValue::Integer(1)])
            .is_ok()
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
