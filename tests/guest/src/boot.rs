//! From the entry in boot.s to a heap, page tables and exception handlers.

use crate::{fw_cfg, heap, interrupts, machine::Guest, paging, serial};
use core::{arch::global_asm, ops::Range, panic::PanicInfo, slice, str};
use nt_model::Outcome;
use x86_64::instructions::{hlt, interrupts as flag, port::Port};

global_asm!(include_str!("boot.s"));

/// How the run ended, as `isa-debug-exit` is told; QEMU's exit status is twice
/// this, plus one.
enum Exit {
    Complete,
    Violation,
    Refused,
    /// The run could not go on; the report's last line says why.
    Stopped,
}

/// A range of physical addresses.
pub type Region = Range<usize>;

/// The most memory the heap takes: page tables are built for all of it.
const HEAP_LIMIT: usize = 64 << 20;

/// What `hvm_start_info` begins with (xen: public/arch-x86/hvm/start_info.h).
const START_INFO_MAGIC: u32 = 0x336E_C578;

/// The memory map's type of usable memory, as in E820.
const USABLE: u32 = 1;

/// `hvm_start_info`: what the loader tells. A `usize` has 64 bits here, as an
/// address has there.
#[repr(C)]
struct StartInfo {
    magic: u32,
    version: u32,
    flags: u32,
    modules: u32,
    module_list: usize,
    command_line: usize,
    rsdp: usize,
    memory_map: usize,
    memory_map_entries: u32,
    reserved: u32,
}

/// `hvm_memmap_table_entry`: one range of the memory map.
#[repr(C)]
struct MemoryMapEntry {
    start: usize,
    length: usize,
    kind: u32,
    reserved: u32,
}

unsafe extern "C" {
    static image_start: u8;
    static rodata_start: u8;
    static data_start: u8;
    static image_end: u8;
    static stack_guard: u8;
}

/// The image's parts, as guest.ld lays them out: code, constants, the rest.
pub fn image() -> [Region; 3] {
    let code = (&raw const image_start).addr();
    let constants = (&raw const rodata_start).addr();
    let data = (&raw const data_start).addr();
    [
        code..constants,
        constants..data,
        data..(&raw const image_end).addr(),
    ]
}

/// The page below the stack that stays unmapped.
pub fn guard_page() -> usize {
    (&raw const stack_guard).addr()
}

/// Where boot.s arrives, in long mode on the boot stack.
///
/// # Safety
///
/// `info` is the address that QEMU's PVH loader passed.
#[unsafe(no_mangle)]
unsafe extern "C" fn start(info: *const StartInfo) -> ! {
    serial::initialise();
    // SAFETY: the loader's structure lies below 4 GiB, which boot.s has mapped.
    let info = unsafe { &*info };
    // The memory map is there from version 1 of the structure on.
    if info.magic != START_INFO_MAGIC || info.version < 1 {
        stop(format_args!(
            "the loader passed no PVH start info with a memory map"
        ));
    }
    let entries = core::ptr::with_exposed_provenance(info.memory_map);
    // SAFETY: the loader's memory map has this many entries, below 4 GiB.
    let map: &[MemoryMapEntry] =
        unsafe { slice::from_raw_parts(entries, info.memory_map_entries as usize) };
    let rsdp = info.rsdp;

    let Some(region) = largest_free(map) else {
        stop(format_args!("no usable memory above the image"));
    };
    // SAFETY: usable memory above the image, mapped by boot.s, used by nobody.
    if !unsafe { heap::claim(&region) } {
        stop(format_args!("the heap does not take {region:X?}"));
    }
    // SAFETY: the region is all that is in use besides the image.
    if let Err(error) = unsafe { paging::enable(&region) } {
        stop(format_args!("page tables: {error:?}"));
    }
    interrupts::enable();

    let Some(driver) = fw_cfg::read("opt/nt/driver.sys") else {
        stop(format_args!("fw_cfg has no file opt/nt/driver.sys"));
    };
    let Some(scenario) = fw_cfg::read("opt/nt/scenario") else {
        stop(format_args!("fw_cfg has no file opt/nt/scenario"));
    };
    let Ok(scenario) = str::from_utf8(&scenario) else {
        stop(format_args!("opt/nt/scenario is not UTF-8 text"));
    };
    let mut guest = match Guest::new(rsdp) {
        Ok(guest) => guest,
        Err(error) => stop(format_args!("ACPI: {error:?}")),
    };
    match nt_model::run(&mut guest, &driver, scenario) {
        Outcome::Complete => end(Exit::Complete),
        Outcome::Violation => end(Exit::Violation),
        Outcome::Refused => end(Exit::Refused),
    }
}

/// The usable memory after the image, at most [`HEAP_LIMIT`] of it, from the
/// largest range below 4 GiB.
fn largest_free(map: &[MemoryMapEntry]) -> Option<Region> {
    let [.., image] = image();
    map.iter()
        .filter(|entry| entry.kind == USABLE && entry.start < 1 << 32)
        .map(|entry| {
            let end = (entry.start + entry.length).min(1 << 32);
            let start = entry.start.max(image.end).next_multiple_of(4096);
            start..end.min(start + HEAP_LIMIT) & !4095
        })
        .filter(|region| region.start < region.end)
        .max_by_key(ExactSizeIterator::len)
}

/// Ends the run with the reason as the report's last line.
pub fn stop(reason: core::fmt::Arguments<'_>) -> ! {
    serial::stop(reason);
    end(Exit::Stopped)
}

/// Ends the run: by QEMU's `isa-debug-exit` where there is one, else by
/// standing still until the host ends QEMU.
fn end(exit: Exit) -> ! {
    let mut debug_exit: Port<u32> = Port::new(0xF4);
    // SAFETY: the port is the debug-exit device's or nobody's.
    unsafe { debug_exit.write(exit as u32) };
    loop {
        flag::disable();
        hlt();
    }
}

#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    stop(format_args!("{info}"))
}
