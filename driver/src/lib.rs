//! `pvpanic.sys` tells the hypervisor that Windows has crashed.
//!
//! The path of a bug check is in [`bugcheck`]; everything else finds the
//! device's register ([`device`], [`resources`], [`acpi`]) and arms it.

#![no_std]

// Linked for its panic handler, which the compiler demands and nothing calls.
extern crate wdk_panic;

mod acpi;
mod arm;
mod bugcheck;
mod context;
mod device;
mod properties;
mod refusal;
mod register;
mod resources;
mod settings;
mod trace;
mod warnings;

use core::ptr;

use pvpanic_protocol::report::ReportDumpEnd;
use wdk_sys::{
    NTSTATUS, PCUNICODE_STRING, PDRIVER_OBJECT, PWDFDEVICE_INIT, STATUS_SUCCESS, ULONG,
    WDF_DRIVER_CONFIG, WDFDRIVER, WDFOBJECT, call_unsafe_wdf_function_binding,
};

use crate::context::{Context, TypeInfo};

/// What the driver keeps for all its devices.
struct DriverContext {
    report_dump_end: ReportDumpEnd,
}

static DRIVER_CONTEXT: TypeInfo = TypeInfo::new::<DriverContext>(c"DriverContext", &DRIVER_CONTEXT);

// SAFETY: no other type answers this static.
unsafe impl Context for DriverContext {
    fn type_info() -> &'static TypeInfo {
        &DRIVER_CONTEXT
    }
}

/// Registers the driver with the framework. IRQL: `PASSIVE_LEVEL`.
///
/// # Safety
///
/// Called by the framework's `FxDriverEntry`, once, with the arguments that
/// Windows gives to a driver (Microsoft, "`DriverEntry` for WDF Drivers").
#[unsafe(export_name = "DriverEntry")]
pub unsafe extern "system" fn driver_entry(
    driver: PDRIVER_OBJECT,
    registry_path: PCUNICODE_STRING,
) -> NTSTATUS {
    let mut config = WDF_DRIVER_CONFIG {
        Size: size::<WDF_DRIVER_CONFIG>(),
        EvtDriverDeviceAdd: Some(evt_driver_device_add),
        ..WDF_DRIVER_CONFIG::default()
    };
    // SAFETY: unregistered below if there is to be no driver object, and otherwise
    // when it is deleted, which is before the image is unloaded.
    unsafe { trace::register() };
    let mut attributes = context::attributes::<DriverContext>();
    attributes.EvtCleanupCallback = Some(evt_driver_cleanup);
    let mut handle: WDFDRIVER = ptr::null_mut();
    // SAFETY: the arguments are those of DriverEntry; the structures are copied.
    let status = unsafe {
        call_unsafe_wdf_function_binding!(
            WdfDriverCreate,
            driver,
            registry_path,
            &raw mut attributes,
            &raw mut config,
            &raw mut handle
        )
    };
    if !wdk::nt_success(status) {
        trace::driver_failed(status);
        trace::unregister();
        return status;
    }
    // SAFETY: the driver object was just created.
    let report_dump_end = unsafe { settings::report_dump_end(handle) };
    // SAFETY: it was created with this context.
    let context = unsafe { context::of::<DriverContext>(handle.cast()) };
    // SAFETY: no device is added before DriverEntry returns.
    unsafe { context.write(DriverContext { report_dump_end }) };
    STATUS_SUCCESS
}

/// Adds a device. IRQL: `PASSIVE_LEVEL`.
unsafe extern "C" fn evt_driver_device_add(driver: WDFDRIVER, init: PWDFDEVICE_INIT) -> NTSTATUS {
    // SAFETY: DriverEntry created the driver object with this context.
    let context = unsafe { context::of::<DriverContext>(driver.cast()) };
    // SAFETY: DriverEntry initialised it and nobody changes it since.
    let report_dump_end = unsafe { context.as_ref() }.report_dump_end;
    // SAFETY: `init` is this callback's.
    match unsafe { device::add(init, report_dump_end) } {
        Ok(()) => STATUS_SUCCESS,
        Err(status) => {
            trace::device_add_failed(status);
            status
        }
    }
}

/// The driver is about to be unloaded. IRQL: `PASSIVE_LEVEL` (Microsoft,
/// "`EVT_WDF_OBJECT_CONTEXT_CLEANUP`": so for driver objects).
unsafe extern "C" fn evt_driver_cleanup(_driver: WDFOBJECT) {
    trace::unregister();
}

/// The size of a structure, as the framework's `Size` fields take it.
#[expect(
    clippy::cast_possible_truncation,
    reason = "no structure of the framework is 4 GiB long"
)]
const fn size<T>() -> ULONG {
    size_of::<T>() as ULONG
}
