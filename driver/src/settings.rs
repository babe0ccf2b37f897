//! What an administrator can set.

use pvpanic_protocol::report::ReportDumpEnd;
use wdk_sys::{
    KEY_READ, NTSTATUS, STATUS_OBJECT_NAME_NOT_FOUND, ULONG, UNICODE_STRING,
    WDF_NO_OBJECT_ATTRIBUTES, WDFDRIVER, WDFKEY, call_unsafe_wdf_function_binding,
};

use crate::trace;

/// `ReportDumpEnd`, as Windows spells strings.
const REPORT_DUMP_END: [u16; 13] = utf16(b"ReportDumpEnd");
/// Its length in bytes.
const REPORT_DUMP_END_BYTES: u16 = 26;
const _: () = assert!(size_of_val(&REPORT_DUMP_END) == REPORT_DUMP_END_BYTES as usize);

/// Reads the service value `Parameters\ReportDumpEnd` (`REG_DWORD`). Missing, of
/// another type or without a meaning, it counts as 0.
///
/// IRQL: `PASSIVE_LEVEL`.
///
/// # Safety
///
/// `driver` must be the framework's driver object.
pub unsafe fn report_dump_end(driver: WDFDRIVER) -> ReportDumpEnd {
    let mut key: WDFKEY = core::ptr::null_mut();
    // SAFETY: at `PASSIVE_LEVEL`, with a live handle (Microsoft,
    // "WdfDriverOpenParametersRegistryKey"; `IoOpenDriverRegistryKey` would need
    // Windows 10 1803).
    let status = unsafe {
        call_unsafe_wdf_function_binding!(
            WdfDriverOpenParametersRegistryKey,
            driver,
            KEY_READ,
            WDF_NO_OBJECT_ATTRIBUTES,
            &raw mut key
        )
    };
    if !wdk::nt_success(status) {
        return unread(status);
    }
    let mut spelling = REPORT_DUMP_END;
    let name = UNICODE_STRING {
        Length: REPORT_DUMP_END_BYTES,
        MaximumLength: REPORT_DUMP_END_BYTES,
        Buffer: spelling.as_mut_ptr(),
    };
    let mut value: ULONG = 0;
    // SAFETY: the key is open, the name and the value outlive the call.
    let status = unsafe {
        call_unsafe_wdf_function_binding!(
            WdfRegistryQueryULong,
            key,
            &raw const name,
            &raw mut value
        )
    };
    // SAFETY: opened above and not used after this.
    unsafe { call_unsafe_wdf_function_binding!(WdfRegistryClose, key) };
    if !wdk::nt_success(status) {
        return unread(status);
    }
    ReportDumpEnd::from_registry(value).unwrap_or_else(|| {
        trace::report_dump_end_refused(value);
        ReportDumpEnd::default()
    })
}

/// The default; traced unless the value is only not there.
fn unread(status: NTSTATUS) -> ReportDumpEnd {
    if status != STATUS_OBJECT_NAME_NOT_FOUND {
        trace::report_dump_end_unreadable(status);
    }
    ReportDumpEnd::default()
}

/// ASCII as UTF-16.
const fn utf16<const LENGTH: usize>(ascii: &[u8; LENGTH]) -> [u16; LENGTH] {
    let mut wide = [0; LENGTH];
    let mut index = 0;
    while index < LENGTH {
        wide[index] = ascii[index] as u16;
        index += 1;
    }
    wide
}
