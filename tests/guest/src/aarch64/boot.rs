//! From QEMU's loader and the entry in boot.s to [`run::run`], and the end.

use super::{board, uart};
use crate::{
    fw_cfg,
    run::{self, Exit},
};
use core::{
    arch::{asm, global_asm},
    convert::Infallible,
    iter,
};

global_asm!(include_str!("boot.s"));

/// Where boot.s arrives, with translation on, on the boot stack.
///
/// # Safety
///
/// This is called once, by boot.s.
#[unsafe(no_mangle)]
unsafe extern "C" fn start() -> ! {
    // SAFETY: boot.s has mapped the first 4 GiB.
    let Some(board) = (unsafe { board::find() }) else {
        // There is nothing yet to tell it with.
        stand_still();
    };
    uart::initialise(board.uart);
    super::fw_cfg::initialise(board.fw_cfg);
    // SAFETY: boot.s has mapped the first 4 GiB, and nothing but the image runs.
    unsafe {
        run::run(
            iter::once(board.memory.clone()),
            || Ok::<_, Infallible>(board),
            fw_cfg::read,
        )
    }
}

/// Ends the run: stands still until the host ends QEMU.
pub fn end(_: Exit) -> ! {
    stand_still()
}

fn stand_still() -> ! {
    loop {
        // SAFETY: with all interrupts masked the processor waits for good.
        unsafe { asm!("wfi", options(nomem, nostack, preserves_flags)) };
    }
}
