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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_port_and_memory_item_is_found() {
        #[rustfmt::skip]
        let template = [
            // IO (Decode16, 0x505, 0x505, 1, 1)
            0x47, 1, 0x05, 0x05, 0x05, 0x05, 1, 1,
            // IRQNoFlags () {4}
            0x22, 0x10, 0x00,
            // FixedIO (0x3F8, 8)
            0x4B, 0xF8, 0x03, 8,
            // Memory24 (ReadWrite, 0xA0000, 0xA0000, 0, 0x20000)
            0x81, 9, 0, 1, 0x00, 0x0A, 0x00, 0x0A, 0, 0, 0x00, 0x02,
            // Memory32 (ReadWrite, 0xFEBFF000, 0xFEBFF000, 1, 16)
            0x85, 17, 0, 1, 0x00, 0xF0, 0xBF, 0xFE, 0x00, 0xF0, 0xBF, 0xFE, 1, 0, 0, 0, 16, 0, 0, 0,
            // Memory32Fixed (ReadWrite, 0xFED00000, 0x400)
            0x86, 9, 0, 1, 0x00, 0x00, 0xD0, 0xFE, 0x00, 0x04, 0, 0,
            // WordBusNumber (0, 0xFF, 0x100 buses)
            0x88, 13, 0, 2, 0, 0, 0, 0, 0, 0, 0xFF, 0, 0, 0, 0, 1,
            // WordIO (0xD00, 0xFFFF, 0xF300 ports)
            0x88, 13, 0, 1, 0, 0, 0, 0, 0x00, 0x0D, 0xFF, 0xFF, 0, 0, 0x00, 0xF3,
            // QWordMemory (0x100000000 .. 0x10000FFFF, 0x10000 bytes)
            0x8A, 43, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0,
            0xFF, 0xFF, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0,
            // End tag
            0x79, 0,
        ];
        assert_eq!(
            ports_and_memory(&template),
            [
                Resource::Port {
                    start: 0x505,
                    length: 1
                },
                Resource::Port {
                    start: 0x3F8,
                    length: 8
                },
                Resource::Memory {
                    start: 0xA_0000,
                    length: 0x2_0000
                },
                Resource::Memory {
                    start: 0xFEBF_F000,
                    length: 16
                },
                Resource::Memory {
                    start: 0xFED0_0000,
                    length: 0x400
                },
                Resource::Port {
                    start: 0xD00,
                    length: 0xF300
                },
                Resource::Memory {
                    start: 0x1_0000_0000,
                    length: 0x1_0000
                },
            ]
        );
    }

    #[test]
    fn an_item_longer_than_the_template_ends_it() {
        let template = [0x47, 1, 0x05, 0x05, 0x05, 0x05, 1, 1, 0x86, 9, 0, 1];
        assert_eq!(
            ports_and_memory(&template),
            [Resource::Port {
                start: 0x505,
                length: 1
            }]
        );
    }
}
