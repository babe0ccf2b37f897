//! The PL011, polled (Arm, "`PrimeCell` UART (PL011) Technical Reference Manual").

use core::{
    ptr,
    sync::atomic::{AtomicUsize, Ordering},
};

/// Registers.
const DATA: usize = 0x00;
const FLAGS: usize = 0x18;
const LINE_CONTROL: usize = 0x2C;
const CONTROL: usize = 0x30;

/// The receiver is empty; the transmitter is full.
const RECEIVER_EMPTY: u32 = 1 << 4;
const TRANSMITTER_FULL: u32 = 1 << 5;

/// Eight data bits, FIFO on; transmitter, receiver and the whole on.
const EIGHT_BITS: u32 = 0x70;
const ENABLED: u32 = 0x301;

/// Where the registers are, mapped one to one for good.
static BASE: AtomicUsize = AtomicUsize::new(0);

/// Where the registers are.
pub fn base() -> usize {
    BASE.load(Ordering::Relaxed)
}

/// Takes the port whose registers are at `base`.
pub fn initialise(base: usize) {
    BASE.store(base, Ordering::Relaxed);
    write(LINE_CONTROL, EIGHT_BITS);
    write(CONTROL, ENABLED);
}

/// Sends a byte.
pub fn send(byte: u8) {
    while read(FLAGS) & TRANSMITTER_FULL != 0 {
        core::hint::spin_loop();
    }
    write(DATA, byte.into());
}

/// Waits for a byte, and takes it.
pub fn receive() -> u8 {
    while read(FLAGS) & RECEIVER_EMPTY != 0 {
        core::hint::spin_loop();
    }
    read(DATA).to_le_bytes()[0]
}

fn read(register: usize) -> u32 {
    let register: *const u32 = ptr::with_exposed_provenance(base() + register);
    // SAFETY: the port is this program's own; none of its registers touches memory.
    unsafe { register.read_volatile() }
}

fn write(register: usize, value: u32) {
    let register: *mut u32 = ptr::with_exposed_provenance_mut(base() + register);
    // SAFETY: as above.
    unsafe { register.write_volatile(value) };
}
