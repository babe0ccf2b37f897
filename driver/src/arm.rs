//! Registers and deregisters a device's bug-check callbacks.

use core::{cell::UnsafeCell, mem::zeroed, ptr::NonNull};

use pvpanic_protocol::{
    capability::{Capability, Event},
    report::{Progress, ReportDumpEnd},
};
use wdk_sys::{
    _KBUGCHECK_CALLBACK_REASON::KbCallbackDumpIo,
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
    // SAFETY: just written; the records in it are behind cells.
    let shared = unsafe { reporter.as_ref() };
    let mut armed = 0;
    if capability.offers(Event::Panicked) {
        // SAFETY: record, buffer and component are resident and stay where they
        // are until `disarm` (Microsoft, "KeRegisterBugCheckCallback").
        let registered = unsafe {
            KeRegisterBugCheckCallback(
                shared.bug_check.get(),
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
                shared.dump_io.get(),
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
    let shared = unsafe { reporter.as_ref() };
    if armed.offers(Event::CrashLoaded) {
        // SAFETY: registered by `arm` and touched by nobody but Windows since.
        unsafe { KeDeregisterBugCheckReasonCallback(shared.dump_io.get()) };
    }
    if armed.offers(Event::Panicked) {
        // SAFETY: as above.
        unsafe { KeDeregisterBugCheckCallback(shared.bug_check.get()) };
    }
}
