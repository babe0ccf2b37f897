//! The registers of `fw_cfg`: memory.

use core::{
    ptr,
    sync::atomic::{AtomicUsize, Ordering},
};

/// The data register, and the selector register, which takes the upper byte first.
const DATA: usize = 0;
const SELECTOR: usize = 8;

/// Where the registers are, mapped one to one for good.
static BASE: AtomicUsize = AtomicUsize::new(0);

/// Where the registers are.
pub fn base() -> usize {
    BASE.load(Ordering::Relaxed)
}

/// Takes the registers at `base`.
pub fn initialise(base: usize) {
    BASE.store(base, Ordering::Relaxed);
}

/// Starts reading the item with that key.
pub fn select(key: u16) {
    let selector: *mut u16 = ptr::with_exposed_provenance_mut(base() + SELECTOR);
    // SAFETY: the selector only says what the data register gives next.
    unsafe { selector.write_volatile(key.to_be()) };
}

/// Fills `bytes` with the item's next ones.
pub fn fill(bytes: &mut [u8]) {
    let data: *const u8 = ptr::with_exposed_provenance(base() + DATA);
    for byte in bytes {
        // SAFETY: reading the data register has no effect on memory.
        *byte = unsafe { data.read_volatile() };
    }
}
