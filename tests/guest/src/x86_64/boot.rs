//! From QEMU's PVH loader, or a Multiboot2 one, and the entry in boot.s to
//! [`run::run`], and the end.

use super::{
    acpi::Acpi,
    multiboot::{Information, USABLE},
    uart,
};
use crate::{
    fw_cfg,
    run::{self, Exit},
};
use core::{arch::global_asm, slice};
use x86_64::instructions::{hlt, interrupts as flag, port::Port};

global_asm!(include_str!("boot.s"));

/// What `hvm_start_info` begins with (xen: public/arch-x86/hvm/start_info.h).
const START_INFO_MAGIC: u32 = 0x336E_C578;

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

/// Where boot.s arrives, in long mode on the boot stack.
///
/// # Safety
///
/// `information` is the address that the loader passed: a Multiboot2 one, or
/// QEMU's PVH loader.
#[unsafe(no_mangle)]
unsafe extern "C" fn start(information: usize, multiboot: bool) -> ! {
    uart::COM1.initialise();
    if multiboot {
        // SAFETY: the loader passed it, and boot.s has mapped the first 4 GiB.
        let information = unsafe { Information::new(information) };
        let rsdp = information.rsdp();
        let read = |name: &str| information.module(name);
        // SAFETY: boot.s has mapped the first 4 GiB; nothing but the image runs, and
        // the loader's things are not in the memory that is passed.
        unsafe { run::run(information.free_memory(), move || Acpi::new(rsdp), read) }
    } else {
        // SAFETY: as the caller promises.
        unsafe { start_pvh(information) }
    }
}

/// # Safety
///
/// `information` is the address that QEMU's PVH loader passed.
unsafe fn start_pvh(information: usize) -> ! {
    let information: *const StartInfo = core::ptr::with_exposed_provenance(information);
    // SAFETY: the loader's structure lies below 4 GiB, which boot.s has mapped.
    let info = unsafe { &*information };
    // The memory map is there from version 1 of the structure on.
    if info.magic != START_INFO_MAGIC || info.version < 1 {
        run::stop(format_args!(
            "the loader passed no PVH start info with a memory map"
        ));
    }
    let entries = core::ptr::with_exposed_provenance(info.memory_map);
    // SAFETY: the loader's memory map has this many entries, below 4 GiB.
    let map: &[MemoryMapEntry] =
        unsafe { slice::from_raw_parts(entries, info.memory_map_entries as usize) };
    let usable = map
        .iter()
        .filter(|entry| entry.kind == USABLE)
        .map(|entry| entry.start..entry.start + entry.length);
    // The loader's structures are not mapped for long.
    let rsdp = info.rsdp;
    // SAFETY: boot.s has mapped the first 4 GiB, and nothing but the image runs.
    unsafe { run::run(usable, move || Acpi::new(rsdp), fw_cfg::read) }
}

/// Ends the run: by QEMU's `isa-debug-exit` where there is one, whose exit status
/// is twice this plus one, else by standing still until the host ends QEMU.
pub fn end(exit: Exit) -> ! {
    let mut debug_exit: Port<u32> = Port::new(0xF4);
    // SAFETY: the port is the debug-exit device's or nobody's.
    unsafe { debug_exit.write(exit as u32) };
    loop {
        flag::disable();
        hlt();
    }
}
