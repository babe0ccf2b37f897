//! The registers of `fw_cfg`: ports.

use x86_64::instructions::port::Port;

/// The selector register, 16 bits.
const SELECTOR: u16 = 0x510;

/// The data register, 8 bits.
const DATA: u16 = 0x511;

/// Key of the number of processors.
const PROCESSORS: u16 = 0x0005;

/// How many processors the machine has.
pub fn processors() -> u16 {
    let mut count = [0; 2];
    select(PROCESSORS);
    fill(&mut count);
    u16::from_le_bytes(count)
}

/// Starts reading the item with that key.
pub fn select(key: u16) {
    let mut selector: Port<u16> = Port::new(SELECTOR);
    // SAFETY: the selector only says what the data register gives next.
    unsafe { selector.write(key) };
}

/// Fills `bytes` with the item's next ones.
pub fn fill(bytes: &mut [u8]) {
    let mut data: Port<u8> = Port::new(DATA);
    for byte in bytes {
        // SAFETY: reading the data register has no effect on memory.
        *byte = unsafe { data.read() };
    }
}
