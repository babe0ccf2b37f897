//! WDFLDR.SYS: binding a driver to the framework.

use alloc::format;

use crate::{
    function::{Failure, Function, loader, number_of},
    function::{Place, UNMODELLED},
    gate::Frame,
    kernel::{State, Stop, violation},
    layout::{BindInfo, BindInfo2},
    memory::Kind,
    report::Line,
    status::{NO_MEMORY, STATUS_INVALID_PARAMETER, STATUS_REVISION_MISMATCH, STATUS_SUCCESS},
};

pub const FUNCTIONS: &[Function] = &[
    loader(
        "WdfVersionBind",
        "KMDF stub: fxldr.h, WDF_BIND_INFO",
        version_bind,
    )
    .fails(&[Failure::Status(STATUS_REVISION_MISMATCH), NO_MEMORY]),
    loader(
        "WdfVersionUnbind",
        "KMDF stub: fxldr.h, WDF_BIND_INFO",
        version_unbind,
    ),
    loader(
        "WdfVersionBindClass",
        "KMDF stub: fxldr.h, WDF_CLASS_BIND_INFO",
        bind_class,
    ),
    loader(
        "WdfVersionUnbindClass",
        "KMDF stub: fxldr.h, WDF_CLASS_BIND_INFO",
        bind_class,
    ),
    loader(
        "WdfLdrQueryInterface",
        "KMDF stub: fxldr.h, WDFLDR interface",
        bind_class,
    ),
];

/// Size of `WDF_DRIVER_GLOBALS`.
const GLOBALS_SIZE: u64 = 56;
const DISPLACE_DRIVER_UNLOAD: u64 = 48;

/// Entries in the function table of KMDF `1.minor`.
const fn function_count(minor: u32) -> Option<u32> {
    Some(match minor {
        15 | 17 => 444,
        19 => 446,
        21 => 448,
        23 => 451,
        25 | 27 => 453,
        29 => 454,
        31 | 33 => 458,
        _ => return None,
    })
}

/// The KMDF that a Windows build has ("KMDF Version History").
const fn framework_of(build: u32) -> u32 {
    match build {
        0..=10_586 => 15,
        10_587..=14_393 => 19,
        14_394..=15_063 => 21,
        15_064..=16_299 => 23,
        16_300..=17_134 => 25,
        17_135..=17_763 => 27,
        17_764..=18_363 => 29,
        18_364..=19_045 => 31,
        _ => 33,
    }
}

fn version_bind(state: &mut State<'_>, frame: &Frame) -> Result<u64, Stop> {
    let at = frame.argument(2);
    let info: BindInfo = state.read(at, "BindInfo")?;
    let component = state.read_terminated(info.component, 2, 64, "Component")?;
    if frame.argument(0) != state.driver_object {
        return Err(violation("bind-info", "DriverObject is not the driver's"));
    }
    let long = info.minor >= 25;
    let expected_size = size_of::<BindInfo>() + if long { size_of::<BindInfo2>() } else { 0 };
    let Some(count) = function_count(info.minor).filter(|_| info.major == 1) else {
        return Err(violation(
            "bind-info",
            format!(
                "KMDF {}.{} is no version that the model has (1.15 to 1.33)",
                info.major, info.minor
            ),
        ));
    };
    if component != "KmdfLibrary"
        || info.function_count != count
        // A driver that can be newer than its framework uses the longer form; others need not.
        || !(info.size as usize == expected_size || info.size as usize == size_of::<BindInfo>())
        || info.function_table == 0
    {
        return Err(violation(
            "bind-info",
            format!(
                "WDF_BIND_INFO for KMDF 1.{} needs component KmdfLibrary, Size {expected_size}, \
                 FuncCount {count} and a table; the driver gives {component}, {}, {} and 0x{:x}",
                info.minor, info.size, info.function_count, info.function_table
            ),
        ));
    }
    if state.framework.bound {
        return Ok(STATUS_INVALID_PARAMETER.into());
    }
    let available = framework_of(state.build);
    if info.minor > available {
        state.report(Line::new("refused").text(
            "reason",
            &format!(
                "the driver needs KMDF 1.{}, Windows build {} has 1.{available}",
                info.minor, state.build
            ),
        ));
        return Ok(STATUS_REVISION_MISMATCH.into());
    }
    let table = state.allocate(
        u64::from(count) * 8,
        Kind::Windows("the KMDF function table"),
    );
    let globals = state.allocate(GLOBALS_SIZE, Kind::Windows("WDF_DRIVER_GLOBALS"));
    let (Some(table), Some(globals)) = (table, globals) else {
        return Ok(NO_MEMORY.result());
    };
    for index in 0..count {
        let number = number_of(
            |function| matches!(function.place, Place::Kmdf(at) if u32::from(at) == index),
        );
        let stub = state.stub(number.unwrap_or(UNMODELLED + index));
        state.write(table + u64::from(index) * 8, stub, "the function table")?;
    }
    state.write(globals + DISPLACE_DRIVER_UNLOAD, 1_u8, "WDF_DRIVER_GLOBALS")?;
    state.write(info.function_table, table, "FuncTable")?;
    state.write(frame.argument(3), globals, "ComponentGlobals")?;
    if info.size as usize > size_of::<BindInfo>() {
        let more: BindInfo2 = state.read(at + size_of::<BindInfo>() as u64, "BindInfo")?;
        if more.client_version_higher != 0 {
            state.write(
                more.client_version_higher,
                0_u8,
                "ClientVersionHigherThanFramework",
            )?;
        }
        if more.function_count != 0 {
            state.write(more.function_count, count, "FuncCountPtr")?;
        }
    }
    state.framework.bound = true;
    state.framework.minor = info.minor;
    state.framework.globals = globals;
    state.report(
        Line::new("bound")
            .text("kmdf", &format!("1.{}", info.minor))
            .number("functions", count)
            .number("build", state.build),
    );
    Ok(STATUS_SUCCESS.into())
}

fn version_unbind(state: &mut State<'_>, frame: &Frame) -> Result<u64, Stop> {
    if !state.framework.bound || frame.argument(2) != state.framework.globals {
        return Err(violation(
            "unbind-without-bind",
            "WdfVersionUnbind is called without the globals that WdfVersionBind gave",
        ));
    }
    // A driver object that is still there was made by a DriverEntry that failed.
    let driver = state.framework.driver;
    if driver != 0 {
        state.delete_object(driver);
        state.framework.driver = 0;
    }
    state.framework.bound = false;
    Ok(STATUS_SUCCESS.into())
}

fn bind_class(_: &mut State<'_>, _: &Frame) -> Result<u64, Stop> {
    Err(violation(
        "not-modelled",
        "class extensions are not modelled",
    ))
}
