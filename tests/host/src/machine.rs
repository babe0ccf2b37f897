//! What a process gives to the model.

use std::{cell::RefCell, collections::BTreeMap, ptr::NonNull};

use nt_model::{AcpiError, AcpiValue, DeviceDescription, Machine, PAGE_SIZE, Protection, RunOn};

use crate::device::{Bus, with_bus};

/// A Linux process as a machine.
#[derive(Debug, Default)]
pub struct Process {
    report: Vec<String>,
}

impl Process {
    /// The lines of the report.
    pub fn into_report(self) -> Vec<String> {
        self.report
    }
}

const fn flags_of(protection: Protection) -> libc::c_int {
    match protection {
        Protection::None => libc::PROT_NONE,
        Protection::Read => libc::PROT_READ,
        Protection::ReadWrite => libc::PROT_READ | libc::PROT_WRITE,
        Protection::ReadExecute => libc::PROT_READ | libc::PROT_EXEC,
    }
}

fn map(pages: usize, protection: Protection) -> Option<NonNull<u8>> {
    let length = pages.checked_mul(PAGE_SIZE)?;
    // SAFETY: an anonymous mapping at an address that the kernel chooses takes
    // nothing away.
    let address = unsafe {
        libc::mmap(
            std::ptr::null_mut(),
            length,
            flags_of(protection),
            libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
            -1,
            0,
        )
    };
    (address != libc::MAP_FAILED)
        .then(|| NonNull::new(address.cast::<u8>()))
        .flatten()
}

fn unmap(start: NonNull<u8>, pages: usize) {
    // SAFETY: the model gives back what `map` gave, once.
    unsafe { libc::munmap(start.as_ptr().cast(), pages * PAGE_SIZE) };
}

fn protect(start: NonNull<u8>, pages: usize, protection: Protection) {
    // SAFETY: only pages that `map` gave, and that the model alone uses, come here.
    unsafe {
        libc::mprotect(
            start.as_ptr().cast(),
            pages * PAGE_SIZE,
            flags_of(protection),
        )
    };
}

thread_local! {
    /// Pages of earlier lives by their number: most of a life's time would go into
    /// mapping them anew.
    static KEPT: RefCell<BTreeMap<usize, Vec<NonNull<u8>>>> = RefCell::default();
}

impl Machine for Process {
    fn report(&mut self, line: &str) {
        self.report.push(line.to_owned());
    }

    fn devices(&mut self) -> Vec<DeviceDescription> {
        with_bus(|bus| bus.descriptions())
    }

    fn evaluate(
        &mut self,
        path: &str,
        method: [u8; 4],
        arguments: &[AcpiValue],
    ) -> Result<AcpiValue, AcpiError> {
        with_bus(|bus| bus.evaluate(path, method, arguments))
    }

    fn children(&mut self, path: &str) -> Vec<(String, bool)> {
        with_bus(|bus| bus.children(path))
    }

    fn map_registers(&mut self, physical: u64, length: usize) -> Option<NonNull<u8>> {
        let offset = usize::try_from(physical).ok()? % PAGE_SIZE;
        let pages = offset.checked_add(length)?.div_ceil(PAGE_SIZE);
        // More than any register block: a length that was meant otherwise.
        if pages > 1 << 16 {
            return None;
        }
        let start = map(pages, Protection::None)?;
        let address = start.as_ptr() as u64 + offset as u64;
        with_bus(|bus| bus.map(address, physical, length as u64));
        NonNull::new(address as *mut u8)
    }

    fn unmap_registers(&mut self, address: NonNull<u8>, length: usize) {
        let offset = address.as_ptr() as usize % PAGE_SIZE;
        with_bus(|bus| bus.unmap(address.as_ptr() as u64));
        let pages = (offset + length).div_ceil(PAGE_SIZE);
        if let Some(start) = NonNull::new((address.as_ptr() as usize - offset) as *mut u8) {
            unmap(start, pages);
        }
    }

    fn allocate_pages(&mut self, pages: usize) -> Option<NonNull<u8>> {
        let kept = KEPT.with_borrow_mut(|kept| kept.get_mut(&pages).and_then(Vec::pop));
        let Some(start) = kept else {
            return map(pages, Protection::ReadWrite);
        };
        protect(start, pages, Protection::ReadWrite);
        // SAFETY: the pages are the process's own, writable and unused.
        unsafe { start.as_ptr().write_bytes(0, pages * PAGE_SIZE) };
        Some(start)
    }

    fn free_pages(&mut self, start: NonNull<u8>, pages: usize) {
        KEPT.with_borrow_mut(|kept| kept.entry(pages).or_default().push(start));
    }

    fn protect(&mut self, start: NonNull<u8>, pages: usize, protection: Protection) {
        protect(start, pages, protection);
    }

    fn set_decode(&mut self, device: &DeviceDescription, on: bool) {
        with_bus(|bus| bus.set_decode(&device.id, on));
    }

    fn eject(&mut self, device: &DeviceDescription) -> bool {
        with_bus(|bus: &mut Bus| bus.eject(&device.id))
    }

    fn wait_for_host(&mut self) {}

    fn run_on(&self) -> RunOn {
        // A process has one.
        |processor, work| {
            let present = processor == 0;
            if present {
                work();
            }
            present
        }
    }

    fn set_irql(&mut self, irql: u8) {
        with_bus(|bus| bus.irql = irql);
    }
}
