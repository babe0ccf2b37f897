//! Plug and Play and power: which callbacks a KMDF function driver gets, and in
//! which order (Microsoft's page "`PnP` and Power Management Scenarios").

use alloc::{format, string::String};

use crate::{
    kernel::{Invocation, Kernel, Mapping, State, Stop, violation},
    kmdf_driver::DRIVER_UNLOAD,
    layout::PnpPowerCallbacks,
    machine::DeviceDescription,
    memory::Kind,
    object::Class,
    report::Line,
    status::{STATUS_SUCCESS, STATUS_UNSUCCESSFUL, is_success},
};

/// Where a device stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// No driver is attached.
    Bare,
    /// It works.
    Started,
    /// It was stopped for new resources.
    Stopped,
    /// Its start failed.
    Failed,
    /// The administrator disabled it.
    Disabled,
    /// It is no longer there.
    Gone,
}

/// A device and what the framework keeps of it.
#[derive(Clone, Debug)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a state that Windows keeps on its own"
)]
pub struct Device {
    pub description: DeviceDescription,
    pub phase: Phase,
    pub handle: u64,
    /// The `WDFDEVICE_INIT` while `EvtDriverDeviceAdd` runs.
    pub init: u64,
    pub callbacks: PnpPowerCallbacks,
    pub file_create: u64,
    pub sddl: String,
    pub can_be_disabled: bool,
    /// `WdfDeviceSetFailed` was called, and with `WdfDeviceFailedNoRestart`.
    pub failed: bool,
    pub restart_refused: bool,
    /// Between prepare and release hardware.
    pub has_resources: bool,
    pub wdm_object: u64,
    asleep: bool,
    io_begun: bool,
    lists: [u64; 2],
}

const POWER_D3: u64 = 4;
const POWER_D3_FINAL: u64 = 5;
/// A failed start is tried again this often (`WDF_DEVICE_FAILED_ACTION`).
const RESTARTS: u32 = 5;
const DRIVER_OBJECT_SIZE: u64 = 0x150;
const DRIVER_EXTENSION_SIZE: u64 = 0x50;

impl Device {
    fn new(description: DeviceDescription) -> Self {
        Self {
            description,
            phase: Phase::Bare,
            handle: 0,
            init: 0,
            callbacks: PnpPowerCallbacks::default(),
            file_create: 0,
            sddl: String::new(),
            can_be_disabled: true,
            failed: false,
            restart_refused: false,
            has_resources: false,
            wdm_object: 0,
            asleep: false,
            io_begun: false,
            lists: [0; 2],
        }
    }
}

impl State<'_> {
    /// Whether the driver lets an administrator disable device `index`; where it
    /// does not, that is reported.
    pub fn can_be_disabled(&mut self, index: usize) -> bool {
        let device = &self.devices[index];
        let allowed = device.phase != Phase::Started || device.can_be_disabled;
        if !allowed {
            let line = Line::new("not_disabled").text("id", &device.description.id);
            self.report(line);
        }
        allowed
    }
}

fn low_status(result: u64) -> u32 {
    u32::try_from(result & 0xffff_ffff).unwrap_or(STATUS_UNSUCCESSFUL)
}

/// Lists the devices that the driver is for; new ones are reported. The result
/// is the numbers of those that have gone.
pub fn enumerate(kernel: &Kernel<'_>, matches: &[String]) -> alloc::vec::Vec<usize> {
    kernel.with(|state| {
        let present = state.machine.devices();
        for description in &present {
            let wanted = matches.is_empty()
                || description
                    .hardware_ids
                    .iter()
                    .any(|id| matches.iter().any(|want| want.eq_ignore_ascii_case(id)));
            if !wanted {
                continue;
            }
            let known = state.devices.iter_mut().find(|device| {
                device.description.id == description.id && device.phase != Phase::Gone
            });
            if let Some(known) = known {
                // Other resources take effect at the next start.
                if !known.has_resources {
                    known.description = description.clone();
                }
                continue;
            }
            state.devices.push(Device::new(description.clone()));
            state.report(
                Line::new("device")
                    .text("id", &description.id)
                    .texts("hardware_ids", &description.hardware_ids),
            );
        }
        (0..state.devices.len())
            .filter(|index| {
                let device = &state.devices[*index];
                device.phase != Phase::Gone
                    && !present.iter().any(|p| p.id == device.description.id)
            })
            .collect()
    })
}

/// Loads the image and calls its entry point. The result is the status.
///
/// # Errors
///
/// The rule that it broke.
pub fn enter_driver(kernel: &Kernel<'_>) -> Result<u32, Stop> {
    let (entry, object, path) = kernel.with(|state| {
        let object = state.allocate(DRIVER_OBJECT_SIZE, Kind::Windows("the DRIVER_OBJECT"));
        let extension = state.allocate(DRIVER_EXTENSION_SIZE, Kind::Windows("a DRIVER_EXTENSION"));
        let text: alloc::vec::Vec<u8> =
            "\\REGISTRY\\MACHINE\\SYSTEM\\ControlSet001\\Services\\driver"
                .encode_utf16()
                .flat_map(u16::to_le_bytes)
                .collect();
        let length = text.len() as u64;
        let buffer = state.allocate(length + 2, Kind::Windows("the registry path"));
        let path = state.allocate(16, Kind::Windows("the registry path"));
        let (Some(object), Some(extension), Some(buffer), Some(path)) =
            (object, extension, buffer, path)
        else {
            return Err(violation("no-memory", "no memory for the driver object"));
        };
        let what = "the driver object";
        let image = state
            .image
            .as_ref()
            .map(|image| (image.base, image.size, image.entry));
        let (base, size, entry) = image.unwrap_or_default();
        // Type IO_TYPE_DRIVER and Size, DriverStart, DriverSize, DriverExtension.
        state.write(object, 4_u16, what)?;
        state.write(object + 2, 0x150_u16, what)?;
        state.write(object + 0x18, base, what)?;
        state.write(object + 0x20, u32::try_from(size).unwrap_or(0), what)?;
        state.write(object + 0x30, extension, what)?;
        state.write(object + 0x58, entry, what)?;
        state.write(extension, object, what)?;
        state.write_bytes(buffer, &text, what)?;
        let short = u16::try_from(length).unwrap_or(0);
        state.write(path, short, what)?;
        state.write(path + 2, short + 2, what)?;
        state.write(path + 8, buffer, what)?;
        state.driver_object = object;
        state.registry_path = path;
        Ok((entry, object, path))
    })?;
    let status = kernel.call(&Invocation::new("DriverEntry", entry, &[object, path]))?;
    let status = low_status(status);
    kernel.with(|state| {
        state.discard_sections();
        state.report(Line::new("loaded").status("status", status));
    });
    if !is_success(status) {
        leave_driver(kernel)?;
    }
    Ok(status)
}

/// Checks that nothing is left of the driver, and takes its image away.
fn leave_driver(kernel: &Kernel<'_>) -> Result<(), Stop> {
    kernel.with(|state| {
        state.check_left_at_unload()?;
        if let Some(image) = state.image.take() {
            for region in &mut state.regions {
                if matches!(region.kind, Kind::Headers | Kind::Section(_)) {
                    region.kind = Kind::Freed("the unloaded image".into());
                }
            }
            let count = usize::try_from(image.size).unwrap_or(0) / crate::PAGE_SIZE;
            if let Some(start) = core::ptr::NonNull::new(image.base as *mut u8) {
                state.machine.protect(start, count, crate::Protection::None);
            }
        }
        for device in &mut state.devices {
            if device.phase != Phase::Gone {
                device.phase = Phase::Bare;
            }
        }
        Ok(())
    })
}

/// Removes what devices there are and unloads the driver.
///
/// # Errors
///
/// The rule that it broke.
pub fn unload(kernel: &Kernel<'_>) -> Result<(), Stop> {
    for index in 0..kernel.with(|state| state.devices.len()) {
        remove(kernel, index, "unload")?;
    }
    let (routine, object) = kernel.with(|state| {
        let routine = state.read::<u64>(state.driver_object + DRIVER_UNLOAD, "DRIVER_OBJECT");
        routine.map(|routine| (routine, state.driver_object))
    })?;
    if routine == 0 {
        return Err(violation(
            "no-unload-routine",
            "the driver has no DriverUnload routine, so it can't be unloaded",
        ));
    }
    kernel.call(&Invocation::new("DriverUnload", routine, &[object]))?;
    leave_driver(kernel)?;
    kernel.with(|state| state.report(Line::new("unloaded")));
    Ok(())
}

/// Calls a callback on behalf of device `index`.
fn call(
    kernel: &Kernel<'_>,
    index: usize,
    name: &'static str,
    target: u64,
    arguments: &[u64],
) -> Result<u32, Stop> {
    kernel.with(|state| state.current = Some(index));
    let result = kernel.call_if(&Invocation::new(name, target, arguments), 0);
    kernel.with(|state| state.current = None);
    result.map(low_status)
}

fn callbacks(kernel: &Kernel<'_>, index: usize) -> (u64, PnpPowerCallbacks) {
    kernel.with(|state| {
        let device = &state.devices[index];
        (device.handle, device.callbacks)
    })
}

/// Adds the driver to the device and starts it, with KMDF's restarts.
///
/// # Errors
///
/// The rule that it broke.
pub fn start(kernel: &Kernel<'_>, index: usize) -> Result<(), Stop> {
    let mut attempts = 0;
    let status = loop {
        attempts += 1;
        let (status, again) = start_once(kernel, index)?;
        if is_success(status) || !again || attempts > RESTARTS {
            break status;
        }
    };
    kernel.with(|state| {
        let device = &mut state.devices[index];
        let started = is_success(status) && device.handle != 0;
        device.phase = if started {
            Phase::Started
        } else {
            Phase::Failed
        };
        let line = Line::new("started")
            .text("id", &device.description.id)
            .status("status", status)
            .flag("started", started)
            .number("attempts", attempts);
        state.report(line);
    });
    Ok(())
}

/// One attempt; the second result is whether KMDF would make another.
fn start_once(kernel: &Kernel<'_>, index: usize) -> Result<(u32, bool), Stop> {
    let (driver, add, init) = kernel.with(|state| {
        let init = state.allocate(16, Kind::Windows("a WDFDEVICE_INIT"));
        let init = init.ok_or_else(|| violation("no-memory", "no memory for a WDFDEVICE_INIT"))?;
        let device = &mut state.devices[index];
        *device = Device::new(device.description.clone());
        device.init = init;
        Ok((state.framework.driver, state.framework.device_add, init))
    })?;
    let mut status = call(kernel, index, "EvtDriverDeviceAdd", add, &[driver, init])?;
    let created = kernel.with(|state| {
        state.devices[index].init = 0;
        state.free(init, "a WDFDEVICE_INIT that was used".into());
        state.devices[index].handle != 0
    });
    if is_success(status) && !created {
        return Ok((status, false));
    }
    let added = is_success(status);
    if added {
        status = start_hardware(kernel, index)?;
        if is_success(status) {
            return Ok((status, false));
        }
    }
    delete(kernel, index)?;
    let again = added && kernel.with(|state| !state.devices[index].restart_refused);
    Ok((status, again))
}

/// Prepare hardware and D0 entry; on failure everything is undone.
fn start_hardware(kernel: &Kernel<'_>, index: usize) -> Result<u32, Stop> {
    let lists = kernel.with(|state| {
        let handle = state.devices[index].handle;
        let raw = state.create_object(Class::Resources(index), handle, 0)?;
        let translated = state.create_object(Class::Resources(index), handle, 0)?;
        let description = state.devices[index].description.clone();
        state.machine.set_decode(&description, true);
        let device = &mut state.devices[index];
        device.lists = [raw, translated];
        device.has_resources = true;
        Ok([raw, translated])
    })?;
    let (handle, callbacks) = callbacks(kernel, index);
    let status = call(
        kernel,
        index,
        "EvtDevicePrepareHardware",
        callbacks.prepare,
        &[handle, lists[0], lists[1]],
    )?;
    let status = if is_success(status) {
        power_up(kernel, index, POWER_D3_FINAL)?
    } else {
        status
    };
    if !is_success(status) {
        release_hardware(kernel, index)?;
    }
    Ok(status)
}

fn power_up(kernel: &Kernel<'_>, index: usize, from: u64) -> Result<u32, Stop> {
    let (handle, callbacks) = callbacks(kernel, index);
    let steps = [
        ("EvtDeviceD0Entry", callbacks.d0_entry),
        (
            "EvtDeviceD0EntryPostInterruptsEnabled",
            callbacks.d0_entry_post,
        ),
    ];
    for (name, target) in steps {
        let status = call(kernel, index, name, target, &[handle, from])?;
        if !is_success(status) {
            return Ok(status);
        }
    }
    let begun = kernel.with(|state| core::mem::replace(&mut state.devices[index].io_begun, true));
    if begun {
        let target = callbacks.io_restart;
        call(
            kernel,
            index,
            "EvtDeviceSelfManagedIoRestart",
            target,
            &[handle],
        )
    } else {
        let target = callbacks.io_init;
        call(
            kernel,
            index,
            "EvtDeviceSelfManagedIoInit",
            target,
            &[handle],
        )
    }
}

fn power_down(kernel: &Kernel<'_>, index: usize, to: u64) -> Result<(), Stop> {
    let (handle, callbacks) = callbacks(kernel, index);
    call(
        kernel,
        index,
        "EvtDeviceSelfManagedIoSuspend",
        callbacks.io_suspend,
        &[handle],
    )?;
    let name = "EvtDeviceD0ExitPreInterruptsDisabled";
    call(kernel, index, name, callbacks.d0_exit_pre, &[handle, to])?;
    call(
        kernel,
        index,
        "EvtDeviceD0Exit",
        callbacks.d0_exit,
        &[handle, to],
    )?;
    Ok(())
}

fn release_hardware(kernel: &Kernel<'_>, index: usize) -> Result<(), Stop> {
    let (handle, callbacks) = callbacks(kernel, index);
    let translated = kernel.with(|state| state.devices[index].lists[1]);
    call(
        kernel,
        index,
        "EvtDeviceReleaseHardware",
        callbacks.release,
        &[handle, translated],
    )?;
    kernel.with(|state| {
        let device = &mut state.devices[index];
        device.has_resources = false;
        let lists = core::mem::take(&mut device.lists);
        let description = device.description.clone();
        if let Some(mapping) = state.mappings.iter().find(|m| m.owner == Some(index)) {
            return Err(violation(
                "mapping-left-at-release",
                format!(
                    "{} is without its hardware, but {} bytes of its registers are still mapped; \
                     see \"EVT_WDF_DEVICE_RELEASE_HARDWARE callback function\"",
                    description.id, mapping.length
                ),
            ));
        }
        if let Some(record) = state.record_left(Some(index)) {
            return Err(violation(
                "record-left-at-release",
                format!(
                    "{} is without its hardware, but {record} is still registered: its callback \
                     would touch registers that may belong to another device",
                    description.id
                ),
            ));
        }
        for list in lists {
            state.delete_object(list);
        }
        state.machine.set_decode(&description, false);
        Ok(())
    })?;
    kernel.finish_pending()
}

/// Deletes the device object with its context.
fn delete(kernel: &Kernel<'_>, index: usize) -> Result<(), Stop> {
    kernel.with(|state| {
        let handle = core::mem::take(&mut state.devices[index].handle);
        if handle != 0 {
            state.delete_object(handle);
        }
        state.current = Some(index);
    });
    kernel.finish_pending()?;
    kernel.with(|state| state.current = None);
    Ok(())
}

/// Stops a device for other resources.
///
/// # Errors
///
/// The rule that the driver broke.
pub fn stop(kernel: &Kernel<'_>, index: usize) -> Result<(), Stop> {
    if kernel.with(|state| state.devices[index].phase != Phase::Started) {
        return Ok(());
    }
    power_down(kernel, index, POWER_D3_FINAL)?;
    release_hardware(kernel, index)?;
    kernel.with(|state| state.devices[index].phase = Phase::Stopped);
    Ok(())
}

/// Starts a stopped device again.
///
/// # Errors
///
/// The rule that the driver broke.
pub fn restart(kernel: &Kernel<'_>, index: usize) -> Result<(), Stop> {
    let status = start_hardware(kernel, index)?;
    kernel.with(|state| {
        let device = &mut state.devices[index];
        device.phase = if is_success(status) {
            Phase::Started
        } else {
            Phase::Failed
        };
        let line = Line::new("started")
            .text("id", &device.description.id)
            .status("status", status)
            .flag("started", is_success(status))
            .number("attempts", 1_u32);
        state.report(line);
    });
    if !is_success(status) {
        delete(kernel, index)?;
    }
    Ok(())
}

/// Takes the driver off a device.
///
/// # Errors
///
/// The rule that the driver broke.
pub fn remove(kernel: &Kernel<'_>, index: usize, how: &str) -> Result<(), Stop> {
    let (handle, callbacks) = callbacks(kernel, index);
    if handle == 0 {
        return Ok(());
    }
    if how == "surprise-remove" {
        let target = callbacks.surprise_removal;
        call(kernel, index, "EvtDeviceSurpriseRemoval", target, &[handle])?;
    }
    let (started, asleep) = kernel.with(|state| {
        let device = &state.devices[index];
        (device.phase == Phase::Started, device.asleep)
    });
    if started && !asleep {
        power_down(kernel, index, POWER_D3_FINAL)?;
    }
    if started {
        release_hardware(kernel, index)?;
    }
    if kernel.with(|state| state.devices[index].io_begun) {
        call(
            kernel,
            index,
            "EvtDeviceSelfManagedIoFlush",
            callbacks.io_flush,
            &[handle],
        )?;
        call(
            kernel,
            index,
            "EvtDeviceSelfManagedIoCleanup",
            callbacks.io_cleanup,
            &[handle],
        )?;
    }
    delete(kernel, index)?;
    kernel.with(|state| {
        let device = &mut state.devices[index];
        device.phase = match how {
            "disable" => Phase::Disabled,
            "unload" => Phase::Bare,
            _ => Phase::Gone,
        };
        device.asleep = false;
        let line = Line::new("removed")
            .text("id", &device.description.id)
            .text("how", how);
        state.report(line);
    });
    Ok(())
}

/// Puts all devices to sleep; `decode_off` also turns off their register decode.
///
/// # Errors
///
/// The rule that the driver broke.
pub fn suspend(kernel: &Kernel<'_>, decode_off: bool) -> Result<(), Stop> {
    for index in 0..kernel.with(|state| state.devices.len()) {
        if kernel.with(|state| state.devices[index].phase != Phase::Started) {
            continue;
        }
        power_down(kernel, index, POWER_D3)?;
        kernel.with(|state| {
            let device = &mut state.devices[index];
            device.asleep = true;
            let description = device.description.clone();
            if decode_off {
                state.machine.set_decode(&description, false);
            }
        });
    }
    kernel.with(|state| state.report(Line::new("suspended")));
    Ok(())
}

/// Wakes all devices up.
///
/// # Errors
///
/// The rule that the driver broke.
pub fn resume(kernel: &Kernel<'_>) -> Result<(), Stop> {
    for index in 0..kernel.with(|state| state.devices.len()) {
        let asleep = kernel.with(|state| {
            let device = &mut state.devices[index];
            let asleep = core::mem::take(&mut device.asleep);
            let description = device.description.clone();
            if asleep {
                state.machine.set_decode(&description, true);
            }
            asleep
        });
        if !asleep {
            continue;
        }
        let status = power_up(kernel, index, POWER_D3)?;
        if !is_success(status) {
            // The framework reports the device as failed and it is removed, without
            // a D0 exit.
            kernel.with(|state| state.devices[index].asleep = true);
            remove(kernel, index, "surprise-remove")?;
            kernel.with(|state| state.devices[index].phase = Phase::Failed);
        }
    }
    kernel.with(|state| state.report(Line::new("resumed")));
    Ok(())
}

/// A program opens the device.
///
/// # Errors
///
/// The rule that the driver broke.
pub fn open(kernel: &Kernel<'_>, index: usize) -> Result<(), Stop> {
    /// Handles of the request and of the file object, good for this call alone.
    const REQUEST: u64 = 0xFFFF_FD00_0000_0010;
    const FILE: u64 = 0xFFFF_FD00_0000_0020;
    let (handle, target) = kernel.with(|state| {
        let device = &state.devices[index];
        (device.handle, device.file_create)
    });
    if handle != 0 && target != 0 {
        kernel.with(|state| {
            state.create_request = Some(REQUEST);
            state.create_status = STATUS_SUCCESS;
        });
        let arguments = [handle, REQUEST, FILE];
        call(kernel, index, "EvtDeviceFileCreate", target, &arguments)?;
    }
    kernel.with(|state| {
        if state.create_request.take().is_some() {
            return Err(violation(
                "request-not-completed",
                "EvtDeviceFileCreate returned without completing the request; see \
                 \"EVT_WDF_DEVICE_FILE_CREATE callback function\"",
            ));
        }
        let device = &state.devices[index];
        let line = Line::new("opened")
            .text("id", &device.description.id)
            .status("status", state.create_status);
        state.report(line);
        Ok(())
    })
}

impl State<'_> {
    /// Removes a mapping of registers.
    pub fn unmap(&mut self, mapping: Mapping) {
        self.regions
            .retain(|region| region.kind != Kind::Registers || region.start != mapping.address);
        let length = usize::try_from(mapping.length).unwrap_or(0);
        if let Some(address) = core::ptr::NonNull::new(mapping.address as *mut u8) {
            self.machine.unmap_registers(address, length);
        }
        self.unmapped.push((mapping.address, mapping.length));
    }

    fn check_left_at_unload(&self) -> Result<(), Stop> {
        let why = "nothing of a driver may be left when its image goes; see \"DRIVER_UNLOAD \
                   callback function\"";
        if let Some(record) = self.record_left(None) {
            return Err(violation(
                "left-registered-at-unload",
                format!("{record} is still registered: {why}"),
            ));
        }
        if let Some(provider) = self.providers.values().next() {
            return Err(violation(
                "left-registered-at-unload",
                format!("the ETW provider {provider} is still registered: {why}"),
            ));
        }
        let memories = self
            .objects
            .find(|object| matches!(object.class, Class::Memory(..)));
        let pool = self
            .regions
            .iter()
            .find(|region| matches!(region.kind, Kind::Pool { .. }));
        if let Some(region) = pool.filter(|_| memories.is_empty()) {
            return Err(violation(
                "pool-left-at-unload",
                format!("{} bytes of pool are still allocated: {why}", region.length),
            ));
        }
        if self.framework.bound {
            return Err(violation(
                "bound-at-unload",
                format!("the driver is still bound to the framework: {why}"),
            ));
        }
        Ok(())
    }
}
