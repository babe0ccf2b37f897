//! x64.

pub mod gate;
pub mod instruction;

use object::pe;

/// The architecture's name.
pub const NAME: &str = "x64";
/// The machine type of its images.
pub const MACHINE: u16 = pe::IMAGE_FILE_MACHINE_AMD64;

const TRAP_FLAG: u64 = 0x100;
const DIRECTION_FLAG: u64 = 0x400;

/// The general registers of interrupted code, as a back end's exception handler
/// saved them and will restore them.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names are the processor's")]
pub struct Registers {
    pub rax: u64,
    pub rcx: u64,
    pub rdx: u64,
    pub rbx: u64,
    pub rsp: u64,
    pub rbp: u64,
    pub rsi: u64,
    pub rdi: u64,
    pub r8: u64,
    pub r9: u64,
    pub r10: u64,
    pub r11: u64,
    pub r12: u64,
    pub r13: u64,
    pub r14: u64,
    pub r15: u64,
    pub rip: u64,
    pub rflags: u64,
}

impl Registers {
    /// The address of the instruction that comes next.
    #[must_use]
    pub const fn next(&self) -> u64 {
        self.rip
    }

    /// Goes on at `address`, as code that is neither single-stepped nor has the
    /// direction flag set.
    pub const fn go_on_at(&mut self, address: u64) {
        self.rip = address;
        self.rflags &= !DIRECTION_FLAG;
        self.set_stepping(false);
    }

    /// Whether the next instruction is stepped through.
    pub const fn set_stepping(&mut self, on: bool) {
        if on {
            self.rflags |= TRAP_FLAG;
        } else {
            self.rflags &= !TRAP_FLAG;
        }
    }
}

/// What an exception is, by its vector.
pub const fn exception(vector: u8) -> &'static str {
    match vector {
        0 => "it divides by zero",
        3 => "it runs into a breakpoint",
        6 => "it runs into an invalid opcode: a panic or assertion of its own?",
        13 => "it does what the processor's protection forbids",
        _ => "it raises an exception",
    }
}
