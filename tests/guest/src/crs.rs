//! Resource templates, what an ACPI device's `_CRS` gives (ACPI specification,
//! "Resource Data Types for ACPI").

use alloc::vec::Vec;
use nt_model::Resource;

/// The ports and memory ranges of a template; interrupts, DMA channels, bus
/// numbers and vendor data are left out.
pub fn ports_and_memory(template: &[u8]) -> Vec<Resource> {
    let mut resources = Vec::new();
    let mut rest = template;
    while let Some((&tag, _)) = rest.split_first() {
        // Large items have a 16-bit length after the tag, small ones three bits
        // in it.
        let (kind, header, length) = if tag & 0x80 == 0 {
            (tag >> 3, 1, usize::from(tag & 7))
        } else {
            let length = rest.get(1..3).map_or([0; 2], |bytes| [bytes[0], bytes[1]]);
            (tag, 3, usize::from(u16::from_le_bytes(length)))
        };
        let Some(item) = rest.get(header..header + length) else {
            break;
        };
        resources.extend(resource(kind, item));
        rest = &rest[header + length..];
    }
    resources
}

/// The resource that one item describes.
fn resource(kind: u8, item: &[u8]) -> Option<Resource> {
    match kind {
        // I/O port: the range's minimum is where the device is.
        0x08 => port(integer(item, 1, 2)?, integer(item, 6, 1)?),
        // Fixed I/O port.
        0x09 => port(integer(item, 0, 2)?, integer(item, 2, 1)?),
        // Memory24: addresses and length in units of 256 bytes.
        0x81 => memory(integer(item, 1, 2)? << 8, integer(item, 7, 2)? << 8),
        // Memory32.
        0x85 => memory(integer(item, 1, 4)?, integer(item, 13, 4)?),
        // Memory32Fixed.
        0x86 => memory(integer(item, 1, 4)?, integer(item, 5, 4)?),
        // DWord, Word and QWord address space.
        0x87 => address_space(item, 4),
        0x88 => address_space(item, 2),
        0x8A => address_space(item, 8),
        _ => None,
    }
}

/// An address space item whose numbers have `width` bytes: type, two flag
/// bytes, then granularity, minimum, maximum, translation and length.
fn address_space(item: &[u8], width: usize) -> Option<Resource> {
    let start = integer(item, 3 + width, width)?;
    let translation = integer(item, 3 + 3 * width, width)?;
    let length = integer(item, 3 + 4 * width, width)?;
    match item.first()? {
        0 => memory(start.wrapping_add(translation), length),
        1 => port(start.wrapping_add(translation), length),
        _ => None,
    }
}

fn port(start: u64, length: u64) -> Option<Resource> {
    let length = u32::try_from(length).ok().filter(|&length| length > 0)?;
    Some(Resource::Port { start, length })
}

fn memory(start: u64, length: u64) -> Option<Resource> {
    let length = u32::try_from(length).ok().filter(|&length| length > 0)?;
    Some(Resource::Memory { start, length })
}

/// The little-endian number of `width` bytes at `offset`.
fn integer(item: &[u8], offset: usize, width: usize) -> Option<u64> {
    let bytes = item.get(offset..offset + width)?;
    Some(
        bytes
            .iter()
            .rev()
            .fold(0, |number, &byte| number << 8 | u64::from(byte)),
    )
}
