//! Files from the host: QEMU's `fw_cfg` device (QEMU documentation, "QEMU
//! Firmware Configuration (`fw_cfg`) Device").

use alloc::{vec, vec::Vec};
use x86_64::instructions::port::Port;

/// The selector register, 16 bits.
const SELECTOR: u16 = 0x510;

/// The data register, 8 bits.
const DATA: u16 = 0x511;

/// Key of the signature, the four bytes `QEMU`.
const SIGNATURE: u16 = 0x0000;

/// Key of the number of processors.
const PROCESSORS: u16 = 0x0005;

/// Key of the file directory.
const DIRECTORY: u16 = 0x0019;

/// Reads the file of that name; `None` where the host gave none.
pub fn read(name: &str) -> Option<Vec<u8>> {
    select(SIGNATURE);
    if next::<4>() != *b"QEMU" {
        return None;
    }
    select(DIRECTORY);
    let count = u32::from_be_bytes(next());
    for _ in 0..count {
        let size = u32::from_be_bytes(next());
        let key = u16::from_be_bytes(next());
        let _reserved: [u8; 2] = next();
        let entry: [u8; 56] = next();
        if entry.split(|&byte| byte == 0).next() == Some(name.as_bytes()) {
            select(key);
            let mut contents = vec![0; usize::try_from(size).ok()?];
            fill(&mut contents);
            return Some(contents);
        }
    }
    None
}

/// How many processors the machine has.
pub fn processors() -> u16 {
    select(PROCESSORS);
    u16::from_le_bytes(next())
}

/// Starts reading the item with that key.
fn select(key: u16) {
    let mut selector: Port<u16> = Port::new(SELECTOR);
    // SAFETY: the selector only says what the data register gives next.
    unsafe { selector.write(key) };
}

/// The item's next bytes.
fn next<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    fill(&mut bytes);
    bytes
}

/// Fills `bytes` with the item's next ones.
fn fill(bytes: &mut [u8]) {
    let mut data: Port<u8> = Port::new(DATA);
    for byte in bytes {
        // SAFETY: reading the data register has no effect on memory.
        *byte = unsafe { data.read() };
    }
}
