//! Putting a driver image into memory: relocation, imports, protection, and the
//! stack that its code runs on.

use alloc::vec::Vec;
use core::ptr::NonNull;

use crate::{
    function, gate,
    image::{self, LoadError},
    kernel::{Image, STACK_PAGES, State},
    machine::{PAGE_SIZE, Protection},
    memory::Kind,
};

/// Largest table of KMDF functions that is modelled.
const LARGEST_TABLE: u32 = 458;

impl State<'_> {
    /// Puts the image in `file` into memory, relocates it and binds its imports.
    ///
    /// # Errors
    ///
    /// [`LoadError`] where Windows would not load it.
    pub fn load_image(&mut self, file: &[u8]) -> Result<(), LoadError> {
        let layout = image::lay_out(file)?;
        let mut bytes = layout.bytes;
        let memory = self
            .allocate_pages(bytes.len() / PAGE_SIZE)
            .ok_or(LoadError::NoMemory)?;
        let base = memory.as_ptr() as u64;
        let delta = base.wrapping_sub(layout.preferred_base);
        for offset in &layout.relocations {
            let slot = *offset as usize..*offset as usize + 8;
            let mut value = [0; 8];
            value.copy_from_slice(&bytes[slot.clone()]);
            let value = u64::from_le_bytes(value).wrapping_add(delta);
            bytes[slot].copy_from_slice(&value.to_le_bytes());
        }
        self.build_stubs()?;
        for import in &layout.imports {
            let address = self.bind(import)?;
            bytes[import.slot as usize..import.slot as usize + 8]
                .copy_from_slice(&address.to_le_bytes());
        }
        if let Some(cookie) = layout.security_cookie {
            // Any value but the default one; the upper 16 bits are 0.
            let value = (base >> 4 ^ 0x5EED_0BAD_CA5E) & 0xffff_ffff_ffff;
            bytes[cookie as usize..cookie as usize + 8].copy_from_slice(&value.to_le_bytes());
        }
        // SAFETY: the pages were just allocated, writable, and are as many as the
        // bytes fill.
        unsafe {
            core::ptr::copy_nonoverlapping(bytes.as_ptr(), memory.as_ptr(), bytes.len());
        }
        self.add_region(base, u64::from(layout.headers), Kind::Headers);
        self.machine.protect(
            memory,
            layout.headers as usize / PAGE_SIZE,
            Protection::Read,
        );
        for (index, section) in layout.sections.iter().enumerate() {
            let start = base + u64::from(section.start);
            self.add_region(start, u64::from(section.size), Kind::Section(index));
            if let Some(pages) = NonNull::new(start as *mut u8) {
                let count = section.size as usize / PAGE_SIZE;
                self.machine.protect(pages, count, section.protection);
            }
        }
        self.image = Some(Image {
            base,
            size: bytes.len() as u64,
            sections: layout.sections,
            entry: base + u64::from(layout.entry),
            discarded: false,
        });
        self.build_stack().ok_or(LoadError::NoMemory)
    }

    fn bind(&self, import: &image::Import) -> Result<u64, LoadError> {
        let library = import.library.to_ascii_lowercase();
        let place = match library.as_str() {
            "ntoskrnl.exe" => Some(function::Place::Ntoskrnl),
            "wdfldr.sys" => Some(function::Place::Wdfldr),
            _ => None,
        };
        let number = function::number_of(|function| {
            Some(function.place) == place && function.name == import.name
        });
        let known = number.and_then(|number| Some((number, function::numbered(number.into())?)));
        match known {
            None => Err(LoadError::UnknownImport {
                library: import.library.clone(),
                name: import.name.clone(),
            }),
            Some((_, function)) if function.first_build > self.build => {
                Err(LoadError::ImportTooNew {
                    name: import.name.clone(),
                    first: function.first_build,
                    build: self.build,
                })
            }
            Some((number, _)) => Ok(self.stub(number)),
        }
    }

    /// Address of the stub of the function `number`.
    pub fn stub(&self, number: u32) -> u64 {
        let modelled = u32::try_from(function::count()).unwrap_or(u32::MAX);
        let position = number
            .checked_sub(function::UNMODELLED)
            .map_or(number, |index| modelled + index);
        // Behind the address of the gate.
        self.stubs + (u64::from(position) + 1) * gate::STUB_BYTES as u64
    }

    fn build_stubs(&mut self) -> Result<(), LoadError> {
        let modelled = u32::try_from(function::count()).unwrap_or(u32::MAX);
        let numbers: Vec<u32> = (0..modelled)
            .chain(function::UNMODELLED..function::UNMODELLED + LARGEST_TABLE)
            .collect();
        let code = gate::stub_code(&numbers);
        let count = code.len().div_ceil(PAGE_SIZE);
        let pages = self.allocate_pages(count).ok_or(LoadError::NoMemory)?;
        // SAFETY: the pages were just allocated and hold the code.
        unsafe { core::ptr::copy_nonoverlapping(code.as_ptr(), pages.as_ptr(), code.len()) };
        self.machine.protect(pages, count, Protection::ReadExecute);
        self.stubs = pages.as_ptr() as u64;
        Ok(())
    }

    fn build_stack(&mut self) -> Option<()> {
        let pages = self.allocate_pages(STACK_PAGES + 1)?;
        // A page below that nobody may touch.
        self.machine.protect(pages, 1, Protection::None);
        self.stack_bottom = pages.as_ptr() as u64 + PAGE_SIZE as u64;
        self.stack_free = self.stack_bottom + (STACK_PAGES * PAGE_SIZE) as u64;
        self.add_region(
            self.stack_bottom,
            (STACK_PAGES * PAGE_SIZE) as u64,
            Kind::Stack,
        );
        Some(())
    }

    /// Takes the discardable sections away, as Windows does when `DriverEntry`
    /// has returned.
    pub fn discard_sections(&mut self) {
        let Some(image) = &mut self.image else { return };
        image.discarded = true;
        for section in image.sections.iter().filter(|section| section.discardable) {
            if let Some(start) = NonNull::new((image.base + u64::from(section.start)) as *mut u8) {
                let count = section.size as usize / PAGE_SIZE;
                self.machine.protect(start, count, Protection::None);
            }
        }
    }
}
