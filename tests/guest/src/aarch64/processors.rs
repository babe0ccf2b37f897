//! Starting other processors, by PSCI (Arm DEN0022, `CPU_ON`).

use super::board::board;
use crate::processors;
use core::{arch::asm, hint::spin_loop};

/// `CPU_ON` in the 64-bit calling convention.
const CPU_ON: u64 = 0xC400_0003;

/// Turns of a loop.
const PATIENCE: u32 = 100_000_000;

unsafe extern "C" {
    /// Where boot.s takes a processor.
    static processor_start: u8;
}

/// Starts the processors one after the other, as far as they come.
pub fn start_all() {
    let Some(board) = board() else { return };
    for (number, id) in (1..).zip(board.processors.into_iter().skip(1).flatten()) {
        processors::make_stack();
        turn_on(id, board.hypervisor_call);
        let arrived = (0..PATIENCE).any(|_| {
            spin_loop();
            processors::has_arrived(number)
        });
        if !arrived {
            break;
        }
    }
}

/// Asks PSCI to start a processor; whether it comes says whether it worked.
fn turn_on(id: u64, hypervisor_call: bool) {
    let start = &raw const processor_start;
    if hypervisor_call {
        // SAFETY: the processor begins in boot.s, on a stack of its own.
        unsafe {
            asm!(
                "hvc #0",
                inout("x0") CPU_ON => _, in("x1") id, in("x2") start, in("x3") 0,
                clobber_abi("C")
            );
        };
    } else {
        // SAFETY: as above.
        unsafe {
            asm!(
                "smc #0",
                inout("x0") CPU_ON => _, in("x1") id, in("x2") start, in("x3") 0,
                clobber_abi("C")
            );
        };
    }
}
