//! The gate's assembly for the x64 calling convention.

use alloc::{borrow::ToOwned, format, vec::Vec};
use core::{
    arch::{asm, global_asm},
    sync::atomic::{AtomicU64, Ordering},
};

use crate::gate::{ARGUMENTS, Broken, Exit, NONVOLATILE, dispatch};

/// What the assembly below shares with the model.
#[repr(C)]
struct Context {
    /// The model's stack pointer while driver code runs, 0 otherwise.
    model_stack: AtomicU64,
    /// Not 0 while driver code is to be single-stepped.
    step: AtomicU64,
    /// Not 0 where there are AVX registers that may be used.
    avx: AtomicU64,
}

/// Before it was found out whether there are.
const UNKNOWN: u64 = u64::MAX;

static CONTEXT: Context = Context {
    model_stack: AtomicU64::new(0),
    step: AtomicU64::new(0),
    avx: AtomicU64::new(UNKNOWN),
};

/// Bytes of the driver's stack that [`enter`] itself takes: the arguments and
/// the return address.
pub const CALL_BYTES: u64 = 0x68;
/// MXCSR as Windows enters drivers with it.
const MXCSR: u64 = 0x1f80;
/// The control bits of MXCSR that have to be kept.
const MXCSR_CONTROL: u64 = 0xffc0;
const DIRECTION_FLAG: u64 = 0x400;

/// The registers with which driver code returned.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct Returned {
    /// The result, RAX.
    pub result: u64,
    general: [u64; 8],
    rsp: u64,
    rflags: u64,
    mxcsr: u64,
    xmm: [[u64; 2]; 10],
    upper: Upper,
    /// What FNSAVE stores: the environment, then eight registers of ten bytes.
    x87: [u32; 27],
    padding: u32,
}

/// The upper halves of the AVX registers.
type Upper = [[u64; 2]; 16];

impl Returned {
    /// Whether x87 or MMX registers were touched: what [`enter`] left there is no
    /// more, even if they are empty again.
    fn x87_touched(&self) -> bool {
        const ENVIRONMENT: usize = 28;
        const REGISTER: usize = 10;
        // The words for control (as FNINIT leaves it), status and tags (all empty).
        let environment = [self.x87[0], self.x87[1], self.x87[2]].map(|word| word & 0xffff);
        let bytes: Vec<u8> = self
            .x87
            .iter()
            .flat_map(|word| word.to_le_bytes())
            .collect();
        // The exponents are left out: emulators do not agree on what MMX leaves there.
        let kept = bytes[ENVIRONMENT..]
            .chunks(REGISTER)
            .all(|register| register[..8] == NONVOLATILE.to_le_bytes());
        environment != [0x37f, 0, 0xffff] || !kept
    }

    /// The first rule that the driver broke before it returned from a call on the
    /// stack that ends at `stack_top`.
    pub fn broken(&self, stack_top: u64) -> Option<Broken> {
        let (rule, what) = if let Some(what) = self.broken_convention(stack_top) {
            (
                "nonvolatile-changed",
                format!("with {what} changed; see \"x64 calling convention\""),
            )
        } else if self.x87_touched() {
            (
                "x87-touched",
                "with x87 or MMX registers changed; see \"Using Floating Point in a WDM Driver\""
                    .to_owned(),
            )
        } else if let Some(number) = touched(&self.upper) {
            (
                "avx-touched",
                format!(
                    "with the upper half of ymm{number} changed; see \"Using Extended Processor \
                     Features in Windows Drivers\""
                ),
            )
        } else {
            return None;
        };
        Some(Broken { rule, what })
    }

    /// The first thing that the x64 calling convention demands and that is not
    /// so, by name.
    fn broken_convention(&self, stack_top: u64) -> Option<&'static str> {
        const GENERAL: [&str; 8] = ["rbx", "rbp", "rdi", "rsi", "r12", "r13", "r14", "r15"];
        const VECTOR: [&str; 10] = [
            "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", "xmm11", "xmm12", "xmm13", "xmm14", "xmm15",
        ];
        let general = self.general.iter().position(|value| *value != NONVOLATILE);
        let vector = self.xmm.iter().position(|value| *value != [NONVOLATILE; 2]);
        let register = general
            .map(|index| GENERAL[index])
            .or_else(|| vector.map(|index| VECTOR[index]));
        if register.is_some() {
            register
        } else if self.rsp != stack_top - CALL_BYTES + 8 {
            Some("rsp")
        } else if self.rflags & DIRECTION_FLAG != 0 {
            Some("the direction flag")
        } else if (self.mxcsr ^ MXCSR) & MXCSR_CONTROL != 0 {
            Some("MXCSR")
        } else {
            None
        }
    }
}

/// The first register whose upper half is not as [`enter`] or the gate left it.
fn touched(upper: &Upper) -> Option<usize> {
    let there = CONTEXT.avx.load(Ordering::Relaxed) != 0;
    let kept = |value: &[u64; 2]| *value == [NONVOLATILE; 2];
    upper.iter().position(|value| there && !kept(value))
}

/// What the gate saves of a call from the driver.
#[repr(C)]
pub struct Frame {
    /// Which stub was called.
    pub index: u64,
    /// The driver's stack pointer: the flags, the return address, the caller's
    /// home space, the fifth argument.
    stack: u64,
    registers: [u64; 4],
    nonvolatile: [u64; 2],
    /// What the call gives back.
    pub result: u64,
    padding: u64,
    xmm: [[u64; 2]; 10],
    upper: Upper,
}

const _: () = assert!(size_of::<Frame>() == 0x1F0 && size_of::<Returned>() == 0x270);

impl Frame {
    /// Argument `index`, counted from 0.
    pub fn argument(&self, index: usize) -> u64 {
        self.registers
            .get(index)
            .copied()
            .unwrap_or_else(|| self.stack_word(2 + index))
    }

    /// The address that the call returns to.
    pub const fn caller(&self) -> u64 {
        self.stack_word(1)
    }

    /// The driver's stack pointer before the call instruction.
    pub const fn stack_before_call(&self) -> u64 {
        self.stack + 16
    }

    /// The first rule of the calling convention that the call breaks.
    pub fn broken(&self) -> Option<Broken> {
        let (rule, what) = if let Some(number) = touched(&self.upper) {
            (
                "avx-touched",
                format!(
                    "the upper half of ymm{number} was changed; see \"Using Extended Processor \
                     Features in Windows Drivers\""
                ),
            )
        } else if self.stack_word(0) & DIRECTION_FLAG != 0 {
            (
                "direction-flag-set",
                "the direction flag is set; see \"x64 calling convention\"".to_owned(),
            )
        } else if !self.stack_before_call().is_multiple_of(16) {
            (
                "stack-misaligned",
                "the stack is not aligned to 16 bytes; see \"x64 stack usage\"".to_owned(),
            )
        } else {
            return None;
        };
        Some(Broken { rule, what })
    }

    const fn stack_word(&self, index: usize) -> u64 {
        let address = (self.stack + index as u64 * 8) as *const u64;
        // SAFETY: the stack pointer is that of driver code that just called; the
        // words above it are its arguments. Reading beyond the stack's end meets
        // at most the words that `enter` reserves there.
        unsafe { address.read_unaligned() }
    }
}

unsafe extern "sysv64" {
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

/// Finds out whether the upper halves of AVX registers can be watched: where the
/// system has enabled them, as Linux does and the guest does not.
fn find_avx() {
    const OSXSAVE_AND_AVX: u32 = 3 << 27;
    /// SSE and AVX state.
    const ENABLED: u32 = 6;
    let features = core::arch::x86_64::__cpuid(1).ecx;
    let there = features & OSXSAVE_AND_AVX == OSXSAVE_AND_AVX && {
        let enabled: u32;
        // SAFETY: the processor has XGETBV when it says OSXSAVE.
        unsafe {
            asm!(
                "xgetbv",
                in("ecx") 0,
                out("eax") enabled,
                out("edx") _,
                options(nomem, nostack, preserves_flags)
            );
        };
        enabled & ENABLED == ENABLED
    };
    CONTEXT.avx.store(u64::from(there), Ordering::Relaxed);
}

/// Whether driver code is to be single-stepped from the next entry on.
pub fn set_stepping(on: bool) {
    CONTEXT.step.store(u64::from(on), Ordering::Relaxed);
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
    if CONTEXT.avx.load(Ordering::Relaxed) == UNKNOWN {
        find_avx();
    }
    // SAFETY: the caller's promise is the assembly's demand.
    let stopped = unsafe { nt_model_enter(target, arguments, stack_top, returned) };
    if stopped == 0 {
        Exit::Returned
    } else {
        Exit::Stopped
    }
}

global_asm!(
    ".globl nt_model_enter",
    "nt_model_enter:",
    "push rbp",
    "push rbx",
    "push r12",
    "push r13",
    "push r14",
    "push r15",
    "sub rsp, 8",
    "stmxcsr [rsp]",
    "push qword ptr [rip + {context}]",
    "push rcx",
    "mov [rip + {context}], rsp",
    "lea rsp, [rdx - 0x60]",
    ".irp at, 32, 40, 48, 56, 64, 72, 80, 88",
    "mov rax, [rsi + \\at]",
    "mov [rsp + \\at], rax",
    ".endr",
    "mov rax, rdi",
    "mov rcx, [rsi]",
    "mov rdx, [rsi + 8]",
    "mov r8, [rsi + 16]",
    "mov r9, [rsi + 24]",
    "movabs rbx, {nonvolatile}",
    ".irp register, rbp, rdi, rsi, r12, r13, r14, r15",
    "mov \\register, rbx",
    ".endr",
    "movq xmm6, rbx",
    "punpcklqdq xmm6, xmm6",
    ".irp register, xmm7, xmm8, xmm9, xmm10, xmm11, xmm12, xmm13, xmm14, xmm15",
    "movdqa \\register, xmm6",
    ".endr",
    "fninit",
    ".irp register, mm0, mm1, mm2, mm3, mm4, mm5, mm6, mm7",
    "movq \\register, rbx",
    ".endr",
    "emms",
    "call 6f",
    "cld",
    "cmp qword ptr [rip + {context} + 8], 0",
    "je 2f",
    "pushfq",
    "or qword ptr [rsp], 0x100",
    "popfq",
    "2:",
    "call rax",
    "mov r11, [rip + {context}]",
    "mov r10, [r11]",
    "mov [r10], rax",
    "mov [r10 + 8], rbx",
    "mov [r10 + 16], rbp",
    "mov [r10 + 24], rdi",
    "mov [r10 + 32], rsi",
    "mov [r10 + 40], r12",
    "mov [r10 + 48], r13",
    "mov [r10 + 56], r14",
    "mov [r10 + 64], r15",
    "mov [r10 + 72], rsp",
    // The driver may have left its stack pointer anywhere.
    "mov rsp, r11",
    "pushfq",
    "pop r11",
    "mov [r10 + 80], r11",
    "stmxcsr [r10 + 88]",
    "fnsave [r10 + 512]",
    "movups [r10 + 96], xmm6",
    "movups [r10 + 112], xmm7",
    "movups [r10 + 128], xmm8",
    "movups [r10 + 144], xmm9",
    "movups [r10 + 160], xmm10",
    "movups [r10 + 176], xmm11",
    "movups [r10 + 192], xmm12",
    "movups [r10 + 208], xmm13",
    "movups [r10 + 224], xmm14",
    "movups [r10 + 240], xmm15",
    "add r10, 256",
    "call 7f",
    "xor eax, eax",
    "jmp 3f",
    ".globl nt_model_stop",
    "nt_model_stop:",
    "mov eax, 1",
    "mov rsp, [rip + {context}]",
    "3:",
    "fninit",
    "cld",
    "pop rcx",
    "pop qword ptr [rip + {context}]",
    "ldmxcsr [rsp]",
    "add rsp, 8",
    "pop r15",
    "pop r14",
    "pop r13",
    "pop r12",
    "pop rbx",
    "pop rbp",
    "ret",
    ".globl nt_model_gate",
    "nt_model_gate:",
    "pushfq",
    "mov r10, rsp",
    "mov rsp, [rip + {context}]",
    "cld",
    "sub rsp, 0x1F0",
    "mov [rsp], rax",
    "mov [rsp + 0x08], r10",
    "mov [rsp + 0x10], rcx",
    "mov [rsp + 0x18], rdx",
    "mov [rsp + 0x20], r8",
    "mov [rsp + 0x28], r9",
    "mov [rsp + 0x30], rdi",
    "mov [rsp + 0x38], rsi",
    "movaps [rsp + 0x50], xmm6",
    "movaps [rsp + 0x60], xmm7",
    "movaps [rsp + 0x70], xmm8",
    "movaps [rsp + 0x80], xmm9",
    "movaps [rsp + 0x90], xmm10",
    "movaps [rsp + 0xA0], xmm11",
    "movaps [rsp + 0xB0], xmm12",
    "movaps [rsp + 0xC0], xmm13",
    "movaps [rsp + 0xD0], xmm14",
    "movaps [rsp + 0xE0], xmm15",
    "lea r10, [rsp + 0xF0]",
    "call 7f",
    "mov rdi, rsp",
    "call {dispatch}",
    "test eax, eax",
    "jnz nt_model_stop",
    "movaps xmm6, [rsp + 0x50]",
    "movaps xmm7, [rsp + 0x60]",
    "movaps xmm8, [rsp + 0x70]",
    "movaps xmm9, [rsp + 0x80]",
    "movaps xmm10, [rsp + 0x90]",
    "movaps xmm11, [rsp + 0xA0]",
    "movaps xmm12, [rsp + 0xB0]",
    "movaps xmm13, [rsp + 0xC0]",
    "movaps xmm14, [rsp + 0xD0]",
    "movaps xmm15, [rsp + 0xE0]",
    "mov rdi, [rsp + 0x30]",
    "mov rsi, [rsp + 0x38]",
    "mov rax, [rsp + 0x40]",
    "call 6f",
    "mov rsp, [rsp + 0x08]",
    "and qword ptr [rsp], -0x101",
    "cmp qword ptr [rip + {context} + 8], 0",
    "je 4f",
    "or qword ptr [rsp], 0x100",
    "4:",
    // Nothing in a volatile register survives a call.
    "movabs rcx, 0x7E57C0DE7E57C0DE",
    ".irp register, rdx, r8, r9, r10, r11",
    "mov \\register, rcx",
    ".endr",
    ".irp register, xmm0, xmm1, xmm2, xmm3, xmm4, xmm5",
    "pcmpeqd \\register, \\register",
    ".endr",
    "popfq",
    "ret",
    // Fills the upper halves of the AVX registers.
    "6:",
    "cmp qword ptr [rip + {context} + 16], 0",
    "je 8f",
    ".irp number, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15",
    "vinsertf128 ymm\\number, ymm\\number, [rip + nt_model_upper_halves], 1",
    ".endr",
    "8:",
    "ret",
    // Stores them at R10.
    "7:",
    "cmp qword ptr [rip + {context} + 16], 0",
    "je 8b",
    ".irp number, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15",
    "vextractf128 [r10 + \\number * 16], ymm\\number, 1",
    ".endr",
    // What the model does between is slow while they are in use.
    "vzeroupper",
    "ret",
    ".balign 16",
    "nt_model_upper_halves:",
    ".quad {nonvolatile}, {nonvolatile}",
    context = sym CONTEXT,
    dispatch = sym dispatch,
    nonvolatile = const NONVOLATILE,
);

/// The stubs that imports and function tables point at: 16 bytes each, behind
/// the gate's address.
pub fn stub_code(indices: &[u32]) -> alloc::vec::Vec<u8> {
    let mut code = alloc::vec![0; STUB_BYTES];
    code[..8].copy_from_slice(&gate_address().to_le_bytes());
    for index in indices {
        let here = code.len();
        let jump_end = i32::try_from(here + 11).unwrap_or(i32::MAX);
        code.push(0xB8); // mov eax, index
        code.extend_from_slice(&index.to_le_bytes());
        code.extend_from_slice(&[0xFF, 0x25]); // jmp [rip + …]
        code.extend_from_slice(&(-jump_end).to_le_bytes());
        code.resize(here + STUB_BYTES, 0xCC);
    }
    code
}

/// Bytes of one stub.
pub const STUB_BYTES: usize = 16;
