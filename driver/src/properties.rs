//! Device properties, for `Get-PnpDeviceProperty`.
//!
//! They outlive a stop, a restart and even the driver (Microsoft,
//! "`IoSetDevicePropertyData`": Windows 8 and later keep them all), so that they
//! are deleted before they are believed. Failing to write one never fails a start.

use core::{ffi::c_void, ptr};

use pvpanic_protocol::{capability::Capability, report::ReportDumpEnd};
use wdk_sys::{
    DEVPROP_TYPE_BYTE, DEVPROP_TYPE_EMPTY, DEVPROP_TYPE_NTSTATUS, DEVPROP_TYPE_UINT32,
    DEVPROP_TYPE_UINT64, DEVPROPID, DEVPROPKEY, DEVPROPTYPE, GUID, NTSTATUS,
    PLUGPLAY_PROPERTY_PERSISTENT, WDF_DEVICE_PROPERTY_DATA, WDFDEVICE,
    call_unsafe_wdf_function_binding,
};

use crate::{size, trace, warnings::Warnings};

/// The category of all keys: {8C5B1F0E-6D3A-4E27-9B41-52C7A90D3E16}.
const CATEGORY: GUID = GUID {
    Data1: 0x8C5B_1F0E,
    Data2: 0x6D3A,
    Data3: 0x4E27,
    Data4: [0x9B, 0x41, 0x52, 0xC7, 0xA9, 0x0D, 0x3E, 0x16],
};

/// The capability byte as it was read (`DEVPROP_TYPE_BYTE`).
const CAPABILITY: DEVPROPID = 2;
/// The events armed, as bits of the capability byte (`DEVPROP_TYPE_BYTE`).
const ARMED: DEVPROPID = 3;
/// The port or physical address of the register (`DEVPROP_TYPE_UINT64`).
const ADDRESS: DEVPROPID = 4;
/// [`Warnings`] (`DEVPROP_TYPE_UINT32`).
const WARNINGS: DEVPROPID = 5;
/// Why the last start was refused (`DEVPROP_TYPE_NTSTATUS`).
const REFUSAL: DEVPROPID = 6;
/// The `ReportDumpEnd` that the driver runs with (`DEVPROP_TYPE_BYTE`).
const REPORT_DUMP_END: DEVPROPID = 7;

/// What there is to tell of a device that has started.
pub struct Started {
    /// The capability byte as it was read.
    pub capability: u8,
    /// The events armed.
    pub armed: Capability,
    /// The port or physical address of the register.
    pub address: u64,
    /// What the driver was told to report of the end of a dump.
    pub report_dump_end: ReportDumpEnd,
    /// What was not as it should be.
    pub warnings: Warnings,
}

/// Deletes every property of this driver's. IRQL: `PASSIVE_LEVEL`.
///
/// # Safety
///
/// `device` must be alive.
pub unsafe fn delete_all(device: WDFDEVICE) {
    for key in CAPABILITY..=REPORT_DUMP_END {
        // SAFETY: the device is alive, says the caller; null deletes the property.
        // That fails for one that was never written, which is as good.
        let _ = unsafe { assign(device, key, DEVPROP_TYPE_EMPTY, 0, ptr::null_mut()) };
    }
}

/// Tells what was armed. IRQL: `PASSIVE_LEVEL`.
///
/// # Safety
///
/// `device` must be alive.
pub unsafe fn set_started(device: WDFDEVICE, started: &Started) {
    // SAFETY: the device is alive, says the caller.
    unsafe { set(device, CAPABILITY, DEVPROP_TYPE_BYTE, started.capability) };
    // SAFETY: as above.
    unsafe { set(device, ARMED, DEVPROP_TYPE_BYTE, started.armed.bits()) };
    // SAFETY: as above.
    unsafe { set(device, ADDRESS, DEVPROP_TYPE_UINT64, started.address) };
    let warnings = started.warnings.bits();
    // SAFETY: as above.
    unsafe { set(device, WARNINGS, DEVPROP_TYPE_UINT32, warnings) };
    let report_dump_end = started.report_dump_end as u8;
    // SAFETY: as above.
    unsafe { set(device, REPORT_DUMP_END, DEVPROP_TYPE_BYTE, report_dump_end) };
}

/// Tells why the device does not start. IRQL: `PASSIVE_LEVEL`.
///
/// # Safety
///
/// `device` must be alive.
pub unsafe fn set_refusal(device: WDFDEVICE, status: NTSTATUS) {
    // SAFETY: the device is alive, says the caller.
    unsafe { set(device, REFUSAL, DEVPROP_TYPE_NTSTATUS, status) };
}

/// # Safety
///
/// `device` must be alive and `T` a type of the kind that `kind` names.
unsafe fn set<T>(device: WDFDEVICE, key: DEVPROPID, kind: DEVPROPTYPE, mut value: T) {
    // SAFETY: the value is as long as said and outlives the call.
    let status = unsafe { assign(device, key, kind, size::<T>(), (&raw mut value).cast()) };
    if !wdk::nt_success(status) {
        trace::property_not_written(key, status);
    }
}

/// # Safety
///
/// `device` must be alive, and `data` null or `length` bytes long.
unsafe fn assign(
    device: WDFDEVICE,
    key: DEVPROPID,
    kind: DEVPROPTYPE,
    length: u32,
    data: *mut c_void,
) -> NTSTATUS {
    let key = DEVPROPKEY {
        fmtid: CATEGORY,
        pid: key,
    };
    let mut property = WDF_DEVICE_PROPERTY_DATA {
        Size: size::<WDF_DEVICE_PROPERTY_DATA>(),
        PropertyKey: &raw const key,
        Flags: PLUGPLAY_PROPERTY_PERSISTENT,
        ..WDF_DEVICE_PROPERTY_DATA::default()
    };
    // SAFETY: at `PASSIVE_LEVEL`, with a live device and buffers that outlive the
    // call (Microsoft, "WdfDeviceAssignProperty").
    unsafe {
        call_unsafe_wdf_function_binding!(
            WdfDeviceAssignProperty,
            device,
            &raw mut property,
            kind,
            length,
            data
        )
    }
}
