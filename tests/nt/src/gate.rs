//! The border between the model and the driver: the only way in is
//! [`arch::gate::enter`], the only way back is a stub that jumps to the gate.
//!
//! Driver code runs on a stack of its own with Windows' calling convention. The
//! gate changes to the model's stack, so that what the model needs is not counted
//! as the driver's stack use, and so that a broken rule ends the call at once:
//! the model's stack pointer is put back and `enter` returns [`Exit::Stopped`].
//! Its assembly is the processor's own.

use alloc::string::String;

use crate::arch;

pub use crate::arch::gate::{
    CALL_BYTES, Frame, Returned, STUB_BYTES, enter, set_stepping, stop_address, stub_code,
};

/// Arguments that can be passed to the driver.
pub const ARGUMENTS: usize = 12;
/// What every nonvolatile register holds when the driver is entered.
pub const NONVOLATILE: u64 = 0x5A17_ED00_C0DE_F00D;

/// How driver code was left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// It returned.
    Returned,
    /// The model stopped it.
    Stopped,
}

/// A rule of the calling convention that is broken, and what is wrong.
pub struct Broken {
    /// The rule.
    pub rule: &'static str,
    /// What is wrong, as the second half of a sentence.
    pub what: String,
}

/// Carries out one call of the driver. Not 0: stop the driver.
pub extern "C" fn dispatch(frame: &mut arch::gate::Frame) -> u32 {
    crate::kernel::dispatch(frame).map_or(1, |result| {
        frame.result = result;
        0
    })
}
