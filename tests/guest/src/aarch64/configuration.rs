//! PCI configuration space in memory (ECAM; PCI Express Base Specification,
//! section 7.2.2).

use super::{board::board, paging};
use crate::{pci::Address, run};
use core::ptr::NonNull;
use spinning_top::Spinlock;

/// Values that registers hold.
pub trait Read: Copy {}
impl Read for u8 {}
impl Read for u16 {}
impl Read for u32 {}

pub use Read as Write;

/// Bytes of a bus.
const BUS: usize = 1 << 20;

/// The bus that is mapped, and where.
static MAPPED: Spinlock<Option<(u8, usize)>> = Spinlock::new(None);

/// Where a function's register is.
fn register<T>(address: Address, offset: u16) -> *mut T {
    let Some(start) = bus(address.bus) else {
        run::stop(format_args!("no PCI configuration space for {address:?}"));
    };
    let function = usize::from(address.device) << 15 | usize::from(address.function) << 12;
    core::ptr::with_exposed_provenance_mut(start + function + usize::from(offset))
}

/// Where a bus is mapped, in place of the one before.
fn bus(number: u8) -> Option<usize> {
    let before = MAPPED.lock().take();
    let start = match before {
        Some((bus, start)) if bus == number => start,
        other => {
            if let Some(old) = other.and_then(|(_, start)| NonNull::new(start as *mut u8)) {
                paging::unmap(old, BUS);
            }
            map(number)?
        }
    };
    *MAPPED.lock() = Some((number, start));
    Some(start)
}

/// Maps the functions of a bus.
fn map(bus: u8) -> Option<usize> {
    let space = board()?.configuration?;
    let start = space.start + (u64::from(bus) << 20);
    if start + BUS as u64 > space.end {
        return None;
    }
    Some(paging::map(start, BUS)?.as_ptr().expose_provenance())
}

/// Reads configuration space.
pub fn read<T: Read>(address: Address, offset: u16) -> T {
    let register: *const T = register(address, offset);
    // SAFETY: the register is mapped, and reading it has no effect on memory.
    unsafe { register.read_volatile() }
}

/// Writes configuration space.
pub fn write<T: Write>(address: Address, offset: u16, value: T) {
    let register: *mut T = register(address, offset);
    // SAFETY: no function of the machine uses memory that is the guest's: bus
    // mastering is never turned on.
    unsafe { register.write_volatile(value) };
}
