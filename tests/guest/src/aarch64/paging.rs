//! Page tables: the image and the heap one to one in 4 KiB pages, so that each
//! page can be protected; everything else is mapped on demand, far away from
//! both, so that a stray address faults. Three levels, as boot.s has set up both
//! halves (Arm Architecture Reference Manual, "VMSAv8-64 translation table format
//! descriptors").

use super::{fw_cfg, uart};
use crate::run::{self, Region};
use alloc::alloc::alloc_zeroed;
use core::{
    alloc::Layout,
    arch::asm,
    ptr::NonNull,
    sync::atomic::{AtomicU64, Ordering},
};
use nt_model::{PAGE_SIZE, Protection};
use spinning_top::Spinlock;

/// Where mappings on demand begin: the upper half, which nothing else uses.
/// Their addresses are never used again, so that a mapping used after it was
/// removed is an abort.
const WINDOW: usize = 0xFFFF_FF80_0000_0000;

/// Physical addresses have at most 48 bits in these tables.
const PHYSICAL_END: u64 = 1 << 48;

/// Entries of a table, and the bits of an entry that are an address.
const ENTRIES: usize = 512;
const ADDRESS: u64 = 0x0000_FFFF_FFFF_F000;

/// What an invalidation takes of an address.
const PAGE_NUMBER: usize = (1 << 44) - 1;

/// A table, or a page at the last level.
const VALID: u64 = 3;

/// Descriptors' attributes.
const DEVICE: u64 = 1 << 2;
const READ_ONLY: u64 = 1 << 7;
const SHAREABLE: u64 = 3 << 8;
const ACCESSED: u64 = 1 << 10;
const NO_EXECUTE: u64 = 3 << 53;

const READ_EXECUTE: u64 = VALID | READ_ONLY | SHAREABLE | ACCESSED;
const READ: u64 = READ_EXECUTE | NO_EXECUTE;
const READ_WRITE: u64 = VALID | SHAREABLE | ACCESSED | NO_EXECUTE;
/// Device registers: writable, in order, acknowledged early (nGnRE), which is how
/// Windows maps them uncached.
const REGISTERS: u64 = VALID | DEVICE | ACCESSED | NO_EXECUTE;

/// The page tables of all processors: lower and upper half.
static ROOTS: [AtomicU64; 2] = [AtomicU64::new(0), AtomicU64::new(0)];

/// The tables in use.
static ADDRESS_SPACE: Spinlock<Option<AddressSpace>> = Spinlock::new(None);

/// Why the tables could not be built.
#[derive(Debug)]
pub struct NoMemory;

struct AddressSpace {
    /// Lower and upper half.
    roots: [Table; 2],
    /// The next free address of the window.
    next: usize,
}

/// A page of the heap, where addresses are physical addresses.
#[derive(Clone, Copy)]
struct Table(NonNull<[u64; ENTRIES]>);

// SAFETY: tables are reached through the lock alone.
unsafe impl Send for Table {}

impl Table {
    fn new() -> Option<Self> {
        let layout = Layout::from_size_align(PAGE_SIZE, PAGE_SIZE).ok()?;
        // SAFETY: the layout's size is not zero.
        let page = NonNull::new(unsafe { alloc_zeroed(layout) })?;
        Some(Self(page.cast()))
    }

    fn address(self) -> u64 {
        self.0.addr().get() as u64
    }

    /// The entry for `address` at a level, counted from the last one.
    const fn entry(self, address: usize, level: u32) -> NonNull<u64> {
        let index = (address >> (12 + 9 * level)) % ENTRIES;
        // SAFETY: the index is below the number of entries.
        unsafe { self.0.cast().add(index) }
    }
}

/// Builds the tables and loads them.
///
/// # Safety
///
/// `heap` is the heap's memory, and nothing but it and the image is in use.
pub unsafe fn enable(heap: &Region) -> Result<(), NoMemory> {
    let roots = [Table::new().ok_or(NoMemory)?, Table::new().ok_or(NoMemory)?];
    let mut space = AddressSpace {
        roots,
        next: WINDOW,
    };
    let [code, constants, data] = run::image();
    let page = |start: usize| start..start + PAGE_SIZE;
    for (region, attributes) in [
        (&code, READ_EXECUTE),
        (&constants, READ),
        (&data, READ_WRITE),
        (heap, READ_WRITE),
        (&page(uart::base()), REGISTERS),
        (&page(fw_cfg::base()), REGISTERS),
    ] {
        for address in region.clone().step_by(PAGE_SIZE) {
            if address != run::guard_page() {
                *space.page(address).ok_or(NoMemory)? = address as u64 | attributes;
            }
        }
    }
    for (root, table) in ROOTS.iter().zip(roots) {
        root.store(table.address(), Ordering::Relaxed);
    }
    forget_mappings();
    *ADDRESS_SPACE.lock() = Some(space);
    Ok(())
}

/// Loads the page tables anew: another processor may have changed them.
pub fn forget_mappings() {
    let [lower, upper] = [&ROOTS[0], &ROOTS[1]].map(|root| root.load(Ordering::Relaxed));
    // SAFETY: these tables are in use on all processors, for good, and map all that
    // is in use as those of boot.s do.
    unsafe {
        asm!(
            "dsb ish",
            "msr ttbr0_el1, {lower}",
            "msr ttbr1_el1, {upper}",
            "isb",
            "tlbi vmalle1",
            "dsb ish",
            "isb",
            lower = in(reg) lower,
            upper = in(reg) upper,
            options(nostack, preserves_flags)
        );
    };
}

/// Maps `length` bytes from the physical address on, uncached; `None` where
/// there is no such physical address or no memory for the tables.
pub fn map(physical: u64, length: usize) -> Option<NonNull<u8>> {
    ADDRESS_SPACE.lock().as_mut()?.map(physical, length)
}

/// Removes a mapping of [`map`].
pub fn unmap(address: NonNull<u8>, length: usize) {
    if let Some(space) = ADDRESS_SPACE.lock().as_mut() {
        space.change(address, length, |_| 0);
    }
}

/// Changes what the pages of the heap from `start` on allow.
pub fn protect(start: NonNull<u8>, length: usize, protection: Protection) {
    let attributes = match protection {
        Protection::None => 0,
        Protection::Read => READ,
        Protection::ReadWrite => READ_WRITE,
        Protection::ReadExecute => READ_EXECUTE,
    };
    if let Some(space) = ADDRESS_SPACE.lock().as_mut() {
        space.change(start, length, |entry| entry & ADDRESS | attributes);
    }
}

impl AddressSpace {
    /// The entry of a page, with the tables on the way to it.
    #[expect(
        clippy::needless_pass_by_ref_mut,
        reason = "the entry is borrowed with the tables"
    )]
    fn page(&mut self, address: usize) -> Option<&mut u64> {
        let mut table = self.roots[usize::from(address >= WINDOW)];
        for level in [2, 1] {
            // SAFETY: the table is this address space's own, which is borrowed.
            let entry = unsafe { table.entry(address, level).as_mut() };
            if *entry == 0 {
                *entry = Table::new()?.address() | VALID;
            }
            table = Table(NonNull::new((*entry & ADDRESS) as *mut _)?);
        }
        // SAFETY: as above.
        Some(unsafe { table.entry(address, 0).as_mut() })
    }

    fn map(&mut self, physical: u64, length: usize) -> Option<NonNull<u8>> {
        let offset = physical % PAGE_SIZE as u64;
        let end = physical.checked_add(length as u64)?;
        if length == 0 || end > PHYSICAL_END {
            return None;
        }
        let first = NonNull::new(self.next as *mut u8)?;
        for address in (physical - offset..end).step_by(PAGE_SIZE) {
            let page = self.next;
            *self.page(page)? = address | REGISTERS;
            self.next += PAGE_SIZE;
        }
        // One page stays unmapped after each mapping.
        self.next += PAGE_SIZE;
        publish();
        // SAFETY: the offset lies within the first page.
        Some(unsafe { first.byte_add(usize::try_from(offset).ok()?) })
    }

    /// Changes the entries of the pages that `length` bytes from `start` on lie in.
    fn change(&mut self, start: NonNull<u8>, length: usize, change: impl Fn(u64) -> u64) {
        let start = start.addr().get();
        let first = start & !(PAGE_SIZE - 1);
        for address in (first..start + length).step_by(PAGE_SIZE) {
            let Some(entry) = self.page(address) else {
                run::stop(format_args!("no table for {address:#x}"));
            };
            *entry = change(*entry);
            publish();
            // SAFETY: forgetting a translation is always allowed.
            unsafe {
                asm!(
                    "tlbi vaae1is, {page}",
                    page = in(reg) address >> 12 & PAGE_NUMBER,
                    options(nostack, preserves_flags)
                );
            };
        }
        publish();
    }
}

/// Makes changed tables visible, and waits until translations are forgotten.
fn publish() {
    // SAFETY: barriers only.
    unsafe { asm!("dsb ish", "isb", options(nostack, preserves_flags)) };
}
