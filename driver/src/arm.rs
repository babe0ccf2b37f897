//! Registers and deregisters a device's bug-check callbacks.

use core::{cell::UnsafeCell, mem::zeroed, ptr::NonNull};

use pvpanic_protocol::{
    capability::{Capability, Event},
    report::{Progress, ReportDumpEnd},
};
use wdk_sys::{
    _KBUGCHECK_CALLBACK_REASON::KbCallbackDumpIo,
    KBUGCHECK_CALLBACK_RECORD, KBUGCHECK_REASON_CALLBACK_RECORD,
    ntddk::{
        KeDeregisterBugCheckCallback, KeDeregisterBugCheckReasonCallback,
        KeRegisterBugCheckCallback, KeRegisterBugCheckReasonCallback,
    },
};

use crate::{
    bugcheck::{Reporter, on_bug_check, on_dump_io},
    register::Register,
    size,
};

/// A reporter's records, as Windows takes them. The pointers are made from the
/// whole reporter, which `on_dump_io` reaches through its record.
struct Records {
    dump_io: *mut KBUGCHECK_REASON_CALLBACK_RECORD,
    bug_check: *mut KBUGCHECK_CALLBACK_RECORD,
}

impl Records {
    /// # Safety
    ///
    /// `reporter` must be valid.
    unsafe fn of(reporter: NonNull<Reporter>) -> Self {
        let reporter = reporter.as_ptr();
        Self {
            // SAFETY: a field of a valid reporter.
            dump_io: unsafe { &raw mut (*reporter).dump_io }.cast(),
            // SAFETY: as above.
            bug_check: unsafe { &raw mut (*reporter).bug_check }.cast(),
        }
    }
}

/// Registers a callback for each event that the device offers, and answers the
/// events armed: [`None`] if no callback could be registered.
///
/// IRQL: `PASSIVE_LEVEL`.
///
/// # Safety
///
/// `reporter` must be nonpaged memory that is not armed and stays valid until
/// [`disarm`]; the register must be the device's until then.
pub unsafe fn arm(
    reporter: NonNull<Reporter>,
    register: Register,
    capability: Capability,
    report_dump_end: ReportDumpEnd,
) -> Option<Capability> {
    let component = c"pvpanic".as_ptr().cast_mut().cast();
    let fresh = Reporter {
        // SAFETY: all zeroes is what `KeInitializeCallbackRecord` makes of a
        // record: `State` is `BufferEmpty`.
        dump_io: UnsafeCell::new(unsafe { zeroed() }),
        // SAFETY: as above.
        bug_check: UnsafeCell::new(unsafe { zeroed() }),
        register,
        progress: Progress::new(report_dump_end),
    };
    // SAFETY: nothing in this memory is registered, says the caller.
    unsafe { reporter.write(fresh) };
    // SAFETY: reporter is valid, says the caller.
    let records = unsafe { Records::of(reporter) };
    let mut armed = 0;
    if capability.offers(Event::Panicked) {
        // SAFETY: record, buffer and component are resident and stay where they
        // are until `disarm` (Microsoft, "KeRegisterBugCheckCallback").
        let registered = unsafe {
            KeRegisterBugCheckCallback(
                records.bug_check,
                Some(on_bug_check),
                reporter.as_ptr().cast(),
                size::<Reporter>(),
                component,
            )
        };
        if registered != 0 {
            armed |= Event::Panicked as u8;
        }
    }
    if capability.offers(Event::CrashLoaded) {
        // SAFETY: as above (Microsoft, "KeRegisterBugCheckReasonCallback").
        let registered = unsafe {
            KeRegisterBugCheckReasonCallback(
                records.dump_io,
                Some(on_dump_io),
                KbCallbackDumpIo,
                component,
            )
        };
        if registered != 0 {
            armed |= Event::CrashLoaded as u8;
        }
    }
    Capability::from_register(armed).ok()
}

/// Takes back what [`arm`] registered and answered as `armed`.
///
/// IRQL: `PASSIVE_LEVEL`.
///
/// # Safety
///
/// `armed` must be the answer of [`arm`] for `reporter`.
pub unsafe fn disarm(reporter: NonNull<Reporter>, armed: Capability) {
    // SAFETY: `arm` wrote it.
    let records = unsafe { Records::of(reporter) };
    if armed.offers(Event::CrashLoaded) {
        // SAFETY: registered by `arm` and touched by nobody but Windows since.
        unsafe { KeDeregisterBugCheckReasonCallback(records.dump_io) };
    }
    if armed.offers(Event::Panicked) {
        // SAFETY: as above.
        unsafe { KeDeregisterBugCheckCallback(records.bug_check) };
    }
}
