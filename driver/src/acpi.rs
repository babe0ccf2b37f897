//! What the device's ACPI control methods say.
//!
//! `RDPT` is evaluated. `WRPT` is looked for and never evaluated: it is a write
//! to a panic register. Both only advise, the register decides.

use core::ffi::c_void;

use pvpanic_protocol::acpi;
use wdk_sys::{
    _WDF_MEMORY_DESCRIPTOR_TYPE::WdfMemoryDescriptorTypeBuffer,
    DEVICE_REGISTRY_PROPERTY::DevicePropertyEnumeratorName, NTSTATUS, ULONG_PTR,
    WDF_MEMORY_DESCRIPTOR, WDFDEVICE, call_unsafe_wdf_function_binding,
};

use crate::size;

/// Bytes for the paths of all objects called `WRPT` below one device.
const ENUM_OUTPUT_SIZE: usize = 256;

/// Whether the device was enumerated by the ACPI driver, and so has an ACPI node
/// that is the device. IRQL: `PASSIVE_LEVEL`.
///
/// # Safety
///
/// `device` must be alive.
pub unsafe fn enumerated(device: WDFDEVICE) -> bool {
    const ACPI: [u16; 5] = [b'A' as u16, b'C' as u16, b'P' as u16, b'I' as u16, 0];
    let mut name = [0_u16; ACPI.len()];
    let mut length = 0;
    // SAFETY: the handle is alive, says the caller, and the buffer is as long as
    // said (Microsoft, "WdfDeviceQueryProperty"). Another enumerator's longer
    // name does not fit and fails.
    let status = unsafe {
        call_unsafe_wdf_function_binding!(
            WdfDeviceQueryProperty,
            device,
            DevicePropertyEnumeratorName,
            size::<[u16; ACPI.len()]>(),
            (&raw mut name).cast(),
            &raw mut length
        )
    };
    wdk::nt_success(status) && name == ACPI
}

/// Evaluates `RDPT`; [`None`] if there is none, it fails, or it answers anything
/// but one integer. IRQL: `PASSIVE_LEVEL`.
///
/// # Safety
///
/// `device` must be alive.
pub unsafe fn rdpt(device: WDFDEVICE) -> Option<u32> {
    let mut output = [0; acpi::EVAL_OUTPUT_SIZE];
    // SAFETY: the handle is alive, says the caller.
    let answer = unsafe {
        ask(
            device,
            acpi::IOCTL_ACPI_EVAL_METHOD,
            &mut acpi::eval_input(acpi::RDPT),
            &mut output,
        )
    };
    acpi::integer(answer?).ok()
}

/// Whether there is a `WRPT`. IRQL: `PASSIVE_LEVEL`.
///
/// # Safety
///
/// `device` must be alive.
pub unsafe fn has_wrpt(device: WDFDEVICE) -> bool {
    let mut output = [0; ENUM_OUTPUT_SIZE];
    // SAFETY: the handle is alive, says the caller.
    let answer = unsafe {
        ask(
            device,
            acpi::IOCTL_ACPI_ENUM_CHILDREN,
            &mut acpi::enum_input(acpi::WRPT),
            &mut output,
        )
    };
    answer.is_some_and(|answer| acpi::lists(answer, acpi::WRPT) == Ok(true))
}

/// Sends a request to the ACPI driver and answers the part of `output` that it
/// filled, or [`None`] if it failed.
///
/// # Safety
///
/// `device` must be alive.
unsafe fn ask<'output, const INPUT: usize, const OUTPUT: usize>(
    device: WDFDEVICE,
    request: u32,
    input: &mut [u8; INPUT],
    output: &'output mut [u8; OUTPUT],
) -> Option<&'output [u8]> {
    let mut written: ULONG_PTR = 0;
    // SAFETY: the handle is alive, says the caller.
    let target = unsafe { call_unsafe_wdf_function_binding!(WdfDeviceGetIoTarget, device) };
    let mut input = buffer(input);
    let mut filled = buffer(output);
    // SAFETY: at `PASSIVE_LEVEL` the request may be waited for; both buffers
    // outlive it (Microsoft, "WdfIoTargetSendIoctlSynchronously").
    let status: NTSTATUS = unsafe {
        call_unsafe_wdf_function_binding!(
            WdfIoTargetSendIoctlSynchronously,
            target,
            core::ptr::null_mut(),
            request,
            &raw mut input,
            &raw mut filled,
            core::ptr::null_mut(),
            &raw mut written
        )
    };
    if !wdk::nt_success(status) {
        return None;
    }
    output.get(..usize::try_from(written).ok()?)
}

/// `WDF_MEMORY_DESCRIPTOR_INIT_BUFFER`.
fn buffer<const SIZE: usize>(bytes: &mut [u8; SIZE]) -> WDF_MEMORY_DESCRIPTOR {
    let mut descriptor = WDF_MEMORY_DESCRIPTOR {
        Type: WdfMemoryDescriptorTypeBuffer,
        ..WDF_MEMORY_DESCRIPTOR::default()
    };
    descriptor.u.BufferType.Buffer = bytes.as_mut_ptr().cast::<c_void>();
    descriptor.u.BufferType.Length = size::<[u8; SIZE]>();
    descriptor
}
