//! Watching driver code instruction by instruction, and telling what an exception
//! in it means.

use alloc::{collections::BTreeSet, format, vec::Vec};

use iced_x86::{Decoder, DecoderOptions, Instruction, Mnemonic, OpKind, Register};

use crate::{
    kernel::{DISPATCH_LEVEL, HIGH_LEVEL, Invocation, State},
    machine::{PAGE_SIZE, Registers, Resource, Trap},
    memory::Kind,
    report::Line,
};

const TRAP_FLAG: u64 = 0x100;
const LONGEST_INSTRUCTION: usize = 15;

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
    destination: Register,
    /// Length of the instruction in bytes.
    pub length: u8,
}

/// What is being observed.
#[derive(Debug, Default)]
pub struct Observation {
    /// Whether driver code is single-stepped.
    pub on: bool,
    /// Whether the instructions that run are kept.
    pub cover: bool,
    count: u64,
    to_output: Option<u64>,
    read: Option<Access>,
    covered: BTreeSet<u32>,
}

impl Observation {
    /// A callback is about to be called.
    pub const fn begin(&mut self) {
        self.count = 0;
        self.to_output = None;
        self.read = None;
    }
}

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

const fn mask(width: u8) -> u64 {
    if width >= 8 {
        u64::MAX
    } else {
        (1 << (width * 8)) - 1
    }
}

fn value_of(registers: &Registers, register: Register) -> Option<u64> {
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
                written: value_of(registers, source),
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
fn written_irql(code: &[u8], registers: &Registers) -> Option<u8> {
    let instruction = decode(code, registers.rip);
    let writes = instruction.mnemonic() == Mnemonic::Mov
        && instruction.op0_kind() == OpKind::Register
        && instruction.op0_register() == Register::CR8;
    let value = writes.then(|| value_of(registers, instruction.op1_register()))??;
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
        Some(value_of(registers, instruction.op1_register())?)
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
        register => value_of(registers, register),
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

fn decode(code: &[u8], rip: u64) -> Instruction {
    Decoder::with_ip(64, code, rip, DecoderOptions::NONE).decode()
}

impl State<'_> {
    /// What an exception means; `false` where driver code was not running.
    pub fn trap(&mut self, registers: &mut Registers, trap: Trap) -> bool {
        match trap {
            Trap::Step => {
                self.step(registers);
                true
            }
            Trap::IrqlWrite { irql } => {
                self.set_irql(irql);
                true
            }
            Trap::Page { address, write } => {
                let (rule, text) = self.explain_page_fault(registers.rip, address, write);
                self.stop_driver(registers, rule, &text);
                true
            }
            Trap::Exception { vector } => {
                let what = match vector {
                    0 => "it divides by zero",
                    3 => "it runs into a breakpoint",
                    6 => "it runs into an invalid opcode: a panic or assertion of its own?",
                    13 => "it does what the processor's protection forbids",
                    _ => "it raises an exception",
                };
                let text = format!("{what} (exception {vector})");
                self.stop_driver(registers, "exception", &text);
                true
            }
        }
    }

    fn explain_page_fault(
        &self,
        rip: u64,
        address: u64,
        write: bool,
    ) -> (&'static str, alloc::string::String) {
        let verb = if rip == address {
            "runs"
        } else if write {
            "writes"
        } else {
            "reads"
        };
        let place = self.describe(address);
        let section = self.image_offset(address).and_then(|offset| {
            let image = self.image.as_ref()?;
            image.sections.iter().find(|section| {
                (u64::from(section.start)..u64::from(section.start + section.size))
                    .contains(&offset)
            })
        });
        if let Some(section) = section {
            let discarded = self.image.as_ref().is_some_and(|image| image.discarded);
            if section.discardable && discarded {
                return (
                    "discarded-section-touched",
                    format!("it {verb} {place}, which went away after DriverEntry"),
                );
            }
            if section.pageable && self.irql >= DISPATCH_LEVEL {
                return (
                    "pageable-memory-touched",
                    format!(
                        "it {verb} {place}, which is pageable, at IRQL {}; see \"Making Drivers \
                         Pageable\"",
                        self.irql
                    ),
                );
            }
            return (
                "protection-broken",
                format!("it {verb} {place} against the section's protection"),
            );
        }
        let near_stack = self.regions.iter().any(|region| {
            region.kind == Kind::Stack
                && (region.start - PAGE_SIZE as u64..region.start).contains(&address)
        });
        if near_stack {
            return (
                "stack-overflow",
                "it needs more than the 24 KiB of a kernel stack; see \"Using the Kernel Stack\""
                    .into(),
            );
        }
        let was_mapped = self
            .unmapped
            .iter()
            .any(|(start, length)| (*start..start + length).contains(&address));
        let mapped = self
            .region(address, 1)
            .is_some_and(|r| r.kind == Kind::Registers);
        if was_mapped && !mapped {
            return (
                "registers-not-mapped",
                format!("it {verb} registers at 0x{address:x}, which were unmapped"),
            );
        }
        if let Some(Kind::Freed(_)) = self.region(address, 1).map(|region| &region.kind) {
            return ("freed-memory-touched", format!("it {verb} {place}"));
        }
        if let Some(region) = self.region_before(address) {
            return (
                "memory-overrun",
                format!(
                    "it {verb} {} bytes behind the end of {}",
                    address - region.start - region.length,
                    self.describe(region.start)
                ),
            );
        }
        ("page-fault", format!("it {verb} {place}"))
    }

    fn step(&mut self, registers: &mut Registers) {
        if let Some(access) = self.observation.read.take() {
            self.report_read(&access, registers);
        }
        let Some(offset) = self.image_offset(registers.rip) else {
            // The model's own code is not observed; the gate turns it on again.
            registers.rflags &= !TRAP_FLAG;
            return;
        };
        if !self.observation.on {
            registers.rflags &= !TRAP_FLAG;
            return;
        }
        self.observation.count += 1;
        if self.observation.cover {
            let offset = u32::try_from(offset).unwrap_or(u32::MAX);
            self.observation.covered.insert(offset);
        }
        let length = self.readable(registers.rip, LONGEST_INSTRUCTION);
        // SAFETY: these bytes lie in one section, which is accessible now.
        let code = unsafe { core::slice::from_raw_parts(registers.rip as *const u8, length) };
        if let Some(irql) = written_irql(code, registers) {
            self.set_irql(irql);
            return;
        }
        let Some(access) = access(code, registers) else {
            return;
        };
        let observed = match access.target {
            Target::Port(_) => true,
            Target::Memory(address) => self
                .region(address, 1)
                .is_some_and(|region| region.kind == Kind::Registers),
        };
        if !observed {
            return;
        }
        if let Target::Port(port) = access.target
            && !self.port_assigned(port, access.width)
        {
            let text = format!(
                "it touches port 0x{port:x}, {} wide, which is not assigned to a device that has \
                 its hardware; see \"Finding and Mapping Hardware Resources\"",
                access.width
            );
            self.stop_driver(registers, "port-not-assigned", &text);
            return;
        }
        if let Some(value) = access.written {
            let count = self.observation.count;
            self.observation.to_output.get_or_insert(count);
            let line = self.access_line("register_write", &access);
            self.report(line.hex("value", value));
        } else {
            self.observation.read = Some(access);
        }
    }

    /// How many of `length` bytes at `address` lie in its section and can be read.
    fn readable(&self, address: u64, length: usize) -> usize {
        (1..=length)
            .rev()
            .find(|length| {
                self.check_memory(address, *length as u64, false, "")
                    .is_ok()
            })
            .unwrap_or(0)
    }

    fn port_assigned(&self, port: u16, width: u8) -> bool {
        self.devices
            .iter()
            .filter(|device| device.has_resources)
            .flat_map(|device| &device.description.resources)
            .any(|resource| match *resource {
                Resource::Port { start, length } => u64::from(port)
                    .checked_sub(start)
                    .is_some_and(|offset| offset + u64::from(width) <= length.into()),
                Resource::Memory { .. } => false,
            })
    }

    fn access_line(&self, kind: &str, access: &Access) -> Line {
        let line = Line::new(kind);
        let line = match access.target {
            Target::Port(port) => line.hex("port", port),
            Target::Memory(address) => {
                let start = self.region(address, 1).map_or(0, |region| region.start);
                line.number("offset", address - start)
            }
        };
        line.number("width", access.width)
    }

    fn report_read(&mut self, access: &Access, registers: &Registers) {
        let value = value_of(registers, access.destination).unwrap_or(0) & mask(access.width);
        let line = self.access_line("register_read", access);
        self.report(line.hex("value", value));
    }

    /// Reports how many instructions a callback took.
    pub fn report_observation(&mut self, invocation: &Invocation) {
        if !self.observation.on || !self.bug_check {
            return;
        }
        let line = Line::new("observed")
            .text("callback", invocation.name)
            .number("instructions", self.observation.count);
        let line = match self.observation.to_output {
            Some(count) => line.number("instructions_to_output", count),
            None => line,
        };
        self.report(line);
    }

    /// Reports which instructions of the image ran, as offsets.
    pub fn report_coverage(&mut self) {
        if self.observation.cover {
            let covered = core::mem::take(&mut self.observation.covered);
            let offsets: Vec<_> = covered.iter().map(|offset| format!("{offset:x}")).collect();
            self.report(Line::new("covered").texts("offsets", offsets));
        }
    }
}
