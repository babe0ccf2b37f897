//! PCI configuration space by mechanism 1 (PCI Local Bus Specification 3.0,
//! section 3.2.2.3.2).

use crate::pci::Address;
use x86_64::instructions::port::Port;

pub use x86_64::instructions::port::{PortRead as Read, PortWrite as Write};

/// Port of the address register.
const ADDRESS: u16 = 0xCF8;

/// First port of the data register.
const DATA: u16 = 0xCFC;

/// Selects a function's register at `offset`, and says where its data is.
fn select(address: Address, offset: u16) -> u16 {
    let selected = 1 << 31
        | u32::from(address.bus) << 16
        | u32::from(address.device) << 11
        | u32::from(address.function) << 8
        | u32::from(offset & 0xFC);
    // SAFETY: the register only says what the data register gives next.
    unsafe { Port::new(ADDRESS).write(selected) };
    DATA + (offset & 3)
}

/// Reads configuration space.
pub fn read<T: Read>(address: Address, offset: u16) -> T {
    let data = select(address, offset);
    // SAFETY: reading configuration space has no effect on memory.
    unsafe { Port::new(data).read() }
}

/// Writes configuration space.
pub fn write<T: Write>(address: Address, offset: u16, value: T) {
    let data = select(address, offset);
    // SAFETY: no function of the machine uses memory that is the guest's:
    // bus mastering is never turned on.
    unsafe { Port::new(data).write(value) };
}
