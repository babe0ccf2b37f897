//! Files from the host: QEMU's `fw_cfg` device (QEMU documentation, "QEMU
//! Firmware Configuration (`fw_cfg`) Device").

use crate::arch::fw_cfg::{fill, select};
use alloc::{vec, vec::Vec};

/// Key of the signature, the four bytes `QEMU`.
const SIGNATURE: u16 = 0x0000;

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

/// The item's next bytes.
fn next<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    fill(&mut bytes);
    bytes
}
