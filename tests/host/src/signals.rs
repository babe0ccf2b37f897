//! Exceptions of driver code, which arrive as signals.

use std::{cell::Cell, ptr};

use nt_model::{PAGE_SIZE, Registers, Trap, access, complete, trap};

use crate::device::with_bus;

const STACK_BYTES: usize = 256 * 1024;
const TRAP_FLAG: u64 = 0x100;
const HIGHEST_IRQL: u8 = 15;
const LONGEST_INSTRUCTION: usize = 15;
/// Exception vectors.
const PROTECTION: i64 = 13;
const PAGE_FAULT: i64 = 14;
/// The order of [`Registers`] in terms of the signal frame.
const ORDER: [usize; 18] = [
    libc::REG_RAX as usize,
    libc::REG_RCX as usize,
    libc::REG_RDX as usize,
    libc::REG_RBX as usize,
    libc::REG_RSP as usize,
    libc::REG_RBP as usize,
    libc::REG_RSI as usize,
    libc::REG_RDI as usize,
    libc::REG_R8 as usize,
    libc::REG_R9 as usize,
    libc::REG_R10 as usize,
    libc::REG_R11 as usize,
    libc::REG_R12 as usize,
    libc::REG_R13 as usize,
    libc::REG_R14 as usize,
    libc::REG_R15 as usize,
    libc::REG_RIP as usize,
    libc::REG_EFL as usize,
];

thread_local! {
    static INSTALLED: Cell<bool> = const { Cell::new(false) };
}

/// Installs the handlers, with a stack of their own for this thread, because a
/// fault may be one of the driver's stack.
pub fn install() {
    if INSTALLED.replace(true) {
        return;
    }
    let memory = Box::leak(vec![0_u8; STACK_BYTES].into_boxed_slice());
    let stack = libc::stack_t {
        ss_sp: memory.as_mut_ptr().cast(),
        ss_flags: 0,
        ss_size: STACK_BYTES,
    };
    // SAFETY: the memory is leaked, so it stays for as long as the thread.
    unsafe { libc::sigaltstack(&raw const stack, ptr::null_mut()) };
    // SAFETY: all zeros is an empty mask and no flags.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    action.sa_sigaction = handler as *const () as usize;
    action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK;
    for signal in [
        libc::SIGSEGV,
        libc::SIGBUS,
        libc::SIGTRAP,
        libc::SIGILL,
        libc::SIGFPE,
    ] {
        // SAFETY: the handler has the signature that SA_SIGINFO asks for.
        unsafe { libc::sigaction(signal, &raw const action, ptr::null_mut()) };
    }
}

extern "C" fn handler(signal: libc::c_int, _: *mut libc::siginfo_t, context: *mut libc::c_void) {
    // SAFETY: with SA_SIGINFO the third argument is a `ucontext_t` that is this
    // handler's alone.
    let context = unsafe { &mut *context.cast::<libc::ucontext_t>() };
    let frame = &mut context.uc_mcontext.gregs;
    let vector = frame[libc::REG_TRAPNO as usize];
    let address = frame[libc::REG_CR2 as usize].cast_unsigned();
    let write = frame[libc::REG_ERR as usize] & 2 != 0;
    let mut values = [0; 18];
    for (value, index) in values.iter_mut().zip(ORDER) {
        *value = frame[index].cast_unsigned();
    }
    let mut registers = from_array(values);
    if !handle(vector, address, write, &mut registers) {
        // Not the driver: let the process die of it.
        // SAFETY: the default action is always valid.
        unsafe { libc::signal(signal, libc::SIG_DFL) };
        return;
    }
    for (value, index) in to_array(&registers).into_iter().zip(ORDER) {
        frame[index] = value.cast_signed();
    }
}

const fn from_array(values: [u64; 18]) -> Registers {
    // SAFETY: `Registers` is 18 words in this order, by its definition.
    unsafe { std::mem::transmute(values) }
}

const fn to_array(registers: &Registers) -> [u64; 18] {
    // SAFETY: as above.
    unsafe { std::mem::transmute(*registers) }
}

fn handle(vector: i64, address: u64, write: bool, registers: &mut Registers) -> bool {
    match vector {
        1 => trap(registers, Trap::Step),
        PROTECTION if emulate(registers) => true,
        PAGE_FAULT if with_bus(|bus| bus.is_mapped(address)) && emulate(registers) => true,
        PAGE_FAULT => trap(registers, Trap::Page { address, write }),
        vector => {
            let vector = u8::try_from(vector).unwrap_or(u8::MAX);
            trap(registers, Trap::Exception { vector })
        }
    }
}

/// Carries out the instruction that a process may not: a port access, an access
/// to a register or the reading of CR8.
fn emulate(registers: &mut Registers) -> bool {
    // The page behind may be inaccessible. An instruction that crosses into it is
    // decoded from both, because then the processor has fetched both.
    let in_page = PAGE_SIZE - usize::try_from(registers.rip).unwrap_or(0) % PAGE_SIZE;
    emulate_with(registers, LONGEST_INSTRUCTION.min(in_page))
        || in_page < LONGEST_INSTRUCTION && emulate_with(registers, LONGEST_INSTRUCTION)
}

fn emulate_with(registers: &mut Registers, length: usize) -> bool {
    // SAFETY: the processor has just fetched the instruction at this address, and
    // the length is chosen so that all of it is on pages that it fetched from.
    let code = unsafe { std::slice::from_raw_parts(registers.rip as *const u8, length) };
    if let Some((write, register)) = moves_cr8(code) {
        let mut values = to_array(registers);
        if write {
            let irql = values[register].to_le_bytes()[0];
            if irql > HIGHEST_IRQL || !trap(registers, Trap::IrqlWrite { irql }) {
                return false;
            }
        } else {
            values[register] = with_bus(|bus| bus.irql.into());
            *registers = from_array(values);
        }
        registers.rip += 4;
    } else {
        let Some(access) = access(code, registers) else {
            return false;
        };
        let read = with_bus(|bus| {
            if let Some(value) = access.written {
                bus.write(access.target, access.width, value);
                0
            } else {
                bus.read(access.target, access.width)
            }
        });
        complete(&access, read, registers);
    }
    // The processor reports a single step only after the next instruction.
    if registers.rflags & TRAP_FLAG != 0 {
        trap(registers, Trap::Step);
    }
    true
}

/// For `mov reg, cr8` and `mov cr8, reg`: whether CR8 is written, and the number
/// of the register.
fn moves_cr8(code: &[u8]) -> Option<(bool, usize)> {
    match code {
        [
            prefix @ (0x44 | 0x45),
            0x0F,
            opcode @ (0x20 | 0x22),
            operand,
            ..,
        ] if operand & 0xF8 == 0xC0 => {
            let high = usize::from(*prefix & 1) * 8;
            Some((*opcode == 0x22, usize::from(operand & 7) + high))
        }
        _ => None,
    }
}
