//! ARM64.

pub mod gate;
pub mod instruction;

use object::pe;

/// The architecture's name.
pub const NAME: &str = "ARM64";
/// The machine type of its images.
pub const MACHINE: u16 = pe::IMAGE_FILE_MACHINE_ARM64;

/// PSTATE: a single step is due after the next instruction; single steps are
/// masked.
const STEP: u64 = 1 << 21;
const MASKED: u64 = 1 << 9;

/// The general registers of interrupted code, as a back end's exception handler
/// saved them and will restore them.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names are the processor's")]
pub struct Registers {
    pub x: [u64; 31],
    pub sp: u64,
    pub pc: u64,
    pub pstate: u64,
}

impl Registers {
    /// The address of the instruction that comes next.
    #[must_use]
    pub const fn next(&self) -> u64 {
        self.pc
    }

    /// Goes on at `address`, as code that is not single-stepped.
    pub const fn go_on_at(&mut self, address: u64) {
        self.pc = address;
        self.set_stepping(false);
    }

    /// Whether the next instruction is stepped through.
    pub const fn set_stepping(&mut self, on: bool) {
        if on {
            self.pstate = self.pstate & !MASKED | STEP;
        } else {
            self.pstate = self.pstate & !STEP | MASKED;
        }
    }
}

/// What an exception is, by its class (`ESR_EL1.EC`).
pub const fn exception(class: u8) -> &'static str {
    match class {
        0x00 => "it runs into an invalid opcode: a panic or assertion of its own?",
        0x25 => "it makes an access that is not aligned as it has to be",
        0x3C => "it runs into a breakpoint: a division by zero or an assertion of its own?",
        _ => "it raises an exception",
    }
}
