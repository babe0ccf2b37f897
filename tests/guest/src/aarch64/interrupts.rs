//! Exceptions: those of driver code go to the model, any other ends the run.
//! Interrupts stay masked.

use crate::run;
use alloc::vec;
use core::{
    arch::{asm, global_asm},
    sync::atomic::{AtomicBool, Ordering},
};
use nt_model::{Registers, Trap};

global_asm!(include_str!("exceptions.s"));

/// Bytes of the stack that exceptions run on: the model works on it.
const STACK_SIZE: usize = 64 << 10;

/// The vector of a synchronous exception of code on `SP_EL0`.
const SYNCHRONOUS: u64 = 0;

/// Classes of exceptions (Arm Architecture Reference Manual, `ESR_EL1.EC`).
const INSTRUCTION_ABORT: u8 = 0x21;
const DATA_ABORT: u8 = 0x25;
const STEP: u8 = 0x33;

/// `ESR_EL1` of an abort: the access was a write; the kinds of faults that
/// translation raises, without the level.
const WRITE: u64 = 1 << 6;
const FAULT: u64 = 0x3C;
const TRANSLATION: u64 = 0x04;
const ACCESS: u64 = 0x08;
const PERMISSION: u64 = 0x0C;

/// `MDSCR_EL1`: single steps, at EL1 too, wherever they are not masked.
const SINGLE_STEP: u64 = 1 | 1 << 13;

/// An exception is being handled: another one is the guest's own.
static BUSY: AtomicBool = AtomicBool::new(false);

unsafe extern "C" {
    /// The vector table of exceptions.s.
    static exception_vectors: u8;
}

/// Takes exceptions on a stack of their own, for good.
pub fn enable() {
    let stack = vec![0_u128; STACK_SIZE / size_of::<u128>()].leak();
    let end = stack.as_ptr_range().end;
    let vectors = &raw const exception_vectors;
    // SAFETY: the guest runs on SP_EL0, so that nothing is on the stack that is
    // replaced; the table is complete.
    unsafe {
        asm!(
            "msr spsel, #1",
            "mov sp, {end}",
            "msr spsel, #0",
            "msr vbar_el1, {vectors}",
            "msr oslar_el1, xzr",
            "msr mdscr_el1, {step}",
            "isb",
            end = in(reg) end,
            vectors = in(reg) vectors,
            step = in(reg) SINGLE_STEP,
            options(preserves_flags)
        );
    };
}

/// Makes `irql` the current IRQL: interrupts are masked anyway, and no page says
/// where Windows keeps it.
pub const fn set_irql(_irql: u8) {}

/// Where exceptions.s arrives; what it returns to is what `registers` holds at
/// the end.
#[unsafe(no_mangle)]
extern "C" fn exception(registers: &mut Registers, vector: u64, syndrome: u64, address: u64) {
    let class = (syndrome >> 26 & 0x3F) as u8;
    let trap = match class {
        _ if vector != SYNCHRONOUS => None,
        STEP => Some(Trap::Step),
        INSTRUCTION_ABORT | DATA_ABORT
            if matches!(syndrome & FAULT, TRANSLATION | ACCESS | PERMISSION) =>
        {
            Some(Trap::Page {
                address,
                write: class == DATA_ABORT && syndrome & WRITE != 0,
            })
        }
        vector => Some(Trap::Exception { vector }),
    };
    let first = !BUSY.swap(true, Ordering::Relaxed);
    let handled = first && trap.is_some_and(|trap| nt_model::trap(registers, trap));
    if !handled {
        run::stop(format_args!(
            "exception {vector} in the guest at {:#x}, ESR {syndrome:#x}, FAR {address:#x}",
            registers.next()
        ));
    }
    BUSY.store(false, Ordering::Relaxed);
}
