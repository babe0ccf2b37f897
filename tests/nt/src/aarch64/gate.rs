//! The gate's assembly for the ARM64 calling convention of Windows.

use alloc::{borrow::ToOwned, format, vec::Vec};
use core::{
    arch::global_asm,
    mem::offset_of,
    sync::atomic::{AtomicU64, Ordering},
};

use crate::gate::{ARGUMENTS, Broken, Exit, NONVOLATILE, dispatch};

/// What the assembly below shares with the model.
#[repr(C)]
struct Context {
    /// The model's stack pointer while driver code runs, 0 otherwise.
    model_stack: AtomicU64,
    /// What is cleared in PSTATE when driver code goes on: the mask of single
    /// steps, where it is to be single-stepped.
    unmasked: AtomicU64,
}

static CONTEXT: Context = Context {
    model_stack: AtomicU64::new(0),
    unmasked: AtomicU64::new(0),
};

/// Bytes of the driver's stack that [`enter`] itself takes: the arguments.
pub const CALL_BYTES: u64 = 0x20;
/// Arguments that are passed in registers.
const IN_REGISTERS: usize = 8;

/// The registers with which driver code returned.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct Returned {
    /// The result, X0.
    pub result: u64,
    /// X18, which is Windows' own, to X29.
    general: [u64; 12],
    sp: u64,
    fpcr: u64,
    /// D8 to D15.
    vector: [u64; 8],
    padding: u64,
}

impl Returned {
    /// The first rule that the driver broke before it returned from a call on the
    /// stack that ends at `stack_top`.
    pub fn broken(&self, stack_top: u64) -> Option<Broken> {
        const GENERAL: [&str; 12] = [
            "x18", "x19", "x20", "x21", "x22", "x23", "x24", "x25", "x26", "x27", "x28", "x29",
        ];
        const VECTOR: [&str; 8] = ["d8", "d9", "d10", "d11", "d12", "d13", "d14", "d15"];
        let changed = |values: &[u64]| values.iter().position(|value| *value != NONVOLATILE);
        let register = changed(&self.general)
            .map(|index| GENERAL[index])
            .or_else(|| changed(&self.vector).map(|index| VECTOR[index]));
        let what = if let Some(register) = register {
            register
        } else if self.sp != stack_top - CALL_BYTES {
            "sp"
        } else if self.fpcr != 0 {
            "FPCR"
        } else {
            return None;
        };
        Some(Broken {
            rule: "nonvolatile-changed",
            what: format!("with {what} changed; see \"Overview of ARM64 ABI conventions\""),
        })
    }
}

/// What the gate saves of a call from the driver.
#[repr(C)]
pub struct Frame {
    /// Which stub was called.
    pub index: u64,
    /// The driver's stack pointer: the ninth argument.
    stack: u64,
    /// X30.
    caller: u64,
    registers: [u64; IN_REGISTERS],
    x18: u64,
    /// What the call gives back.
    pub result: u64,
    padding: u64,
}

const _: () = assert!(size_of::<Frame>() == 0x70 && size_of::<Returned>() == 0xC0);
const _: () = assert!(offset_of!(Frame, result) == 0x60 && offset_of!(Returned, vector) == 0x78);

impl Frame {
    /// Argument `index`, counted from 0.
    pub fn argument(&self, index: usize) -> u64 {
        self.registers.get(index).copied().unwrap_or_else(|| {
            let address = (self.stack + (index - IN_REGISTERS) as u64 * 8) as *const u64;
            // SAFETY: the stack pointer is that of driver code that just called; the
            // words above it are its arguments. Reading beyond the stack's end meets
            // at most the words that `enter` reserves there.
            unsafe { address.read_unaligned() }
        })
    }

    /// The address that the call returns to.
    pub const fn caller(&self) -> u64 {
        self.caller
    }

    /// The driver's stack pointer before the call instruction.
    pub const fn stack_before_call(&self) -> u64 {
        self.stack
    }

    /// The first rule of the calling convention that the call breaks.
    pub fn broken(&self) -> Option<Broken> {
        let (rule, what) = if !self.stack.is_multiple_of(16) {
            (
                "stack-misaligned",
                "the stack is not aligned to 16 bytes; see \"Overview of ARM64 ABI conventions\"",
            )
        } else if self.x18 != NONVOLATILE {
            (
                "nonvolatile-changed",
                "x18, which is Windows' own, was changed; see \"Overview of ARM64 ABI conventions\"",
            )
        } else {
            return None;
        };
        Some(Broken {
            rule,
            what: what.to_owned(),
        })
    }
}

unsafe extern "C" {
    fn nt_model_enter(
        target: u64,
        arguments: *const [u64; ARGUMENTS],
        stack_top: u64,
        returned: *mut Returned,
    ) -> u32;
    fn nt_model_gate();
    fn nt_model_stop();
}

/// The address that stubs jump to.
fn gate_address() -> u64 {
    nt_model_gate as *const () as u64
}

/// The address that an exception handler goes on at to stop driver code.
pub fn stop_address() -> u64 {
    nt_model_stop as *const () as u64
}

/// Whether driver code is to be single-stepped from the next entry on.
pub fn set_stepping(on: bool) {
    let unmasked = if on { super::MASKED } else { 0 };
    CONTEXT.unmasked.store(unmasked, Ordering::Relaxed);
}

/// Calls `target` with `arguments` on the stack that ends at `stack_top`.
///
/// # Safety
///
/// `target` must be code of a driver image that [`crate::kernel`] loaded, and
/// `stack_top` the 16-byte aligned end of writable memory of which at least a
/// page is free.
pub unsafe fn enter(
    target: u64,
    arguments: &[u64; ARGUMENTS],
    stack_top: u64,
    returned: &mut Returned,
) -> Exit {
    // SAFETY: the caller's promise is the assembly's demand.
    let stopped = unsafe { nt_model_enter(target, arguments, stack_top, returned) };
    if stopped == 0 {
        Exit::Returned
    } else {
        Exit::Stopped
    }
}

global_asm!(
    // The model is compiled without vector registers, the driver is not.
    ".arch_extension fp",
    ".arch_extension simd",
    // Goes on in driver code at X16, by an exception return: single steps begin with
    // its first instruction. Takes x9 to x11.
    ".macro nt_model_go_on",
    "adrp x9, {context}",
    "add x9, x9, :lo12:{context}",
    "ldr x9, [x9, #8]",
    "mrs x10, daif",
    "orr x10, x10, #{masked}",
    "bic x10, x10, x9",
    // At EL1, on the stack that the model runs on.
    "mrs x11, spsel",
    "orr x10, x10, x11",
    "orr x10, x10, #4",
    "msr spsr_el1, x10",
    "msr elr_el1, x16",
    ".endm",
    ".globl nt_model_enter",
    "nt_model_enter:",
    "stp x29, x30, [sp, #-0xC0]!",
    "stp x19, x20, [sp, #0x10]",
    "stp x21, x22, [sp, #0x20]",
    "stp x23, x24, [sp, #0x30]",
    "stp x25, x26, [sp, #0x40]",
    "stp x27, x28, [sp, #0x50]",
    "adrp x9, {context}",
    "add x9, x9, :lo12:{context}",
    "ldr x10, [x9]",
    "stp x10, x3, [sp, #0x60]",
    "mrs x10, daif",
    "stp x18, x10, [sp, #0x70]",
    "stp d8, d9, [sp, #0x80]",
    "stp d10, d11, [sp, #0x90]",
    "stp d12, d13, [sp, #0xA0]",
    "stp d14, d15, [sp, #0xB0]",
    "mov x10, sp",
    "str x10, [x9]",
    // The ninth argument and those behind it.
    "sub x12, x2, #0x20",
    "mov sp, x12",
    "ldp x9, x10, [x1, #0x40]",
    "stp x9, x10, [sp]",
    "ldp x9, x10, [x1, #0x50]",
    "stp x9, x10, [sp, #0x10]",
    "mov x16, x0",
    "mov x17, x1",
    "msr fpcr, xzr",
    "ldr x18, ={nonvolatile}",
    ".irp number, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29",
    "mov x\\number, x18",
    ".endr",
    ".irp number, 8, 9, 10, 11, 12, 13, 14, 15",
    "fmov d\\number, x18",
    ".endr",
    "adr x30, 1f",
    "nt_model_go_on",
    "ldp x0, x1, [x17]",
    "ldp x2, x3, [x17, #0x10]",
    "ldp x4, x5, [x17, #0x20]",
    "ldp x6, x7, [x17, #0x30]",
    "eret",
    "1:",
    "msr daifset, #8",
    "adrp x9, {context}",
    "add x9, x9, :lo12:{context}",
    "ldr x10, [x9]",
    "ldr x11, [x10, #0x68]",
    "stp x0, x18, [x11]",
    "stp x19, x20, [x11, #0x10]",
    "stp x21, x22, [x11, #0x20]",
    "stp x23, x24, [x11, #0x30]",
    "stp x25, x26, [x11, #0x40]",
    "stp x27, x28, [x11, #0x50]",
    "mov x12, sp",
    "stp x29, x12, [x11, #0x60]",
    "mrs x12, fpcr",
    "str x12, [x11, #0x70]",
    "stp d8, d9, [x11, #0x78]",
    "stp d10, d11, [x11, #0x88]",
    "stp d12, d13, [x11, #0x98]",
    "stp d14, d15, [x11, #0xA8]",
    "mov w0, wzr",
    "b 2f",
    ".globl nt_model_stop",
    "nt_model_stop:",
    "mov w0, #1",
    "2:",
    // The driver may have left its stack pointer anywhere.
    "adrp x9, {context}",
    "add x9, x9, :lo12:{context}",
    "ldr x10, [x9]",
    "mov sp, x10",
    "msr fpcr, xzr",
    "ldr x10, [sp, #0x60]",
    "str x10, [x9]",
    "ldp x18, x10, [sp, #0x70]",
    "msr daif, x10",
    "ldp d8, d9, [sp, #0x80]",
    "ldp d10, d11, [sp, #0x90]",
    "ldp d12, d13, [sp, #0xA0]",
    "ldp d14, d15, [sp, #0xB0]",
    "ldp x19, x20, [sp, #0x10]",
    "ldp x21, x22, [sp, #0x20]",
    "ldp x23, x24, [sp, #0x30]",
    "ldp x25, x26, [sp, #0x40]",
    "ldp x27, x28, [sp, #0x50]",
    "ldp x29, x30, [sp], #0xC0",
    "ret",
    ".globl nt_model_gate",
    "nt_model_gate:",
    "msr daifset, #8",
    "adrp x16, {context}",
    "add x16, x16, :lo12:{context}",
    "ldr x16, [x16]",
    "mov x15, sp",
    "sub x16, x16, #0x70",
    "mov sp, x16",
    "stp x17, x15, [sp]",
    "stp x30, x0, [sp, #0x10]",
    "stp x1, x2, [sp, #0x20]",
    "stp x3, x4, [sp, #0x30]",
    "stp x5, x6, [sp, #0x40]",
    "stp x7, x18, [sp, #0x50]",
    "mov x0, sp",
    "bl {dispatch}",
    "cbnz w0, nt_model_stop",
    "ldp x12, x30, [sp, #0x08]",
    "ldp x18, x0, [sp, #0x58]",
    "mov sp, x12",
    "mov x16, x30",
    "nt_model_go_on",
    // Nothing in a volatile register survives a call.
    "ldr x1, =0x7E57C0DE7E57C0DE",
    ".irp number, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17",
    "mov x\\number, x1",
    ".endr",
    ".irp number, 0, 1, 2, 3, 4, 5, 6, 7, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31",
    "movi v\\number\\().2d, #0xffffffffffffffff",
    ".endr",
    "eret",
    ".ltorg",
    context = sym CONTEXT,
    dispatch = sym dispatch,
    nonvolatile = const NONVOLATILE,
    masked = const super::MASKED,
);

/// The stubs that imports and function tables point at: 16 bytes each, behind
/// the gate's address.
pub fn stub_code(indices: &[u32]) -> Vec<u8> {
    /// `ldr x16, …`, `mov w17, #…`, `movk w17, #…, lsl #16`, `br x16`.
    const LOAD: u32 = 0x5800_0010;
    const LOW: u32 = 0x5280_0011;
    const HIGH: u32 = 0x72A0_0011;
    const JUMP: u32 = 0xD61F_0200;
    let mut code = alloc::vec![0; STUB_BYTES];
    code[..8].copy_from_slice(&gate_address().to_le_bytes());
    for index in indices {
        // In units of four bytes, 19 bits, back to the address.
        let back = u32::try_from(code.len() / 4).unwrap_or(0).wrapping_neg() & 0x7_FFFF;
        for instruction in [
            LOAD | back << 5,
            LOW | (index & 0xFFFF) << 5,
            HIGH | (index >> 16) << 5,
            JUMP,
        ] {
            code.extend_from_slice(&instruction.to_le_bytes());
        }
    }
    code
}

/// Bytes of one stub.
pub const STUB_BYTES: usize = 16;
