//! ETW events of the provider `PvPanic`. They are TraceLogging events: WPR,
//! `tracelog` and `logman` decode them without a manifest.
//!
//! Everything here runs at `PASSIVE_LEVEL`; nothing is traced at `HIGH_LEVEL`.
//! Tracing never fails a start: a provider that could not be registered stays
//! silent.

use core::{
    ffi::CStr,
    ptr,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
};

use pvpanic_protocol::{
    capability::Capability,
    report::ReportDumpEnd,
    tracelogging::{
        self, CHANNEL, EVENT_METADATA, Field, Kind, PROVIDER_ID, PROVIDER_METADATA, PROVIDER_NAME,
        event_size, provider_size,
    },
};
use wdk_sys::{
    EVENT_DATA_DESCRIPTOR, EVENT_DESCRIPTOR, GUID, NTSTATUS,
    ntddk::{EtwRegister, EtwUnregister, EtwWriteTransfer},
};

use crate::warnings::Warnings;

const ID: GUID = {
    let [a, b, c, d, e, f, g, h, data4 @ ..] = PROVIDER_ID.to_be_bytes();
    GUID {
        Data1: u32::from_be_bytes([a, b, c, d]),
        Data2: u16::from_be_bytes([e, f]),
        Data3: u16::from_be_bytes([g, h]),
        Data4: data4,
    }
};

static METADATA: [u8; provider_size(PROVIDER_NAME)] = tracelogging::provider(PROVIDER_NAME);

/// The registration, or 0. The one thing that the driver keeps outside of
/// framework objects: events are written before there is one.
static REGISTRATION: AtomicU64 = AtomicU64::new(0);

const VERSION: &[u8] = concat!(env!("CARGO_PKG_VERSION"), "\0").as_bytes();

/// `WINEVENT_LEVEL_…`.
#[derive(Clone, Copy)]
enum Level {
    Error = 2,
    Warning = 3,
    Informational = 4,
}

/// Writes one event. The values must be as long as their kinds say.
macro_rules! write_event {
    ($level:ident, $name:literal $(, $field:literal: $kind:ident = $value:expr)*) => {{
        const FIELDS: &[Field] = &[$(($field, Kind::$kind)),*];
        static EVENT: [u8; event_size($name, FIELDS)] = tracelogging::event($name, FIELDS);
        write(Level::$level, &mut [
            data(&METADATA, PROVIDER_METADATA),
            data(&EVENT, EVENT_METADATA),
            $(data($value, 0)),*
        ]);
    }};
}

/// Registers the provider. IRQL: `PASSIVE_LEVEL`.
///
/// # Safety
///
/// [`unregister`] must be called before the image is unloaded: ETW would go on
/// to look after a provider that is gone (Microsoft, "`EtwRegister`").
pub unsafe fn register() {
    let mut registration = 0;
    // SAFETY: no callback is given, so that ETW keeps nothing of the image but
    // the registration, which the caller takes back.
    let status = unsafe { EtwRegister(&ID, None, ptr::null_mut(), &raw mut registration) };
    if wdk::nt_success(status) {
        REGISTRATION.store(registration, Relaxed);
    }
}

/// Unregisters the provider. IRQL: `PASSIVE_LEVEL`.
pub fn unregister() {
    let registration = REGISTRATION.swap(0, Relaxed);
    if registration != 0 {
        // SAFETY: registered, and taken out above, so that it is done once. It
        // can only fail for a registration that is none.
        let _ = unsafe { EtwUnregister(registration) };
    }
}

/// The driver could not be registered with the framework.
pub fn driver_failed(status: NTSTATUS) {
    write_event!(Error, "DriverFailed",
        "DriverVersion": String = VERSION,
        "Status": NtStatus = &status.to_le_bytes());
}

/// `ReportDumpEnd` has a value without a meaning and counts as 0.
pub fn report_dump_end_refused(value: u32) {
    write_event!(Warning, "ReportDumpEndRefused", "Value": U32 = &value.to_le_bytes());
}

/// `ReportDumpEnd` could not be read, or is no `REG_DWORD`, and counts as 0.
pub fn report_dump_end_unreadable(status: NTSTATUS) {
    write_event!(Warning, "ReportDumpEndUnreadable", "Status": NtStatus = &status.to_le_bytes());
}

/// The device object could not be created.
pub fn device_add_failed(status: NTSTATUS) {
    write_event!(Error, "DeviceAddFailed", "Status": NtStatus = &status.to_le_bytes());
}

/// The device is armed.
pub fn device_started(
    bus: &CStr,
    address: u64,
    capability: u8,
    armed: Capability,
    report_dump_end: ReportDumpEnd,
    warnings: Warnings,
) {
    write_event!(Informational, "DeviceStarted",
        "DriverVersion": String = VERSION,
        "Bus": String = bus.to_bytes_with_nul(),
        "Address": Hex64 = &address.to_le_bytes(),
        "Capability": Hex8 = &[capability],
        "Armed": Hex8 = &[armed.bits()],
        "ReportDumpEnd": Hex8 = &[report_dump_end as u8]);
    if warnings != Warnings::NONE {
        write_event!(Warning, "DeviceWarnings",
            "Address": Hex64 = &address.to_le_bytes(),
            "Warnings": Hex32 = &warnings.bits().to_le_bytes());
    }
}

/// The device does not start. `address` is 0 where none was found.
pub fn device_refused(address: u64, status: NTSTATUS) {
    write_event!(Error, "DeviceRefused",
        "Address": Hex64 = &address.to_le_bytes(),
        "Status": NtStatus = &status.to_le_bytes());
}

/// A device property could not be written. The device reports all the same.
pub fn property_not_written(key: u32, status: NTSTATUS) {
    write_event!(Warning, "PropertyNotWritten",
        "Key": U32 = &key.to_le_bytes(),
        "Status": NtStatus = &status.to_le_bytes());
}

/// The device is disarmed.
pub fn device_stopped(address: u64) {
    write_event!(Informational, "DeviceStopped", "Address": Hex64 = &address.to_le_bytes());
}

fn data(bytes: &[u8], kind: u32) -> EVENT_DATA_DESCRIPTOR {
    EVENT_DATA_DESCRIPTOR {
        // Exposed, because ETW reads through it.
        Ptr: bytes.as_ptr().expose_provenance() as u64,
        Size: u32::try_from(bytes.len()).unwrap_or_default(),
        Reserved: kind,
    }
}

fn write(level: Level, data: &mut [EVENT_DATA_DESCRIPTOR]) {
    let registration = REGISTRATION.load(Relaxed);
    if registration == 0 {
        return;
    }
    let descriptor = EVENT_DESCRIPTOR {
        Channel: CHANNEL,
        Level: level as u8,
        ..EVENT_DESCRIPTOR::default()
    };
    // SAFETY: registered; descriptor and data outlive the call, which copies them
    // (Microsoft, "EtwWriteTransfer"). Nothing depends on the event being heard.
    let _ = unsafe {
        EtwWriteTransfer(
            registration,
            &raw const descriptor,
            ptr::null(),
            ptr::null(),
            u32::try_from(data.len()).unwrap_or_default(),
            data.as_mut_ptr(),
        )
    };
}
