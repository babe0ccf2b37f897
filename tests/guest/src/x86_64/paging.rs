//! Page tables: the image and the heap one to one in 4 KiB pages, so that each
//! page can be protected; everything else is mapped on demand, far away from
//! both, so that a stray address faults.

use crate::run::{self, Region};
use alloc::alloc::alloc_zeroed;
use core::{
    alloc::Layout,
    ptr::NonNull,
    sync::atomic::{AtomicU64, Ordering},
};
use nt_model::{PAGE_SIZE, Protection};
use spinning_top::Spinlock;
use x86_64::{
    PhysAddr, VirtAddr,
    registers::control::{Cr3, Cr3Flags},
    structures::paging::{
        FrameAllocator, Mapper, OffsetPageTable, Page, PageTable, PageTableFlags, PhysFrame,
        Size4KiB, mapper::MapToError,
    },
};

/// Where mappings on demand begin: the upper half, which nothing else uses.
/// Their addresses are never used again, so that a mapping used after it was
/// removed is a page fault.
const WINDOW: u64 = 0xFFFF_8000_0000_0000;

/// A page table entry has room for 52 bits of a physical address.
const PHYSICAL_END: u64 = 1 << 52;

/// Mapped, and not executable.
const READ: PageTableFlags = PageTableFlags::PRESENT.union(PageTableFlags::NO_EXECUTE);

/// Mapped, writable, and not executable.
const READ_WRITE: PageTableFlags = READ.union(PageTableFlags::WRITABLE);

/// Device registers: writable and uncached.
const REGISTERS: PageTableFlags = READ_WRITE
    .union(PageTableFlags::NO_CACHE)
    .union(PageTableFlags::WRITE_THROUGH);

/// The page tables of all processors.
static ROOT: AtomicU64 = AtomicU64::new(0);

/// The tables in use.
static ADDRESS_SPACE: Spinlock<Option<AddressSpace>> = Spinlock::new(None);

struct AddressSpace {
    tables: OffsetPageTable<'static>,
    /// The next free address of the window.
    next: u64,
}

/// Page tables come from the heap, where addresses are physical addresses.
struct Tables;

// SAFETY: the heap gives every page once, and page tables are never freed.
unsafe impl FrameAllocator<Size4KiB> for Tables {
    fn allocate_frame(&mut self) -> Option<PhysFrame> {
        let layout = Layout::from_size_align(PAGE_SIZE, PAGE_SIZE).ok()?;
        // SAFETY: the layout's size is not zero.
        let page = NonNull::new(unsafe { alloc_zeroed(layout) })?;
        PhysFrame::from_start_address(PhysAddr::new(page.addr().get() as u64)).ok()
    }
}

/// Builds the tables and loads them.
///
/// # Safety
///
/// `heap` is the heap's memory, and nothing but it and the image is in use.
pub unsafe fn enable(heap: &Region) -> Result<(), MapToError<Size4KiB>> {
    let root = Tables
        .allocate_frame()
        .ok_or(MapToError::FrameAllocationFailed)?;
    let table: *mut PageTable = VirtAddr::new(root.start_address().as_u64()).as_mut_ptr();
    // SAFETY: a zeroed page of the heap, which is an empty table.
    let table: &'static mut PageTable = unsafe { &mut *table };
    // SAFETY: tables lie in the heap, which stays mapped one to one.
    let mut tables = unsafe { OffsetPageTable::new(table, VirtAddr::zero()) };

    let [code, constants, data] = run::image();
    for (region, flags) in [
        (&code, PageTableFlags::PRESENT),
        (&constants, READ),
        (&data, READ_WRITE),
        (heap, READ_WRITE),
    ] {
        for address in region.clone().step_by(PAGE_SIZE) {
            if address == run::guard_page() {
                continue;
            }
            let frame = PhysFrame::containing_address(PhysAddr::new(address as u64));
            // SAFETY: the tables aren't in use yet, and each page is mapped once.
            unsafe { tables.identity_map(frame, flags, &mut Tables) }?.ignore();
        }
    }
    // SAFETY: the new tables map all that is in use as the old ones do.
    unsafe { Cr3::write(root, Cr3Flags::empty()) };
    ROOT.store(root.start_address().as_u64(), Ordering::Relaxed);
    *ADDRESS_SPACE.lock() = Some(AddressSpace {
        tables,
        next: WINDOW,
    });
    Ok(())
}

/// Loads the page tables anew: another processor may have changed them.
pub fn forget_mappings() {
    let root = PhysFrame::containing_address(PhysAddr::new(ROOT.load(Ordering::Relaxed)));
    // SAFETY: these tables are in use on all processors, for good.
    unsafe { Cr3::write(root, Cr3Flags::empty()) };
}

/// Maps `length` bytes from the physical address on, uncached; `None` where
/// there is no such physical address or no memory for the tables.
pub fn map(physical: u64, length: usize) -> Option<NonNull<u8>> {
    ADDRESS_SPACE.lock().as_mut()?.map(physical, length)
}

/// Removes a mapping of [`map`].
pub fn unmap(address: NonNull<u8>, length: usize) {
    if let Some(space) = ADDRESS_SPACE.lock().as_mut() {
        space.unmap(address, length);
    }
}

/// Changes what the pages of the heap from `start` on allow.
pub fn protect(start: NonNull<u8>, length: usize, protection: Protection) {
    if let Some(space) = ADDRESS_SPACE.lock().as_mut() {
        space.protect(start, length, protection);
    }
}

impl AddressSpace {
    fn map(&mut self, physical: u64, length: usize) -> Option<NonNull<u8>> {
        let offset = physical % PAGE_SIZE as u64;
        let end = physical.checked_add(length as u64)?;
        if length == 0 || end > PHYSICAL_END {
            return None;
        }
        let first = self.next;
        for address in (physical - offset..end).step_by(PAGE_SIZE) {
            let page: Page = Page::containing_address(VirtAddr::new(self.next));
            let frame = PhysFrame::containing_address(PhysAddr::new(address));
            // SAFETY: the window's next page is mapped to nothing yet, and the
            // frame is none of the image's or the heap's.
            let mapped = unsafe { self.tables.map_to(page, frame, REGISTERS, &mut Tables) };
            mapped.ok()?.flush();
            self.next += PAGE_SIZE as u64;
        }
        // One page stays unmapped after each mapping.
        self.next += PAGE_SIZE as u64;
        NonNull::new(VirtAddr::new(first + offset).as_mut_ptr())
    }

    fn unmap(&mut self, address: NonNull<u8>, length: usize) {
        for page in pages(address, length) {
            match self.tables.unmap(page) {
                Ok((_, flush)) => flush.flush(),
                Err(error) => run::stop(format_args!("unmap {address:?}: {error:?}")),
            }
        }
    }

    fn protect(&mut self, start: NonNull<u8>, length: usize, protection: Protection) {
        let flags = match protection {
            Protection::None => PageTableFlags::empty(),
            Protection::Read => READ,
            Protection::ReadWrite => READ_WRITE,
            Protection::ReadExecute => PageTableFlags::PRESENT,
        };
        for page in pages(start, length) {
            // SAFETY: the pages' owner asks for it.
            match unsafe { self.tables.update_flags(page, flags) } {
                Ok(flush) => flush.flush(),
                Err(error) => run::stop(format_args!("protect {start:?}: {error:?}")),
            }
        }
    }
}

/// The pages that `length` bytes from `start` on lie in.
fn pages(start: NonNull<u8>, length: usize) -> impl Iterator<Item = Page> {
    let first = start.addr().get() & !(PAGE_SIZE - 1);
    (first..start.addr().get() + length)
        .step_by(PAGE_SIZE)
        .map(|address| Page::containing_address(VirtAddr::new(address as u64)))
}
