//! The memory that the driver can see, and what each part of it is.
//!
//! Every allocation has pages of its own and ends where an inaccessible page
//! begins, as with the special pool of Driver Verifier; freed memory stays inaccessible to the
//! end of the run.

use alloc::{format, string::String, vec::Vec};
use core::ptr::NonNull;

use crate::{
    kernel::{DISPATCH_LEVEL, State, Stop, violation},
    machine::{PAGE_SIZE, Protection},
};

/// Types that are any bytes at all.
///
/// # Safety
///
/// Every bit pattern must be a value of the type, and it must have no padding
/// that matters.
pub unsafe trait Plain: Copy {}
// SAFETY: integers have no invalid values.
unsafe impl Plain for u8 {}
// SAFETY: as above.
unsafe impl Plain for u16 {}
// SAFETY: as above.
unsafe impl Plain for u32 {}
// SAFETY: as above.
unsafe impl Plain for u64 {}

/// What a part of memory is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The headers of the driver's image.
    Headers,
    /// Section `.0` of the driver's image.
    Section(usize),
    /// The stack that driver code runs on.
    Stack,
    /// Pool that the driver allocated, with its tag.
    Pool {
        /// The tag.
        tag: u32,
        /// Whether it may be paged out.
        paged: bool,
    },
    /// The context of an object.
    Context(u64),
    /// Something that Windows owns.
    Windows(&'static str),
    /// Mapped registers of device `.0`.
    Registers,
    /// Memory that is no more; the text says what it was.
    Freed(String),
}

/// A part of memory.
#[derive(Clone, Debug)]
pub struct Region {
    /// Address of the first byte.
    pub start: u64,
    /// Bytes.
    pub length: u64,
    /// What it is.
    pub kind: Kind,
    /// The pages that it has to itself.
    pages: Option<(NonNull<u8>, usize)>,
}

impl Region {
    /// Whether the range lies in the region.
    pub const fn contains(&self, address: u64, length: u64) -> bool {
        address >= self.start
            && length <= self.length
            && address - self.start <= self.length - length
    }
}

impl State<'_> {
    /// Allocates `length` zeroed bytes as `kind`; 16-byte aligned.
    pub fn allocate(&mut self, length: u64, kind: Kind) -> Option<u64> {
        let rounded = length.max(1).checked_next_multiple_of(16)?;
        let count = usize::try_from(rounded).ok()?.div_ceil(PAGE_SIZE);
        let pages = self.machine.allocate_pages(count + 1)?;
        let guard = pages.as_ptr() as u64 + (count * PAGE_SIZE) as u64;
        if let Some(guard) = NonNull::new(guard as *mut u8) {
            self.machine.protect(guard, 1, Protection::None);
        }
        let start = guard - rounded;
        self.regions.push(Region {
            start,
            length,
            kind,
            pages: Some((pages, count + 1)),
        });
        Some(start)
    }

    /// Allocates whole pages as `kind`; the caller adds the regions.
    pub fn allocate_pages(&mut self, count: usize) -> Option<NonNull<u8>> {
        let pages = self.machine.allocate_pages(count)?;
        self.pages.push((pages, count));
        Some(pages)
    }

    /// Adds a region in pages that belong to something larger.
    pub fn add_region(&mut self, start: u64, length: u64, kind: Kind) {
        self.regions.push(Region {
            start,
            length,
            kind,
            pages: None,
        });
    }

    /// Makes the region that begins at `start` inaccessible for good.
    pub fn free(&mut self, start: u64, what: String) {
        let Some(region) = self
            .regions
            .iter_mut()
            .find(|region| region.start == start && !matches!(region.kind, Kind::Freed(_)))
        else {
            return;
        };
        region.kind = Kind::Freed(what);
        if let Some((pages, count)) = region.pages {
            self.machine.protect(pages, count, Protection::None);
        }
    }

    /// Gives all pages back to the machine.
    pub fn free_everything(&mut self) {
        let regions = core::mem::take(&mut self.regions);
        let pages = regions.into_iter().filter_map(|region| region.pages);
        let pages: Vec<_> = pages.chain(core::mem::take(&mut self.pages)).collect();
        for (start, count) in pages {
            self.machine.free_pages(start, count);
        }
    }

    /// The region that all of the range lies in.
    pub fn region(&self, address: u64, length: u64) -> Option<&Region> {
        self.regions
            .iter()
            .rev()
            .find(|region| region.contains(address, length))
    }

    /// What is at `address`, for a message.
    pub fn describe(&self, address: u64) -> String {
        if let Some(offset) = self.image_offset(address) {
            let section = self.image.as_ref().and_then(|image| {
                image.sections.iter().find(|section| {
                    (u64::from(section.start)..u64::from(section.start + section.size))
                        .contains(&offset)
                })
            });
            return section.map_or_else(
                || format!("image+0x{offset:x}"),
                |section| format!("image+0x{offset:x} in section {}", section.name),
            );
        }
        let region = self.region(address, 1).map(|region| match &region.kind {
            Kind::Stack => "the driver's stack".into(),
            Kind::Pool { paged: true, .. } => "paged pool of the driver".into(),
            Kind::Pool { .. } => "nonpaged pool of the driver".into(),
            Kind::Context(_) => "the context of a framework object".into(),
            Kind::Windows(what) => (*what).into(),
            Kind::Registers => "mapped registers".into(),
            Kind::Freed(what) => what.clone(),
            Kind::Headers | Kind::Section(_) => "the image".into(),
        });
        region.map_or_else(
            || format!("0x{address:x}, which is no memory of the driver's"),
            |what: String| format!("0x{address:x} ({what})"),
        )
    }

    /// Offset of `address` in the image, if it lies there.
    pub fn image_offset(&self, address: u64) -> Option<u64> {
        let image = self.image.as_ref()?;
        address
            .checked_sub(image.base)
            .filter(|offset| *offset < image.size)
    }

    /// The region whose end `address` is just behind.
    pub fn region_before(&self, address: u64) -> Option<&Region> {
        self.regions.iter().find(|region| {
            let end = region.start + region.length;
            region.pages.is_some() && (end..end + PAGE_SIZE as u64).contains(&address)
        })
    }

    /// Whether the memory may be paged out or is already discarded.
    pub fn is_pageable(&self, address: u64, length: u64) -> bool {
        self.region(address, length)
            .is_some_and(|region| match region.kind {
                Kind::Section(index) => self.image.as_ref().is_some_and(|image| {
                    let section = &image.sections[index];
                    section.pageable || section.discardable
                }),
                Kind::Pool { paged, .. } => paged,
                _ => false,
            })
    }

    /// Checks that driver code can use `length` bytes at `address` now.
    ///
    /// # Errors
    ///
    /// A violation that calls the memory `what`.
    pub fn check_memory(
        &self,
        address: u64,
        length: u64,
        write: bool,
        what: &str,
    ) -> Result<(), Stop> {
        let Some(region) = self.region(address, length) else {
            return Err(violation(
                "bad-pointer",
                format!("{what} points at {}", self.describe(address)),
            ));
        };
        let bad = match region.kind {
            Kind::Freed(_) => true,
            Kind::Headers => write,
            Kind::Section(index) => self.image.as_ref().is_some_and(|image| {
                let section = &image.sections[index];
                (write && section.protection != Protection::ReadWrite)
                    || (section.discardable && image.discarded)
            }),
            _ => false,
        };
        if bad {
            return Err(violation(
                "bad-pointer",
                format!(
                    "{what} points at {}, which can't be {} now",
                    self.describe(address),
                    if write { "written" } else { "read" }
                ),
            ));
        }
        if self.irql >= DISPATCH_LEVEL && self.is_pageable(address, length) {
            return Err(violation(
                "pageable-memory-touched",
                format!(
                    "{what} points at pageable memory, {}, at IRQL {}; see \"Making Drivers \
                     Pageable\"",
                    self.describe(address),
                    self.irql
                ),
            ));
        }
        Ok(())
    }

    /// Reads a value of the driver's.
    ///
    /// # Errors
    ///
    /// A violation where the memory can't be read.
    pub fn read<T: Plain>(&self, address: u64, what: &str) -> Result<T, Stop> {
        self.check_memory(address, size_of::<T>() as u64, false, what)?;
        // SAFETY: the memory lies in a region that is mapped and readable, and
        // every bit pattern is a `T`.
        Ok(unsafe { (address as *const T).read_unaligned() })
    }

    /// Reads bytes of the driver's.
    ///
    /// # Errors
    ///
    /// A violation where the memory can't be read.
    pub fn read_bytes(&self, address: u64, length: u64, what: &str) -> Result<Vec<u8>, Stop> {
        self.check_memory(address, length, false, what)?;
        let mut bytes = alloc::vec![0; usize::try_from(length).unwrap_or(0)];
        // SAFETY: the memory lies in a region that is mapped and readable, and is
        // not the new vector.
        unsafe {
            core::ptr::copy_nonoverlapping(address as *const u8, bytes.as_mut_ptr(), bytes.len());
        }
        Ok(bytes)
    }

    /// Writes a value to the driver's memory.
    ///
    /// # Errors
    ///
    /// A violation where the memory can't be written.
    pub fn write<T: Plain>(&self, address: u64, value: T, what: &str) -> Result<(), Stop> {
        self.check_memory(address, size_of::<T>() as u64, true, what)?;
        // SAFETY: the memory lies in a region that is mapped and writable.
        unsafe { (address as *mut T).write_unaligned(value) };
        Ok(())
    }

    /// Writes bytes to the driver's memory.
    ///
    /// # Errors
    ///
    /// A violation where the memory can't be written.
    pub fn write_bytes(&self, address: u64, bytes: &[u8], what: &str) -> Result<(), Stop> {
        self.check_memory(address, bytes.len() as u64, true, what)?;
        // SAFETY: the memory lies in a region that is mapped and writable, and the
        // bytes are the model's own.
        unsafe { core::ptr::copy_nonoverlapping(bytes.as_ptr(), address as *mut u8, bytes.len()) };
        Ok(())
    }

    /// Reads the text of a `UNICODE_STRING`.
    ///
    /// # Errors
    ///
    /// A violation where the structure or its text can't be read.
    pub fn read_unicode(&self, address: u64, what: &str) -> Result<String, Stop> {
        let length = u64::from(self.read::<u16>(address, what)?);
        let buffer = self.read::<u64>(address + 8, what)?;
        if length == 0 {
            return Ok(String::new());
        }
        let bytes = self.read_bytes(buffer, length, what)?;
        Ok(utf16(&bytes))
    }

    /// Reads a text that ends with a zero, of at most `limit` units of `unit` bytes.
    ///
    /// # Errors
    ///
    /// A violation where it can't be read or does not end.
    pub fn read_terminated(
        &self,
        address: u64,
        unit: u64,
        limit: u64,
        what: &str,
    ) -> Result<String, Stop> {
        let mut bytes = Vec::new();
        for index in 0..limit {
            let piece = self.read_bytes(address + index * unit, unit, what)?;
            if piece.iter().all(|byte| *byte == 0) {
                return Ok(if unit == 2 {
                    utf16(&bytes)
                } else {
                    String::from_utf8_lossy(&bytes).into_owned()
                });
            }
            bytes.extend(piece);
        }
        Err(violation(
            "string-not-terminated",
            format!("{what} at {} does not end", self.describe(address)),
        ))
    }
}

fn utf16(bytes: &[u8]) -> String {
    let units: Vec<u16> = bytes
        .chunks_exact(2)
        .map(|pair| u16::from_le_bytes([pair[0], pair[1]]))
        .collect();
    String::from_utf16_lossy(&units)
}
