//! What is alike on all machines: from memory and page tables to the end of the
//! run.

use crate::{
    arch::{self, Description},
    heap,
    machine::Guest,
    serial,
};
use alloc::vec::Vec;
use core::{fmt::Debug, ops::Range, panic::PanicInfo, str};
use nt_model::Outcome;

/// How the run ended.
#[derive(Clone, Copy)]
pub enum Exit {
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

/// Runs the driver and the scenario, files that `read` gives, with a heap in the
/// largest part of `memory` that lies after the image; `description` is called when
/// there is a heap.
///
/// # Safety
///
/// The machine has just started: the usable memory that `memory` lists is mapped
/// one to one and nobody's, but for the image.
pub unsafe fn run<E: Debug>(
    memory: impl Iterator<Item = Region>,
    description: impl FnOnce() -> Result<Description, E>,
    read: impl Fn(&str) -> Option<Vec<u8>>,
) -> ! {
    let Some(region) = largest_free(memory) else {
        stop(format_args!("no usable memory above the image"));
    };
    // SAFETY: usable memory above the image, mapped, used by nobody.
    if !unsafe { heap::claim(&region) } {
        stop(format_args!("the heap does not take {region:X?}"));
    }
    // SAFETY: the region is all that is in use besides the image.
    if let Err(error) = unsafe { arch::paging::enable(&region) } {
        stop(format_args!("page tables: {error:?}"));
    }
    arch::interrupts::enable();

    let Some(driver) = read("opt/nt/driver.sys") else {
        stop(format_args!("there is no file opt/nt/driver.sys"));
    };
    let Some(scenario) = read("opt/nt/scenario") else {
        stop(format_args!("there is no file opt/nt/scenario"));
    };
    let Ok(scenario) = str::from_utf8(&scenario) else {
        stop(format_args!("opt/nt/scenario is not UTF-8 text"));
    };
    let mut guest = match description() {
        Ok(description) => Guest::new(description),
        Err(error) => stop(format_args!("ACPI: {error:?}")),
    };
    arch::boot::end(match nt_model::run(&mut guest, &driver, scenario) {
        Outcome::Complete => Exit::Complete,
        Outcome::Violation => Exit::Violation,
        Outcome::Refused => Exit::Refused,
    })
}

/// The usable memory after the image, at most [`HEAP_LIMIT`] of it, from the
/// largest range below 4 GiB.
fn largest_free(memory: impl Iterator<Item = Region>) -> Option<Region> {
    let [.., image] = image();
    memory
        .filter(|range| range.start < 1 << 32)
        .map(|range| {
            let end = range.end.min(1 << 32);
            let start = range.start.max(image.end).next_multiple_of(4096);
            start..end.min(start + HEAP_LIMIT) & !4095
        })
        .filter(|region| region.start < region.end)
        .max_by_key(ExactSizeIterator::len)
}

/// Ends the run with the reason as the report's last line.
pub fn stop(reason: core::fmt::Arguments<'_>) -> ! {
    serial::stop(reason);
    arch::boot::end(Exit::Stopped)
}

#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    stop(format_args!("{info}"))
}
