//! What one instruction of driver code touches. How it is decoded is the
//! processor's own.

use crate::arch::instruction::Register;

pub use crate::arch::instruction::{LONGEST, access, carry_out, value_of, written_irql};

/// What a register access of driver code touches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// An I/O port.
    Port(u16),
    /// Memory at this address.
    Memory(u64),
}

/// An access to a port or to memory that one instruction makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Access {
    /// What it touches.
    pub target: Target,
    /// Its width in bytes.
    pub width: u8,
    /// The value that is written; `None` for a read.
    pub written: Option<u64>,
    /// For a read: the register that receives the value.
    pub(crate) destination: Register,
    /// Length of the instruction in bytes.
    pub length: u8,
}

/// The bits of a value of `width` bytes.
pub const fn mask(width: u8) -> u64 {
    if width >= 8 {
        u64::MAX
    } else {
        (1 << (width * 8)) - 1
    }
}
