//! What runs at the bug check, and nothing else.
//!
//! Windows calls [`on_dump_io`] for every write of the crash dump and
//! [`on_bug_check`] at the end, at `HIGH_LEVEL` with all other processors
//! stopped: no allocation, no lock, no pageable memory and no routine that needs
//! a lower IRQL is allowed there (Microsoft, "`KBUGCHECK_CALLBACK_ROUTINE`",
//! "Writing a Bug Check Reason Callback Routine"). Nothing is called here at all. `IOCTL_ACPI_EVAL_METHOD` needs an IRQL below
//! `DISPATCH_LEVEL`, so that `WRPT` can't be evaluated here: the callbacks do
//! the store that it does.

use core::{cell::UnsafeCell, mem::offset_of};

use pvpanic_protocol::{capability::Event, report::Progress};
use wdk_sys::{
    _KBUGCHECK_DUMP_IO_TYPE::KbDumpIoComplete, KBUGCHECK_CALLBACK_REASON,
    KBUGCHECK_CALLBACK_RECORD, KBUGCHECK_DUMP_IO, KBUGCHECK_REASON_CALLBACK_RECORD,
    PKBUGCHECK_REASON_CALLBACK_RECORD, PVOID, ULONG,
};

use crate::register::Register;

/// One armed device. It lives in the device's context, which is nonpaged and
/// does not move; while it is registered only Windows touches the records.
#[repr(C)]
pub struct Reporter {
    /// First, so that its address is the reporter's.
    pub dump_io: UnsafeCell<KBUGCHECK_REASON_CALLBACK_RECORD>,
    pub bug_check: UnsafeCell<KBUGCHECK_CALLBACK_RECORD>,
    pub register: Register,
    pub progress: Progress,
}

const _: () = assert!(offset_of!(Reporter, dump_io) == 0);

/// A part of the crash dump is about to be written. IRQL: `HIGH_LEVEL`.
pub unsafe extern "C" fn on_dump_io(
    _reason: KBUGCHECK_CALLBACK_REASON,
    record: PKBUGCHECK_REASON_CALLBACK_RECORD,
    data: PVOID,
    _length: ULONG,
) {
    // SAFETY: `record` is the one that `arm` registered, the first field of a
    // reporter that stays where it is until it is deregistered.
    let reporter = unsafe { &*record.cast::<Reporter>() };
    if reporter.progress.dump_write() {
        // SAFETY: the register is this device's until `disarm`.
        unsafe { reporter.register.write(Event::CrashLoaded) };
    }
    // SAFETY: for `KbCallbackDumpIo` the data is a `KBUGCHECK_DUMP_IO`
    // (Microsoft, "`KBUGCHECK_REASON_CALLBACK_ROUTINE`").
    let dump_io = unsafe { &*data.cast::<KBUGCHECK_DUMP_IO>() };
    if dump_io.Type == KbDumpIoComplete {
        reporter.progress.dump_complete();
    }
}

/// The dump is over, or there is none. IRQL: `HIGH_LEVEL`.
pub unsafe extern "C" fn on_bug_check(buffer: PVOID, _length: ULONG) {
    // SAFETY: `buffer` is what `arm` registered: a reporter that stays where it
    // is until it is deregistered.
    let reporter = unsafe { &*buffer.cast::<Reporter>() };
    if reporter.progress.after_dump() {
        // SAFETY: the register is this device's until `disarm`.
        unsafe { reporter.register.write(Event::Panicked) };
    }
}
