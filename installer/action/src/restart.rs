//! Whether a restart is needed: known to the deferred actions, which can't tell
//! Windows Installer, and told by an immediate one, which runs in another
//! process. Between the two there is an atom, which no file and no registry
//! value outlives.

use windows_sys::Win32::System::DataExchange::{GlobalAddAtomW, GlobalDeleteAtom, GlobalFindAtomW};
use windows_sys::core::w;

const NAME: *const u16 = w!("pvpanic.RestartNeeded");

/// A deferred action needs a restart.
pub fn remember() {
    // Added once, so that deleting it once is enough.
    forget();
    // SAFETY: the name is a constant with a zero at its end. Without memory for
    // an atom, the restart is in the log only.
    unsafe { GlobalAddAtomW(NAME) };
}

/// Some deferred action of this installation does.
pub fn is_needed() -> bool {
    // SAFETY: the name is a constant with a zero at its end.
    unsafe { GlobalFindAtomW(NAME) != 0 }
}

/// What an earlier installation left.
pub fn forget() {
    // SAFETY: the name is a constant with a zero at its end.
    let atom = unsafe { GlobalFindAtomW(NAME) };
    if atom != 0 {
        // SAFETY: the atom exists. It is added once, so that this deletes it.
        unsafe { GlobalDeleteAtom(atom) };
    }
}
