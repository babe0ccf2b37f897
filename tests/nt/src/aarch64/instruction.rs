//! Decoding ARM64 instructions: the plain loads and stores, by which registers of
//! devices are reached, and the exclusive ones, which can't be single-stepped.
//! Numbers are those of the Arm Architecture Reference Manual, "Loads and Stores".

use super::Registers;
use crate::instruction::{Access, Target, mask};

/// The number of a general register; 31 is none, and 0 where it is read.
pub type Register = u8;

/// Bytes of the longest instruction.
pub const LONGEST: usize = 4;

/// The number that means the zero register, or the stack pointer in an address.
const ZERO: Register = 31;

/// A part of an instruction.
const fn bits(word: u32, first: u32, count: u32) -> u32 {
    word >> first & ((1 << count) - 1)
}

#[expect(clippy::cast_possible_truncation, reason = "five bits")]
const fn register(word: u32, first: u32) -> Register {
    bits(word, first, 5) as Register
}

fn word(code: &[u8]) -> Option<u32> {
    Some(u32::from_le_bytes(*code.first_chunk()?))
}

/// The value of a general register.
pub fn value_of(registers: &Registers, register: Register) -> u64 {
    registers.x.get(usize::from(register)).copied().unwrap_or(0)
}

/// The value of the register that an address begins with.
fn base(registers: &Registers, register: Register) -> u64 {
    if register == ZERO {
        registers.sp
    } else {
        registers.x[usize::from(register)]
    }
}

/// Decodes the memory access of the instruction in `code`, which comes next.
///
/// `None` where it makes none, or one of another form than that of a plain load or
/// store of one general register.
#[must_use]
pub fn access(code: &[u8], registers: &Registers) -> Option<Access> {
    let word = word(code)?;
    let start = base(registers, register(word, 5));
    let (address, load) = match (bits(word, 24, 6), bits(word, 21, 1), bits(word, 10, 2)) {
        // With an offset in units of the access.
        (0b11_1001, _, _) => {
            let offset = u64::from(bits(word, 10, 12)) << bits(word, 30, 2);
            (start.wrapping_add(offset), bits(word, 22, 2))
        }
        // Before the base is changed by the offset; with an offset in bytes.
        (0b11_1000, 0, 0b01) => (start, bits(word, 22, 2)),
        (0b11_1000, 0, _) => {
            let offset = i64::from((bits(word, 12, 9) << 23).cast_signed() >> 23);
            (start.wrapping_add_signed(offset), bits(word, 22, 2))
        }
        // With an offset in a register.
        (0b11_1000, 1, 0b10) => (
            start.wrapping_add(offset(word, registers)?),
            bits(word, 22, 2),
        ),
        // With acquire or release.
        (0b00_1000, 0, _) if bits(word, 23, 1) == 1 => (start, bits(word, 22, 1)),
        _ => return None,
    };
    let width = 1 << bits(word, 30, 2);
    let target = register(word, 0);
    Some(Access {
        target: Target::Memory(address),
        width,
        written: (load == 0).then(|| value_of(registers, target) & mask(width)),
        destination: if load == 0 { ZERO } else { target },
        length: 4,
    })
}

/// The offset in a register: extended, and shifted where it counts units.
fn offset(word: u32, registers: &Registers) -> Option<u64> {
    let value = value_of(registers, register(word, 16));
    let low = (value & 0xFFFF_FFFF) as u32;
    let extended = match bits(word, 13, 3) {
        0b010 => u64::from(low),
        0b011 | 0b111 => value,
        0b110 => i64::from(low.cast_signed()).cast_unsigned(),
        _ => return None,
    };
    let shift = if bits(word, 12, 1) == 1 {
        bits(word, 30, 2)
    } else {
        0
    };
    Some(extended << shift)
}

/// The IRQL that the instruction is about to write: none does.
pub const fn written_irql(_: &[u8], _: &Registers) -> Option<u8> {
    None
}

/// Carries out the instruction in `code` where the processor can't when it is
/// single-stepped: an exclusive load or store of one register, to memory that is
/// `accessible` (address, width, whether it is written). The return from the
/// exception of a step ends the exclusive access, so that a loop of them would
/// never come to its end.
pub fn carry_out(
    code: &[u8],
    registers: &mut Registers,
    accessible: impl Fn(u64, u8, bool) -> bool + Copy,
) -> bool {
    let Some(word) = word(code) else { return false };
    let one = bits(word, 24, 6) == 0b00_1000 && bits(word, 21, 1) == 0 && bits(word, 23, 1) == 0;
    let load = bits(word, 22, 1) == 1;
    let address = base(registers, register(word, 5));
    let width = 1 << bits(word, 30, 2);
    if !one || !accessible(address, width, !load) {
        return false;
    }
    let target = register(word, 0);
    let mut bytes = value_of(registers, target).to_le_bytes();
    let bytes = &mut bytes[..usize::from(width)];
    let at = address as *mut u8;
    let set = |registers: &mut Registers, register: Register, value| {
        if let Some(slot) = registers.x.get_mut(usize::from(register)) {
            *slot = value;
        }
    };
    if load {
        // SAFETY: the memory is accessible, and the bytes are the model's own.
        unsafe { at.copy_to_nonoverlapping(bytes.as_mut_ptr(), bytes.len()) };
        let mut value = [0; 8];
        value[..bytes.len()].copy_from_slice(bytes);
        set(registers, target, u64::from_le_bytes(value));
    } else {
        // SAFETY: as above; only driver code runs meanwhile, which is interrupted.
        unsafe { at.copy_from_nonoverlapping(bytes.as_ptr(), bytes.len()) };
        // It succeeded.
        set(registers, register(word, 16), 0);
    }
    registers.pc += 4;
    true
}
