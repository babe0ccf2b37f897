//! KMDF: making a device, what it is told and asked about itself.

use alloc::{format, string::String, vec::Vec};

use crate::{
    function::{ANY_THREAD, Failure, Function, kmdf},
    gate::Frame,
    kernel::{APC_LEVEL, State, Stop, violation},
    kmdf_driver::check_globals,
    layout::{DevicePropertyData, FileObjectConfig, PnpPowerCallbacks, ResourceDescriptor},
    machine::Resource,
    memory::Kind,
    object::Class,
    report::{Line, hex_bytes},
    status::{
        NO_MEMORY, STATUS_BUFFER_TOO_SMALL, STATUS_INVALID_PARAMETER, STATUS_OBJECT_NAME_NOT_FOUND,
        STATUS_OBJECT_TYPE_MISMATCH, STATUS_SUCCESS, STATUS_UNSUCCESSFUL,
        STATUS_WDF_PARENT_ASSIGNMENT_NOT_ALLOWED,
    },
};

pub const FUNCTIONS: &[Function] = &[
    kmdf(
        55,
        "WdfDeviceInitSetPnpPowerEventCallbacks",
        "WdfDeviceInitSetPnpPowerEventCallbacks",
        set_pnp_callbacks,
    ),
    kmdf(
        61,
        "WdfDeviceInitSetIoType",
        "WdfDeviceInitSetIoType",
        init_only,
    ),
    kmdf(
        62,
        "WdfDeviceInitSetExclusive",
        "WdfDeviceInitSetExclusive",
        init_only,
    ),
    kmdf(
        66,
        "WdfDeviceInitSetDeviceType",
        "WdfDeviceInitSetDeviceType",
        init_only,
    ),
    kmdf(
        68,
        "WdfDeviceInitAssignSDDLString",
        "WdfDeviceInitAssignSDDLString",
        assign_sddl,
    )
    .fails(&[NO_MEMORY]),
    kmdf(
        70,
        "WdfDeviceInitSetCharacteristics",
        "WdfDeviceInitSetCharacteristics",
        init_only,
    ),
    kmdf(
        71,
        "WdfDeviceInitSetFileObjectConfig",
        "WdfDeviceInitSetFileObjectConfig",
        set_file_config,
    ),
    kmdf(75, "WdfDeviceCreate", "WdfDeviceCreate", device_create)
        .fails(&[NO_MEMORY, Failure::Status(STATUS_UNSUCCESSFUL)]),
    kmdf(
        29,
        "WdfDeviceSetDeviceState",
        "WdfDeviceSetDeviceState",
        set_device_state,
    )
    .up_to(ANY_THREAD),
    kmdf(
        31,
        "WdfDeviceWdmGetDeviceObject",
        "WdfDeviceWdmGetDeviceObject",
        wdm_object,
    )
    .up_to(ANY_THREAD),
    kmdf(
        32,
        "WdfDeviceWdmGetAttachedDevice",
        "WdfDeviceWdmGetAttachedDevice",
        wdm_object,
    )
    .up_to(ANY_THREAD),
    kmdf(
        33,
        "WdfDeviceWdmGetPhysicalDevice",
        "WdfDeviceWdmGetPhysicalDevice",
        wdm_object,
    )
    .up_to(ANY_THREAD),
    kmdf(39, "WdfDeviceGetDriver", "WdfDeviceGetDriver", get_driver).up_to(ANY_THREAD),
    kmdf(
        42,
        "WdfDeviceGetIoTarget",
        "WdfDeviceGetIoTarget",
        get_io_target,
    )
    .up_to(ANY_THREAD),
    kmdf(87, "WdfDeviceSetFailed", "WdfDeviceSetFailed", set_failed).up_to(ANY_THREAD),
    kmdf(
        81,
        "WdfDeviceQueryProperty",
        "WdfDeviceQueryProperty",
        query_property,
    )
    .fails(&[Failure::Status(STATUS_OBJECT_NAME_NOT_FOUND), NO_MEMORY]),
    kmdf(
        433,
        "WdfDeviceQueryPropertyEx",
        "WdfDeviceQueryPropertyEx",
        query_property_ex,
    )
    .up_to(APC_LEVEL)
    .fails(&[
        Failure::Status(STATUS_OBJECT_NAME_NOT_FOUND),
        Failure::Status(STATUS_BUFFER_TOO_SMALL),
        NO_MEMORY,
    ]),
    kmdf(
        435,
        "WdfDeviceAssignProperty",
        "WdfDeviceAssignProperty",
        assign_property,
    )
    .up_to(APC_LEVEL)
    .fails(&[NO_MEMORY, Failure::Status(STATUS_UNSUCCESSFUL)]),
    kmdf(
        304,
        "WdfCmResourceListGetCount",
        "WdfCmResourceListGetCount",
        resource_count,
    )
    .up_to(ANY_THREAD),
    kmdf(
        305,
        "WdfCmResourceListGetDescriptor",
        "WdfCmResourceListGetDescriptor",
        resource_descriptor,
    )
    .up_to(ANY_THREAD),
];

/// `WdfDeviceFailedAttemptRestart` and `WdfDeviceFailedNoRestart`.
const FAILED_ACTIONS: core::ops::RangeInclusive<u64> = 1..=2;
const DEVPROP_TYPE_EMPTY: u64 = 0;
/// `DEVPROPID_FIRST_USABLE` ("DEVPROPKEY structure").
const FIRST_PROPERTY: u32 = 2;

/// Checks that the second argument is the `WDFDEVICE_INIT` of the device that is
/// being added, and gives the device's number.
fn check_init(state: &State<'_>, frame: &Frame) -> Result<usize, Stop> {
    check_globals(state, frame)?;
    let init = frame.argument(1);
    let found = state
        .devices
        .iter()
        .position(|device| init != 0 && device.init == init);
    found.ok_or_else(|| {
        violation(
            "device-init-bad",
            format!(
                "DeviceInit is 0x{init:x}, which is no WDFDEVICE_INIT in use: it is gone once \
                 WdfDeviceCreate has succeeded or EvtDriverDeviceAdd has returned"
            ),
        )
    })
}

fn init_only(state: &mut State<'_>, frame: &Frame) -> Result<u64, Stop> {
    check_init(state, frame)?;
    Ok(0)
}

fn set_pnp_callbacks(state: &mut State<'_>, frame: &Frame) -> Result<u64, Stop> {
    let device = check_init(state, frame)?;
    let callbacks: PnpPowerCallbacks = state.read_sized(
        frame.argument(2),
        "WDF_PNPPOWER_EVENT_CALLBACKS",
        |callbacks: &PnpPowerCallbacks| callbacks.size,
    )?;
    state.devices[device].callbacks = callbacks;
    Ok(0)
}

fn set_file_config(state: &mut State<'_>, frame: &Frame) -> Result<u64, Stop> {
    let device = check_init(state, frame)?;
    let config: FileObjectConfig = state.read_sized(
        frame.argument(2),
        "WDF_FILEOBJECT_CONFIG",
        |config: &FileObjectConfig| config.size,
    )?;
    state.devices[device].file_create = config.create;
    Ok(0)
}

fn assign_sddl(state: &mut State<'_>, frame: &Frame) -> Result<u64, Stop> {
    let device = check_init(state, frame)?;
    if frame.argument(2) != 0 {
        let text = state.read_unicode(frame.argument(2), "SDDLString")?;
        if !text.starts_with("D:") {
            return Ok(STATUS_INVALID_PARAMETER.into());
        }
        state.devices[device].sddl = text;
    }
    Ok(STATUS_SUCCESS.into())
}

fn device_create(state: &mut State<'_>, frame: &Frame) -> Result<u64, Stop> {
    check_globals(state, frame)?;
    let at = frame.argument(1);
    let init: u64 = state.read(at, "DeviceInit")?;
    let Some(device) = state
        .devices
        .iter()
        .position(|d| init != 0 && d.init == init)
    else {
        return Err(violation(
            "device-init-bad",
            "*DeviceInit is no WDFDEVICE_INIT in use; see \"WdfDeviceCreate\"",
        ));
    };
    if frame.argument(2) != 0 {
        let parent: u64 = state.read(frame.argument(2) + 32, "WDF_OBJECT_ATTRIBUTES")?;
        if parent != 0 {
            return Ok(STATUS_WDF_PARENT_ASSIGNMENT_NOT_ALLOWED.into());
        }
    }
    let driver = state.framework.driver;
    let handle = state.create_object(Class::Device(device), driver, frame.argument(2))?;
    state.devices[device].handle = handle;
    state.devices[device].init = 0;
    state.write(at, 0_u64, "DeviceInit")?;
    state.give_handle(frame.argument(3), handle)
}

fn set_device_state(state: &mut State<'_>, frame: &Frame) -> Result<u64, Stop> {
    /// `WdfUseDefault`.
    const USE_DEFAULT: u32 = 2;
    check_globals(state, frame)?;
    let device = state.device_of(frame.argument(1))?;
    let at = frame.argument(2);
    let given: u32 = state.read(at, "WDF_DEVICE_STATE")?;
    // Six or, in later versions, seven members of WDF_TRI_STATE.
    let expected = if state.framework.minor >= DEVICE_STATE_GREW {
        32
    } else {
        28
    };
    if given != expected {
        return Err(violation(
            "structure-size",
            format!(
                "WDF_DEVICE_STATE has Size {given}, but KMDF 1.{} has {expected}; see \
                 \"WDF_DEVICE_STATE\"",
                state.framework.minor
            ),
        ));
    }
    for member in 1..u64::from(expected) / 4 {
        let value: u32 = state.read(at + member * 4, "WDF_DEVICE_STATE")?;
        if value > USE_DEFAULT {
            return Err(violation(
                "bad-argument",
                format!("member {member} of WDF_DEVICE_STATE is {value}, no WDF_TRI_STATE"),
            ));
        }
    }
    let not_disableable: u32 = state.read(at + 16, "WDF_DEVICE_STATE")?;
    state.devices[device].can_be_disabled = not_disableable != 1;
    Ok(0)
}

/// The first minor version with `AssignedToGuest`.
const DEVICE_STATE_GREW: u32 = 31;

fn wdm_object(state: &mut State<'_>, frame: &Frame) -> Result<u64, Stop> {
    check_globals(state, frame)?;
    let device = state.device_of(frame.argument(1))?;
    if state.devices[device].wdm_object == 0 {
        let object = state.allocate(DEVICE_OBJECT_SIZE, Kind::Windows("a DEVICE_OBJECT"));
        state.devices[device].wdm_object =
            object.ok_or_else(|| violation("no-memory", "no memory for a DEVICE_OBJECT"))?;
    }
    Ok(state.devices[device].wdm_object)
}

const DEVICE_OBJECT_SIZE: u64 = 0x150;

fn get_driver(state: &mut State<'_>, frame: &Frame) -> Result<u64, Stop> {
    check_globals(state, frame)?;
    state.device_of(frame.argument(1))?;
    Ok(state.framework.driver)
}

fn get_io_target(state: &mut State<'_>, frame: &Frame) -> Result<u64, Stop> {
    check_globals(state, frame)?;
    let device = state.device_of(frame.argument(1))?;
    let class = Class::IoTarget(device);
    let known = state.objects.find(|object| object.class == class);
    known.first().map_or_else(
        || state.create_object(class, frame.argument(1), 0),
        |handle| Ok(*handle),
    )
}

fn set_failed(state: &mut State<'_>, frame: &Frame) -> Result<u64, Stop> {
    check_globals(state, frame)?;
    let device = state.device_of(frame.argument(1))?;
    let action = frame.argument(2) & 0xffff_ffff;
    if !FAILED_ACTIONS.contains(&action) {
        return Err(violation(
            "bad-argument",
            format!("{action} is no WDF_DEVICE_FAILED_ACTION; see \"WdfDeviceSetFailed\""),
        ));
    }
    state.devices[device].restart_refused = action == 2;
    state.devices[device].failed = true;
    Ok(0)
}

/// The bus driver that found a device: what its id begins with.
fn enumerator(id: &str) -> &str {
    id.split('\\').next().unwrap_or(id)
}

fn query_property(state: &mut State<'_>, frame: &Frame) -> Result<u64, Stop> {
    check_globals(state, frame)?;
    let device = state.device_of(frame.argument(1))?;
    // DEVICE_REGISTRY_PROPERTY. A REG_MULTI_SZ ends with two terminators.
    let description = &state.devices[device].description;
    let text = match frame.argument(2) & 0xffff_ffff {
        1 => description.hardware_ids.join("\0") + "\0\0",
        15 => String::from(enumerator(&description.id)) + "\0",
        property => {
            return Err(violation(
                "not-modelled",
                format!(
                    "WdfDeviceQueryProperty: DEVICE_REGISTRY_PROPERTY {property} is not modelled"
                ),
            ));
        }
    };
    let bytes: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
    give_bytes(
        state,
        &bytes,
        frame.argument(3),
        frame.argument(4),
        frame.argument(5),
    )
}

/// Writes a property to a buffer of `room` bytes and its length to `*length`.
fn give_bytes(
    state: &State<'_>,
    bytes: &[u8],
    room: u64,
    buffer: u64,
    length: u64,
) -> Result<u64, Stop> {
    let needed = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
    state.write(length, needed, "the address for the length")?;
    if (room & 0xffff_ffff) < u64::from(needed) {
        return Ok(STATUS_BUFFER_TOO_SMALL.into());
    }
    state.write_bytes(buffer, bytes, "PropertyBuffer")?;
    Ok(STATUS_SUCCESS.into())
}

/// Reads the key that a `WDF_DEVICE_PROPERTY_DATA` names: its GUID and number.
fn property_key(state: &State<'_>, at: u64) -> Result<String, Stop> {
    let data: DevicePropertyData = state.read_sized(
        at,
        "WDF_DEVICE_PROPERTY_DATA",
        |data: &DevicePropertyData| data.size,
    )?;
    let guid = state.read_bytes(data.key, 16, "PropertyKey")?;
    let number: u32 = state.read(data.key + 16, "PropertyKey")?;
    if number < FIRST_PROPERTY {
        return Err(violation(
            "bad-argument",
            format!("a property key with the number {number}; see \"DEVPROPKEY structure\""),
        ));
    }
    let part = |range: core::ops::Range<usize>| {
        let mut bytes = guid[range].to_vec();
        bytes.reverse();
        hex_bytes(&bytes)
    };
    Ok(format!(
        "{{{}-{}-{}-{}-{}}} {number}",
        part(0..4),
        part(4..6),
        part(6..8),
        hex_bytes(&guid[8..10]),
        hex_bytes(&guid[10..16])
    ))
}

fn query_property_ex(state: &mut State<'_>, frame: &Frame) -> Result<u64, Stop> {
    check_globals(state, frame)?;
    let device = state.device_of(frame.argument(1))?;
    let key = property_key(state, frame.argument(2))?;
    let id = &state.devices[device].description.id;
    let Some((kind, bytes)) = state.properties.get(&(id.clone(), key)).cloned() else {
        return Ok(STATUS_OBJECT_NAME_NOT_FOUND.into());
    };
    state.write(frame.argument(6), kind, "Type")?;
    give_bytes(
        state,
        &bytes,
        frame.argument(3),
        frame.argument(4),
        frame.argument(5),
    )
}

fn assign_property(state: &mut State<'_>, frame: &Frame) -> Result<u64, Stop> {
    check_globals(state, frame)?;
    let device = state.device_of(frame.argument(1))?;
    let key = property_key(state, frame.argument(2))?;
    let kind = frame.argument(3) & 0xffff_ffff;
    let size = frame.argument(4) & 0xffff_ffff;
    let data = frame.argument(5);
    let id = state.devices[device].description.id.clone();
    let line = Line::new("property").text("id", &id).text("key", &key);
    if data == 0 || kind == DEVPROP_TYPE_EMPTY {
        let existed = state.properties.remove(&(id, key)).is_some();
        state.report(line.flag("deleted", existed));
        return Ok(if existed {
            STATUS_SUCCESS
        } else {
            STATUS_OBJECT_NAME_NOT_FOUND
        }
        .into());
    }
    let bytes = state.read_bytes(data, size, "Data")?;
    // DEVPROP_TYPE_BYTE, _UINT16, _UINT32, _UINT64 have one length each.
    let expected = match kind {
        2 | 3 | 17 => 1,
        4 | 5 => 2,
        6 | 7 => 4,
        8 | 9 => 8,
        _ => bytes.len(),
    };
    if bytes.len() != expected {
        return Ok(STATUS_OBJECT_TYPE_MISMATCH.into());
    }
    state.report(line.number("type", kind).text("bytes", &hex_bytes(&bytes)));
    let kind = u32::try_from(kind).unwrap_or(0);
    state.properties.insert((id, key), (kind, bytes));
    Ok(STATUS_SUCCESS.into())
}

fn resource_list(state: &State<'_>, handle: u64) -> Result<usize, Stop> {
    match state.class_of(handle, "WDFCMRESLIST")? {
        Class::Resources(device) => Ok(device),
        _ => Ok(0),
    }
}

fn resource_count(state: &mut State<'_>, frame: &Frame) -> Result<u64, Stop> {
    check_globals(state, frame)?;
    let device = resource_list(state, frame.argument(1))?;
    Ok(state.devices[device].description.resources.len() as u64)
}

fn resource_descriptor(state: &mut State<'_>, frame: &Frame) -> Result<u64, Stop> {
    /// `CmResourceTypePort` and `CmResourceTypeMemory`.
    const PORT: u8 = 1;
    const INTERRUPT: u8 = 2;
    /// `CM_RESOURCE_PORT_IO`.
    const PORT_IO: u16 = 1;
    const MEMORY: u8 = 3;
    check_globals(state, frame)?;
    let device = resource_list(state, frame.argument(1))?;
    let index = usize::try_from(frame.argument(2) & 0xffff_ffff).unwrap_or(usize::MAX);
    let Some(resource) = state.devices[device].description.resources.get(index) else {
        return Ok(0);
    };
    let (kind, flags, start, length) = match *resource {
        Resource::Port { start, length } => (PORT, PORT_IO, start, length),
        Resource::MappedPort { start, length } => (PORT, 0, start, length),
        // Level and vector, then the affinity.
        Resource::Interrupt { vector } => (INTERRUPT, 0, u64::from(vector) << 32, 1),
        Resource::Memory { start, length } => (MEMORY, 0, start, length),
    };
    let descriptor = ResourceDescriptor {
        kind,
        share: 1,
        flags,
        start_low: u32::try_from(start & 0xffff_ffff).unwrap_or(0),
        start_high: u32::try_from(start >> 32).unwrap_or(0),
        length,
        last: 0,
    };
    let at = state.allocate(
        size_of::<ResourceDescriptor>() as u64,
        Kind::Windows("a resource descriptor"),
    );
    let at = at.ok_or_else(|| violation("no-memory", "no memory for a resource descriptor"))?;
    state.write(at, descriptor, "a resource descriptor")?;
    Ok(at)
}
