//! What one instruction of driver code does to ports, registers and the IRQL.

use iced_x86::{Decoder, DecoderOptions, Instruction, Mnemonic, OpKind};

use super::Registers;
use crate::{
    instruction::{Access, Target, mask},
    kernel::HIGH_LEVEL,
};

pub use iced_x86::Register;

/// Bytes of the longest instruction.
pub const LONGEST: usize = 15;

/// Where the value of `register` is kept, and how far it is shifted there.
fn place(registers: &mut Registers, register: Register) -> Option<(&mut u64, u32)> {
    let shift = match register {
        Register::AH | Register::BH | Register::CH | Register::DH => 8,
        _ => 0,
    };
    let slot = match register.full_register() {
        Register::RAX => &mut registers.rax,
        Register::RCX => &mut registers.rcx,
        Register::RDX => &mut registers.rdx,
        Register::RBX => &mut registers.rbx,
        Register::RSP => &mut registers.rsp,
        Register::RBP => &mut registers.rbp,
        Register::RSI => &mut registers.rsi,
        Register::RDI => &mut registers.rdi,
        Register::R8 => &mut registers.r8,
        Register::R9 => &mut registers.r9,
        Register::R10 => &mut registers.r10,
        Register::R11 => &mut registers.r11,
        Register::R12 => &mut registers.r12,
        Register::R13 => &mut registers.r13,
        Register::R14 => &mut registers.r14,
        Register::R15 => &mut registers.r15,
        _ => return None,
    };
    Some((slot, shift))
}

/// The value of a general register, whatever its width; 0 for others.
pub fn value_of(registers: &Registers, register: Register) -> u64 {
    general(registers, register).unwrap_or(0)
}

fn general(registers: &Registers, register: Register) -> Option<u64> {
    let mut copy = *registers;
    let (slot, shift) = place(&mut copy, register)?;
    let width = u8::try_from(register.size()).ok()?;
    Some(*slot >> shift & mask(width))
}

/// Decodes the port or memory access of the instruction in `code`, which is the
/// one at `registers.rip`. `None` where it makes none, or one of another form
/// than a plain move.
#[must_use]
pub fn access(code: &[u8], registers: &Registers) -> Option<Access> {
    let instruction = decode(code, registers.rip);
    let length = u8::try_from(instruction.len()).ok()?;
    let port = |operand: u32| match instruction.op_kind(operand) {
        OpKind::Immediate8 => Some(u16::from(instruction.immediate8())),
        _ => u16::try_from(registers.rdx & 0xffff).ok(),
    };
    match instruction.mnemonic() {
        Mnemonic::Out => {
            let source = instruction.op1_register();
            Some(Access {
                target: Target::Port(port(0)?),
                width: u8::try_from(source.size()).ok()?,
                written: general(registers, source),
                destination: Register::None,
                length,
            })
        }
        Mnemonic::In => Some(Access {
            target: Target::Port(port(1)?),
            width: u8::try_from(instruction.op0_register().size()).ok()?,
            written: None,
            destination: instruction.op0_register(),
            length,
        }),
        Mnemonic::Mov | Mnemonic::Movzx => memory_access(&instruction, registers, length),
        _ => None,
    }
}

/// The IRQL that the instruction in `code` is about to write to CR8, if it does.
pub fn written_irql(code: &[u8], registers: &Registers) -> Option<u8> {
    let instruction = decode(code, registers.rip);
    let writes = instruction.mnemonic() == Mnemonic::Mov
        && instruction.op0_kind() == OpKind::Register
        && instruction.op0_register() == Register::CR8;
    let value = writes.then(|| general(registers, instruction.op1_register()))??;
    u8::try_from(value).ok().filter(|irql| *irql <= HIGH_LEVEL)
}

fn memory_access(instruction: &Instruction, registers: &Registers, length: u8) -> Option<Access> {
    let operand = (0..instruction.op_count())
        .find(|operand| instruction.op_kind(*operand) == OpKind::Memory)?;
    let address = effective_address(instruction, registers)?;
    let width = u8::try_from(instruction.memory_size().size()).ok()?;
    let written = if operand > 0 {
        None
    } else if instruction.op1_kind() == OpKind::Register {
        Some(general(registers, instruction.op1_register())?)
    } else {
        Some(instruction.immediate(1) & mask(width))
    };
    Some(Access {
        target: Target::Memory(address),
        width,
        written,
        destination: if operand > 0 {
            instruction.op0_register()
        } else {
            Register::None
        },
        length,
    })
}

fn effective_address(instruction: &Instruction, registers: &Registers) -> Option<u64> {
    let part = |register: Register| match register {
        Register::None | Register::RIP => Some(0),
        register => general(registers, register),
    };
    let base = part(instruction.memory_base())?;
    let index = part(instruction.memory_index())?;
    // For addresses relative to RIP the displacement is already the target.
    Some(
        base.wrapping_add(index.wrapping_mul(instruction.memory_index_scale().into()))
            .wrapping_add(instruction.memory_displacement64()),
    )
}

/// Completes the instruction of `access` in place of the processor: puts what was
/// read where it goes and moves on to the next instruction.
pub fn complete(access: &Access, read: u64, registers: &mut Registers) {
    let width = access.width;
    if access.written.is_none() {
        // A 32-bit destination clears the upper half; smaller ones keep it.
        let destination = u8::try_from(access.destination.size()).unwrap_or(8);
        let kept = if destination >= 4 {
            0
        } else {
            !mask(destination)
        };
        if let Some((slot, shift)) = place(registers, access.destination) {
            let kept = if destination >= 4 {
                0
            } else {
                kept.rotate_left(shift)
            };
            *slot = *slot & kept | (read & mask(width)) << shift;
        }
    }
    registers.rip += u64::from(access.length);
}

/// Carries out an instruction that can't be single-stepped: there is none.
pub const fn carry_out(
    _: &[u8],
    _: &mut Registers,
    _: impl Fn(u64, u8, bool) -> bool + Copy,
) -> bool {
    false
}

fn decode(code: &[u8], rip: u64) -> Instruction {
    Decoder::with_ip(64, code, rip, DecoderOptions::NONE).decode()
}
