//! A device's life: add, prepare hardware, release hardware.
//!
//! There are no power callbacks: a device is armed from prepare to release, so
//! that a bug check during a power transition is reported too.

use core::{
    mem::{MaybeUninit, offset_of},
    ptr::{self, NonNull},
};

use pvpanic_protocol::{capability::Capability, report::ReportDumpEnd};
use wdk_sys::{
    _WDF_DEVICE_FAILED_ACTION::WdfDeviceFailedNoRestart,
    _WDF_FILEOBJECT_CLASS::WdfFileObjectWdfCannotUseFsContexts,
    _WDF_TRI_STATE::{WdfFalse, WdfUseDefault},
    NTSTATUS, PWDFDEVICE_INIT, STATUS_ACCESS_DENIED, STATUS_SUCCESS, WDF_DEVICE_STATE,
    WDF_FILEOBJECT_CONFIG, WDF_NO_OBJECT_ATTRIBUTES, WDF_PNPPOWER_EVENT_CALLBACKS, WDFCMRESLIST,
    WDFDEVICE, WDFFILEOBJECT, WDFREQUEST, call_unsafe_wdf_function_binding,
};

use crate::{
    acpi,
    arm::{arm, disarm},
    bugcheck::Reporter,
    context::{self, Context, TypeInfo},
    properties::{self, Started},
    refusal::Refusal,
    resources::Hardware,
    size, trace,
    warnings::Warnings,
};

/// What the driver keeps of one device, in nonpaged memory that does not move.
#[repr(C)]
struct DeviceContext {
    /// First, so that its address is the context's.
    state: State,
    /// Read by Windows and the callbacks while the device is armed.
    reporter: MaybeUninit<Reporter>,
}

/// What only the callbacks of Plug and Play touch, one at a time.
struct State {
    report_dump_end: ReportDumpEnd,
    hardware: Option<Hardware>,
    armed: Option<Capability>,
}

/// What the device offers after its ACPI methods were heard.
struct Advised {
    capability: Capability,
    warnings: Warnings,
}

static DEVICE_CONTEXT: TypeInfo = TypeInfo::new::<DeviceContext>(c"DeviceContext", &DEVICE_CONTEXT);

// SAFETY: no other type answers this static.
unsafe impl Context for DeviceContext {
    fn type_info() -> &'static TypeInfo {
        &DEVICE_CONTEXT
    }
}

/// Creates the device object: `EvtDriverDeviceAdd`. IRQL: `PASSIVE_LEVEL`.
///
/// # Errors
///
/// The status of `WdfDeviceCreate`.
///
/// # Safety
///
/// `init` must be what `EvtDriverDeviceAdd` was given.
pub unsafe fn add(
    mut init: PWDFDEVICE_INIT,
    report_dump_end: ReportDumpEnd,
) -> Result<(), NTSTATUS> {
    let mut callbacks = WDF_PNPPOWER_EVENT_CALLBACKS {
        Size: size::<WDF_PNPPOWER_EVENT_CALLBACKS>(),
        EvtDevicePrepareHardware: Some(evt_device_prepare_hardware),
        EvtDeviceReleaseHardware: Some(evt_device_release_hardware),
        ..WDF_PNPPOWER_EVENT_CALLBACKS::default()
    };
    // SAFETY: `init` is not used for a device yet; the structure is copied.
    unsafe {
        call_unsafe_wdf_function_binding!(
            WdfDeviceInitSetPnpPowerEventCallbacks,
            init,
            &raw mut callbacks
        );
    }
    let mut files = WDF_FILEOBJECT_CONFIG {
        Size: size::<WDF_FILEOBJECT_CONFIG>(),
        EvtDeviceFileCreate: Some(evt_device_file_create),
        AutoForwardCleanupClose: WdfUseDefault,
        FileObjectClass: WdfFileObjectWdfCannotUseFsContexts,
        ..WDF_FILEOBJECT_CONFIG::default()
    };
    // SAFETY: as above.
    unsafe {
        call_unsafe_wdf_function_binding!(
            WdfDeviceInitSetFileObjectConfig,
            init,
            &raw mut files,
            WDF_NO_OBJECT_ATTRIBUTES
        );
    }
    let mut attributes = context::attributes::<DeviceContext>();
    let mut device: WDFDEVICE = ptr::null_mut();
    // SAFETY: `init` is configured; on failure the framework frees it after this
    // callback.
    let status = unsafe {
        call_unsafe_wdf_function_binding!(
            WdfDeviceCreate,
            &raw mut init,
            &raw mut attributes,
            &raw mut device
        )
    };
    if !wdk::nt_success(status) {
        return Err(status);
    }
    // SAFETY: the device was just created with this context.
    let context = unsafe { context::of::<DeviceContext>(device.cast()) };
    let fresh = DeviceContext {
        state: State {
            report_dump_end,
            hardware: None,
            armed: None,
        },
        reporter: MaybeUninit::uninit(),
    };
    // SAFETY: no callback of the device runs before `EvtDriverDeviceAdd` returns.
    unsafe { context.write(fresh) };
    let mut state = WDF_DEVICE_STATE {
        Size: size::<WDF_DEVICE_STATE>(),
        Disabled: WdfUseDefault,
        DontDisplayInUI: WdfUseDefault,
        Failed: WdfUseDefault,
        NotDisableable: WdfFalse,
        Removed: WdfUseDefault,
        ResourcesChanged: WdfUseDefault,
    };
    // SAFETY: the device is alive; the structure is copied.
    unsafe { call_unsafe_wdf_function_binding!(WdfDeviceSetDeviceState, device, &raw mut state) };
    Ok(())
}

/// Finds the register and arms the device. IRQL: `PASSIVE_LEVEL`.
///
/// A failure is followed by `EvtDeviceReleaseHardware`, which undoes what was
/// done (Microsoft, "`EVT_WDF_DEVICE_PREPARE_HARDWARE`").
unsafe extern "C" fn evt_device_prepare_hardware(
    device: WDFDEVICE,
    _raw: WDFCMRESLIST,
    translated: WDFCMRESLIST,
) -> NTSTATUS {
    // SAFETY: the framework keeps the device alive in its callbacks.
    unsafe { properties::delete_all(device) };
    // SAFETY: device and list are those of this callback.
    match unsafe { start(device, translated) } {
        Ok(()) => STATUS_SUCCESS,
        Err(refusal) => {
            // SAFETY: as above.
            let (state, _) = unsafe { parts(device) };
            let address = state.hardware.map_or(0, |hardware| hardware.address);
            trace::device_refused(address, refusal.status());
            // SAFETY: as above.
            unsafe { properties::set_refusal(device, refusal.status()) };
            if refusal.is_lasting() {
                // SAFETY: as above; it keeps the framework from trying again.
                unsafe {
                    call_unsafe_wdf_function_binding!(
                        WdfDeviceSetFailed,
                        device,
                        WdfDeviceFailedNoRestart
                    );
                }
            }
            refusal.status()
        }
    }
}

/// Disarms the device and lets go of its register. IRQL: `PASSIVE_LEVEL`.
///
/// Runs on stop, removal, surprise removal and after a failed start, so that it
/// finds anything half done. Nothing is written to the device: it may be gone.
unsafe extern "C" fn evt_device_release_hardware(
    device: WDFDEVICE,
    _translated: WDFCMRESLIST,
) -> NTSTATUS {
    // SAFETY: the framework keeps the device alive in its callbacks.
    let (state, reporter) = unsafe { parts(device) };
    let hardware = state.hardware.take();
    if let Some(armed) = state.armed.take() {
        // SAFETY: `start` armed this reporter with these events. First of all:
        // the address may soon be somebody else's.
        unsafe { disarm(reporter, armed) };
        trace::device_stopped(hardware.map_or(0, |hardware| hardware.address));
        // SAFETY: as above. A refusal stays to be read until the next start.
        unsafe { properties::delete_all(device) };
    }
    if let Some(hardware) = hardware {
        // SAFETY: nothing is armed any more, so that nobody uses the register.
        unsafe { hardware.release() };
    }
    STATUS_SUCCESS
}

/// Refuses every open: the driver has nothing to say to programs, and a device
/// that can be opened can be attacked. IRQL: `PASSIVE_LEVEL`.
unsafe extern "C" fn evt_device_file_create(
    _device: WDFDEVICE,
    request: WDFREQUEST,
    _file: WDFFILEOBJECT,
) {
    // SAFETY: the request is this callback's to complete, once.
    unsafe {
        call_unsafe_wdf_function_binding!(WdfRequestComplete, request, STATUS_ACCESS_DENIED);
    }
}

/// # Safety
///
/// `device` and `translated` must be those of `EvtDevicePrepareHardware`.
unsafe fn start(device: WDFDEVICE, translated: WDFCMRESLIST) -> Result<(), Refusal> {
    // SAFETY: the device is alive, says the caller.
    let (state, reporter) = unsafe { parts(device) };
    // SAFETY: the list is valid, says the caller.
    let hardware = unsafe { Hardware::find(translated) }?;
    state.hardware = Some(hardware);
    // SAFETY: Windows assigned the register to this device.
    let byte = unsafe { hardware.register.read() };
    let offered = Capability::from_register(byte)?;
    // SAFETY: as above.
    let mut advised = unsafe { advise(device, offered) }?;
    // SAFETY: the reporter is in the nonpaged context, disarmed since it was
    // created or released, and the register is held until release.
    let armed = unsafe {
        arm(
            reporter,
            hardware.register,
            advised.capability,
            state.report_dump_end,
        )
    }
    .ok_or(Refusal::NotRegistered)?;
    state.armed = Some(armed);
    if armed != advised.capability {
        advised.warnings = advised.warnings.with(Warnings::NOT_ALL_REGISTERED);
    }
    trace::device_started(
        hardware.register.bus(),
        hardware.address,
        byte,
        armed,
        state.report_dump_end,
        advised.warnings,
    );
    let started = Started {
        capability: byte,
        armed,
        address: hardware.address,
        report_dump_end: state.report_dump_end,
        warnings: advised.warnings,
    };
    // SAFETY: as above.
    unsafe { properties::set_started(device, &started) };
    Ok(())
}

/// Holds what the register offers against the ACPI control methods.
///
/// # Safety
///
/// `device` must be alive.
unsafe fn advise(device: WDFDEVICE, offered: Capability) -> Result<Advised, Refusal> {
    let mut advised = Advised {
        capability: offered,
        warnings: Warnings::NONE,
    };
    // SAFETY: the device is alive, says the caller.
    if !unsafe { acpi::enumerated(device) } {
        return Ok(advised);
    }
    // SAFETY: as above.
    match unsafe { acpi::rdpt(device) } {
        Some(rdpt) => {
            advised.capability = offered.common(rdpt).ok_or(Refusal::Contradiction)?;
            if Capability::from_register(rdpt.to_le_bytes()[0]) != Ok(offered) {
                advised.warnings = advised.warnings.with(Warnings::RDPT_DIFFERS);
            }
        }
        None => advised.warnings = advised.warnings.with(Warnings::NO_RDPT),
    }
    // SAFETY: as above.
    if !unsafe { acpi::has_wrpt(device) } {
        advised.warnings = advised.warnings.with(Warnings::NO_WRPT);
    }
    Ok(advised)
}

/// The two parts of a device's context.
///
/// # Safety
///
/// `device` must be alive and the caller a Plug and Play callback of it, which
/// the framework runs one at a time.
unsafe fn parts<'context>(device: WDFDEVICE) -> (&'context mut State, NonNull<Reporter>) {
    // SAFETY: `add` created the device with this context.
    let context = unsafe { context::of::<DeviceContext>(device.cast()) };
    // SAFETY: the reporter is within the context.
    let reporter = unsafe { context.byte_add(offset_of!(DeviceContext, reporter)) };
    // SAFETY: the state is the first field, `add` initialised it, and nobody else
    // touches it now.
    let state = unsafe { context.cast::<State>().as_mut() };
    (state, reporter.cast())
}
