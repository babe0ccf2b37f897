//! KMDF: the driver object, its Parameters key.

use alloc::{
    format,
    string::{String, ToString},
};

use crate::{
    function::{ANY_THREAD, Failure, Function, UNMODELLED, internal, kmdf},
    gate::Frame,
    kernel::{Invocation, Pending, State, Stop, violation},
    layout::DriverConfig,
    object::Class,
    report::Line,
    status::{
        NO_MEMORY, STATUS_ACCESS_DENIED, STATUS_DRIVER_INTERNAL_ERROR,
        STATUS_OBJECT_NAME_NOT_FOUND, STATUS_OBJECT_TYPE_MISMATCH, STATUS_SUCCESS,
    },
};

/// What the framework keeps of the driver.
#[derive(Debug, Default)]
pub struct Framework {
    /// Whether the driver is bound.
    pub bound: bool,
    /// The minor version that it is bound to.
    pub minor: u32,
    /// Address of its `WDF_DRIVER_GLOBALS`.
    pub globals: u64,
    /// Its `WDFDRIVER`, 0 while there is none.
    pub driver: u64,
    /// Its `EvtDriverDeviceAdd`.
    pub device_add: u64,
    unload: u64,
}

pub const FUNCTIONS: &[Function] = &[
    kmdf(116, "WdfDriverCreate", "WdfDriverCreate", driver_create).fails(&[NO_MEMORY]),
    kmdf(
        117,
        "WdfDriverGetRegistryPath",
        "WdfDriverGetRegistryPath",
        registry_path,
    ),
    kmdf(
        118,
        "WdfDriverWdmGetDriverObject",
        "WdfDriverWdmGetDriverObject",
        wdm_driver_object,
    )
    .up_to(ANY_THREAD),
    kmdf(
        119,
        "WdfDriverOpenParametersRegistryKey",
        "WdfDriverOpenParametersRegistryKey",
        open_parameters,
    )
    .fails(&[
        Failure::Status(STATUS_OBJECT_NAME_NOT_FOUND),
        Failure::Status(STATUS_ACCESS_DENIED),
        NO_MEMORY,
    ]),
    kmdf(231, "WdfRegistryClose", "WdfRegistryClose", registry_close),
    kmdf(
        240,
        "WdfRegistryQueryULong",
        "WdfRegistryQueryULong",
        query_ulong,
    )
    .fails(&[
        Failure::Status(STATUS_OBJECT_NAME_NOT_FOUND),
        Failure::Status(STATUS_OBJECT_TYPE_MISMATCH),
        NO_MEMORY,
    ]),
    internal(
        "(framework) DriverUnload",
        "DRIVER_UNLOAD callback function",
        driver_unload,
    ),
];

/// The names of the function table, in its order.
const TABLE: &str = include_str!("../../../kit/kmdf-functions.txt");
/// Offset of `DriverUnload` in `DRIVER_OBJECT`.
pub const DRIVER_UNLOAD: u64 = 0x68;
const NON_PNP_DRIVER: u32 = 1;
const NO_DISPATCH_OVERRIDE: u32 = 2;

/// The name of an entry of the function table that is not modelled.
pub fn name_of(stub: u64) -> String {
    let index = stub.wrapping_sub(UNMODELLED.into());
    usize::try_from(index)
        .ok()
        .and_then(|index| {
            let mut names = TABLE.lines().filter(|line| line.starts_with("Wdf"));
            names.nth(index)
        })
        .map_or_else(|| format!("at index {index}"), ToString::to_string)
}

/// Checks the first argument of every KMDF function.
///
/// # Errors
///
/// A violation where it is not what `WdfVersionBind` gave.
pub fn check_globals(state: &State<'_>, frame: &Frame) -> Result<(), Stop> {
    if state.framework.bound && frame.argument(0) == state.framework.globals {
        return Ok(());
    }
    Err(violation(
        "wrong-globals",
        format!(
            "the first argument is 0x{:x}, not the driver globals that WdfVersionBind gave: is it \
             the right function index?",
            frame.argument(0)
        ),
    ))
}

fn driver_create(state: &mut State<'_>, frame: &Frame) -> Result<u64, Stop> {
    check_globals(state, frame)?;
    if frame.argument(1) != state.driver_object || frame.argument(2) != state.registry_path {
        return Err(violation(
            "bad-pointer",
            "WdfDriverCreate needs the driver object and registry path that DriverEntry was given",
        ));
    }
    let config: DriverConfig = state.read_sized(
        frame.argument(4),
        "WDF_DRIVER_CONFIG",
        |config: &DriverConfig| config.size,
    )?;
    if state.framework.driver != 0 {
        return Ok(STATUS_DRIVER_INTERNAL_ERROR.into());
    }
    let pnp = config.flags & NON_PNP_DRIVER == 0;
    if !pnp && config.device_add != 0 {
        return Ok(crate::status::STATUS_INVALID_PARAMETER.into());
    }
    let handle = state.create_object(Class::Driver, 0, frame.argument(3))?;
    state.framework.driver = handle;
    state.framework.device_add = config.device_add;
    state.framework.unload = config.unload;
    state.write(state.framework.globals, handle, "WDF_DRIVER_GLOBALS")?;
    if config.flags & NO_DISPATCH_OVERRIDE == 0 && (pnp || config.unload != 0) {
        let number = crate::function::number_of(|function| {
            function.place == crate::function::Place::Internal
                && function.body as usize == driver_unload as *const () as usize
        });
        let stub = state.stub(number.unwrap_or(0));
        state.write(state.driver_object + DRIVER_UNLOAD, stub, "DRIVER_OBJECT")?;
    }
    if frame.argument(5) != 0 {
        state.give_handle(frame.argument(5), handle)?;
    }
    Ok(STATUS_SUCCESS.into())
}

/// What the framework does when the driver is unloaded.
#[expect(clippy::unnecessary_wraps, reason = "every body has this type")]
fn driver_unload(state: &mut State<'_>, _: &Frame) -> Result<u64, Stop> {
    let driver = core::mem::take(&mut state.framework.driver);
    if state.framework.unload != 0 {
        let call = Invocation::new("EvtDriverUnload", state.framework.unload, &[driver]);
        state.pending.push_back(Pending::Call(call));
    }
    if driver != 0 {
        state.delete_object(driver);
    }
    Ok(0)
}

fn registry_path(state: &mut State<'_>, frame: &Frame) -> Result<u64, Stop> {
    check_globals(state, frame)?;
    state.class_of(frame.argument(1), "WDFDRIVER")?;
    state.read::<u64>(state.registry_path + 8, "RegistryPath")
}

fn wdm_driver_object(state: &mut State<'_>, frame: &Frame) -> Result<u64, Stop> {
    check_globals(state, frame)?;
    state.class_of(frame.argument(1), "WDFDRIVER")?;
    Ok(state.driver_object)
}

fn open_parameters(state: &mut State<'_>, frame: &Frame) -> Result<u64, Stop> {
    check_globals(state, frame)?;
    state.class_of(frame.argument(1), "WDFDRIVER")?;
    let parent = frame.argument(1);
    let handle = state.create_object(Class::Key, parent, frame.argument(3))?;
    state.give_handle(frame.argument(4), handle)
}

fn registry_close(state: &mut State<'_>, frame: &Frame) -> Result<u64, Stop> {
    check_globals(state, frame)?;
    state.class_of(frame.argument(1), "WDFKEY")?;
    state.delete_object(frame.argument(1));
    Ok(0)
}

fn query_ulong(state: &mut State<'_>, frame: &Frame) -> Result<u64, Stop> {
    check_globals(state, frame)?;
    state.class_of(frame.argument(1), "WDFKEY")?;
    let name = state.read_unicode(frame.argument(2), "ValueName")?;
    let value = state
        .parameters
        .iter()
        .find(|(known, _)| known.eq_ignore_ascii_case(&name))
        .map(|(_, value)| *value);
    let mut line = Line::new("parameter").text("name", &name);
    if let Some(value) = value {
        line = line.number("value", value);
    }
    state.report(line);
    let Some(value) = value else {
        return Ok(STATUS_OBJECT_NAME_NOT_FOUND.into());
    };
    state.write(frame.argument(3), value, "Value")?;
    Ok(STATUS_SUCCESS.into())
}
