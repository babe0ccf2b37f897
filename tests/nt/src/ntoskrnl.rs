//! ntoskrnl.exe: what a small KMDF driver imports.

use alloc::{format, string::String, vec::Vec};

use crate::{
    function::{Failure, Function, export},
    gate::Frame,
    kernel::{
        APC_LEVEL, DEVICE_LEVEL, DISPATCH_LEVEL, HIGH_LEVEL, Mapping, State, Stop, violation,
    },
    layout::{EventData, EventDescriptor},
    machine::Resource,
    memory::Kind,
    report::{Line, hex_bytes},
    status::{NO_MEMORY, STATUS_INVALID_PARAMETER, STATUS_SUCCESS},
    trace_logging,
};

use crate::record::{deregister_plain, deregister_reason, register_plain, register_reason};

pub const FUNCTIONS: &[Function] = &[
    export(
        "KeRegisterBugCheckCallback",
        "KeRegisterBugCheckCallback function (wdm.h)",
        register_plain,
    )
    .up_to(HIGH_LEVEL)
    .fails(&[Failure::False]),
    export(
        "KeDeregisterBugCheckCallback",
        "KeDeregisterBugCheckCallback function (wdm.h)",
        deregister_plain,
    )
    .up_to(HIGH_LEVEL)
    .fails(&[]),
    export(
        "KeRegisterBugCheckReasonCallback",
        "KeRegisterBugCheckReasonCallback function (wdm.h)",
        register_reason,
    )
    .up_to(HIGH_LEVEL)
    .fails(&[Failure::False]),
    export(
        "KeDeregisterBugCheckReasonCallback",
        "KeDeregisterBugCheckReasonCallback function (wdm.h)",
        deregister_reason,
    )
    .up_to(HIGH_LEVEL),
    export("KeBugCheckEx", "KeBugCheckEx function (wdm.h)", bug_check).up_to(HIGH_LEVEL),
    export(
        "KeGetCurrentIrql",
        "KeGetCurrentIrql function (wdm.h)",
        current_irql,
    )
    .at_any_time(),
    export("KfRaiseIrql", "KeRaiseIrql macro (wdm.h)", raise_irql).up_to(HIGH_LEVEL),
    export("KeLowerIrql", "KeLowerIrql macro (wdm.h)", lower_irql).up_to(HIGH_LEVEL),
    export(
        "MmMapIoSpaceEx",
        "MmMapIoSpaceEx function (wdm.h)",
        map_io_space_ex,
    )
    .up_to(DISPATCH_LEVEL)
    .fails(&[Failure::Null]),
    export(
        "MmMapIoSpace",
        "MmMapIoSpace function (wdm.h)",
        map_io_space,
    )
    .up_to(DISPATCH_LEVEL)
    .fails(&[Failure::Null]),
    export(
        "MmUnmapIoSpace",
        "MmUnmapIoSpace function (wdm.h)",
        unmap_io_space,
    )
    .up_to(DISPATCH_LEVEL),
    export("DbgPrint", "DbgPrint function (wdm.h)", debug_print).up_to(DEVICE_LEVEL),
    export("DbgPrintEx", "DbgPrintEx function (wdm.h)", debug_print).up_to(DEVICE_LEVEL),
    export("EtwRegister", "EtwRegister function (wdm.h)", etw_register).fails(&[NO_MEMORY]),
    export(
        "EtwUnregister",
        "EtwUnregister function (wdm.h)",
        etw_unregister,
    ),
    export(
        "EtwSetInformation",
        "EtwSetInformation function (wdm.h)",
        etw_set_information,
    )
    .fails(&[Failure::Status(STATUS_INVALID_PARAMETER)]),
    export("EtwWrite", "EtwWrite function (wdm.h)", etw_write)
        .up_to(HIGH_LEVEL)
        .fails(&[NO_MEMORY]),
    export(
        "EtwWriteTransfer",
        "EtwWriteTransfer function (wdm.h)",
        etw_write_transfer,
    )
    .up_to(HIGH_LEVEL)
    .fails(&[NO_MEMORY]),
    export(
        "RtlInitUnicodeString",
        "RtlInitUnicodeString function (wdm.h)",
        init_unicode_string,
    )
    .up_to(DISPATCH_LEVEL),
    export(
        "RtlCopyUnicodeString",
        "RtlCopyUnicodeString function (wdm.h)",
        copy_unicode_string,
    )
    .up_to(DISPATCH_LEVEL),
    export(
        "RtlCompareMemory",
        "RtlCompareMemory function (wdm.h)",
        compare_memory,
    )
    .at_any_time(),
    export("memcpy", "RtlCopyMemory macro (wdm.h)", copy_memory).at_any_time(),
    export("memmove", "RtlMoveMemory macro (wdm.h)", copy_memory).at_any_time(),
    export("memset", "RtlFillMemory macro (wdm.h)", fill_memory).at_any_time(),
    export("memcmp", "RtlEqualMemory macro (wdm.h)", memory_order).at_any_time(),
    export(
        "ExAllocatePoolWithTag",
        "ExAllocatePoolWithTag function (wdm.h)",
        allocate_pool,
    )
    .up_to(DISPATCH_LEVEL)
    .fails(&[Failure::Null]),
    export(
        "ExAllocatePool2",
        "ExAllocatePool2 function (wdm.h)",
        allocate_pool2,
    )
    .up_to(DISPATCH_LEVEL)
    .fails(&[Failure::Null])
    .since(19041),
    export(
        "ExFreePoolWithTag",
        "ExFreePoolWithTag function (wdm.h)",
        free_pool,
    )
    .up_to(DISPATCH_LEVEL),
];

fn low32(value: u64) -> u32 {
    u32::try_from(value & 0xffff_ffff).unwrap_or(0)
}

fn bug_check(_: &mut State<'_>, frame: &Frame) -> Result<u64, Stop> {
    Err(Stop::BugCheck(low32(frame.argument(0))))
}

#[expect(clippy::unnecessary_wraps, reason = "every body has this type")]
fn current_irql(state: &mut State<'_>, _: &Frame) -> Result<u64, Stop> {
    Ok(state.irql.into())
}

fn raise_irql(state: &mut State<'_>, frame: &Frame) -> Result<u64, Stop> {
    let old = state.irql;
    let new = frame.argument(0).to_le_bytes()[0];
    if new < old || new > HIGH_LEVEL {
        return Err(violation(
            "irql-raised-downwards",
            format!("IRQL {new} is not above {old}; see \"KeRaiseIrql macro (wdm.h)\""),
        ));
    }
    state.set_irql(new);
    Ok(old.into())
}

fn lower_irql(state: &mut State<'_>, frame: &Frame) -> Result<u64, Stop> {
    let old = state.irql;
    let new = frame.argument(0).to_le_bytes()[0];
    if new > old {
        return Err(violation(
            "irql-lowered-upwards",
            format!("IRQL {new} is above {old}; see \"KeLowerIrql macro (wdm.h)\""),
        ));
    }
    state.set_irql(new);
    Ok(0)
}

/// Maps registers; the range must have been assigned to the device whose
/// `EvtDevicePrepareHardware` runs.
fn map(state: &mut State<'_>, physical: u64, length: u64) -> Result<u64, Stop> {
    if length == 0 {
        return Err(violation(
            "bad-argument",
            "0 bytes are to be mapped; see \"MmMapIoSpaceEx function (wdm.h)\"",
        ));
    }
    let Some(owner) = state
        .current
        .filter(|device| state.devices[*device].has_resources)
    else {
        return Err(violation(
            "map-outside-prepare",
            "registers are mapped where no device has its hardware: EvtDevicePrepareHardware has \
             to do it; see \"Finding and Mapping Hardware Resources\"",
        ));
    };
    let assigned =
        state.devices[owner]
            .description
            .resources
            .iter()
            .any(|resource| match *resource {
                Resource::Memory {
                    start,
                    length: size,
                }
                | Resource::MappedPort {
                    start,
                    length: size,
                } => physical
                    .checked_sub(start)
                    .and_then(|offset| offset.checked_add(length))
                    .is_some_and(|end| end <= size.into()),
                Resource::Port { .. } | Resource::Interrupt { .. } => false,
            });
    if !assigned {
        return Err(violation(
            "map-outside-resources",
            format!(
                "{length} bytes at physical 0x{physical:x} were not assigned to the device; see \
                 \"Finding and Mapping Hardware Resources\""
            ),
        ));
    }
    let size = usize::try_from(length).unwrap_or(usize::MAX);
    let Some(address) = state.machine.map_registers(physical, size) else {
        return Ok(0);
    };
    let address = address.as_ptr() as u64;
    state.add_region(address, length, Kind::Registers);
    state.mappings.push(Mapping {
        address,
        length,
        owner: Some(owner),
    });
    state.report(
        Line::new("mapped")
            .hex("physical", physical)
            .number("length", length),
    );
    Ok(address)
}

/// `PAGE_READWRITE` and `PAGE_READONLY` with the cache flags that registers need.
fn map_io_space_ex(state: &mut State<'_>, frame: &Frame) -> Result<u64, Stop> {
    const ACCESS: u64 = 0x02 | 0x04 | 0x20 | 0x40;
    const EXECUTE: u64 = 0x20 | 0x40;
    const CACHE: u64 = 0x200 | 0x400;
    let protect = frame.argument(2) & 0xffff_ffff;
    if (protect & ACCESS).count_ones() != 1
        || (protect & CACHE).count_ones() > 1
        || protect & !(ACCESS | CACHE) != 0
    {
        return Err(violation(
            "bad-argument",
            format!(
                "Protect is 0x{protect:x}: one PAGE_ access and at most one of PAGE_NOCACHE and \
                 PAGE_WRITECOMBINE are needed; see \"MmMapIoSpaceEx function (wdm.h)\""
            ),
        ));
    }
    if protect & EXECUTE != 0 {
        return Err(violation(
            "executable-mapping",
            "registers are mapped executable; see \"MmMapIoSpaceEx function (wdm.h)\"",
        ));
    }
    map(state, frame.argument(0), frame.argument(1))
}

fn map_io_space(state: &mut State<'_>, frame: &Frame) -> Result<u64, Stop> {
    map(state, frame.argument(0), frame.argument(1))
}

fn unmap_io_space(state: &mut State<'_>, frame: &Frame) -> Result<u64, Stop> {
    let (address, length) = (frame.argument(0), frame.argument(1));
    let found = state
        .mappings
        .iter()
        .position(|mapping| mapping.address == address);
    let Some(index) = found else {
        return Err(violation(
            "unmap-without-map",
            format!("nothing is mapped at 0x{address:x}; see \"MmUnmapIoSpace function (wdm.h)\""),
        ));
    };
    let mapping = state.mappings[index];
    if mapping.length != length {
        return Err(violation(
            "unmap-length",
            format!(
                "{length} bytes are unmapped, but {} were mapped; see \"MmUnmapIoSpace function \
                 (wdm.h)\"",
                mapping.length
            ),
        ));
    }
    state.mappings.remove(index);
    state.unmap(mapping);
    Ok(0)
}

#[expect(clippy::unnecessary_wraps, reason = "every body has this type")]
fn debug_print(_: &mut State<'_>, _: &Frame) -> Result<u64, Stop> {
    Ok(STATUS_SUCCESS.into())
}

/// First handle of an ETW registration.
const FIRST_PROVIDER: u64 = 0x7E7_0000_0000;

fn etw_register(state: &mut State<'_>, frame: &Frame) -> Result<u64, Stop> {
    let guid = hex_bytes(&state.read_bytes(frame.argument(0), 16, "ProviderId")?);
    let handle = FIRST_PROVIDER + state.registrations * 0x10;
    state.registrations += 1;
    state.write(frame.argument(3), handle, "RegHandle")?;
    state.providers.insert(handle, guid);
    Ok(STATUS_SUCCESS.into())
}

fn provider(state: &State<'_>, handle: u64) -> Result<String, Stop> {
    // Writing with the handle 0 of a provider that never registered is harmless.
    if handle == 0 {
        return Ok(String::new());
    }
    state.providers.get(&handle).cloned().ok_or_else(|| {
        violation(
            "etw-handle",
            format!("0x{handle:x} is no registered provider; see \"EtwRegister function (wdm.h)\""),
        )
    })
}

fn etw_unregister(state: &mut State<'_>, frame: &Frame) -> Result<u64, Stop> {
    let handle = frame.argument(0);
    provider(state, handle)?;
    state.providers.remove(&handle);
    Ok(STATUS_SUCCESS.into())
}

fn etw_set_information(state: &mut State<'_>, frame: &Frame) -> Result<u64, Stop> {
    provider(state, frame.argument(0))?;
    Ok(STATUS_SUCCESS.into())
}

/// `MAX_EVENT_DATA_DESCRIPTORS`.
const MOST_DATA: u64 = 128;
/// `EVENT_DATA_DESCRIPTOR_TYPE_EVENT_METADATA` and `..._PROVIDER_METADATA`.
const EVENT_METADATA: u32 = 1;
const PROVIDER_METADATA: u32 = 2;

fn write_event(
    state: &mut State<'_>,
    handle: u64,
    descriptor: u64,
    count: u64,
    data: u64,
) -> Result<u64, Stop> {
    let provider = provider(state, handle)?;
    let event: EventDescriptor = state.read(descriptor, "EventDescriptor")?;
    let (mut metadata, mut fields) = (Vec::new(), Vec::new());
    let count = count & 0xffff_ffff;
    if count > MOST_DATA {
        return Ok(STATUS_INVALID_PARAMETER.into());
    }
    for index in 0..count {
        let field: EventData = state.read(data + index * 16, "UserData")?;
        let bytes = if field.size == 0 {
            Vec::new()
        } else {
            state.read_bytes(field.pointer, field.size.into(), "UserData")?
        };
        match field.kind & 0xff {
            EVENT_METADATA => metadata = bytes,
            PROVIDER_METADATA => {}
            _ => fields.push(bytes),
        }
    }
    if handle == 0 {
        return Ok(STATUS_SUCCESS.into());
    }
    let (name, values) = trace_logging::read(&metadata, &fields.concat());
    state.report(
        Line::new("trace")
            .text("provider", &provider)
            .text("event", &name)
            .number("id", event.id)
            .number("level", event.level)
            .hex("keyword", event.keyword)
            .number("irql", state.irql)
            .texts("fields", fields.iter().map(|bytes| hex_bytes(bytes)))
            .texts("values", values),
    );
    Ok(STATUS_SUCCESS.into())
}

fn etw_write(state: &mut State<'_>, frame: &Frame) -> Result<u64, Stop> {
    let (count, data) = (frame.argument(3), frame.argument(4));
    write_event(state, frame.argument(0), frame.argument(1), count, data)
}

fn etw_write_transfer(state: &mut State<'_>, frame: &Frame) -> Result<u64, Stop> {
    let (count, data) = (frame.argument(4), frame.argument(5));
    write_event(state, frame.argument(0), frame.argument(1), count, data)
}

fn init_unicode_string(state: &mut State<'_>, frame: &Frame) -> Result<u64, Stop> {
    let (destination, source) = (frame.argument(0), frame.argument(1));
    let length = if source == 0 {
        0
    } else {
        let text = state.read_terminated(source, 2, 32_766, "SourceString")?;
        text.encode_utf16().count() * 2
    };
    let length = u16::try_from(length).unwrap_or(u16::MAX);
    let maximum = if source == 0 { 0 } else { length + 2 };
    state.write(destination, length, "DestinationString")?;
    state.write(destination + 2, maximum, "DestinationString")?;
    state.write(destination + 8, source, "DestinationString")?;
    Ok(0)
}

fn copy_unicode_string(state: &mut State<'_>, frame: &Frame) -> Result<u64, Stop> {
    let (destination, source) = (frame.argument(0), frame.argument(1));
    if source == 0 {
        state.write(destination, 0_u16, "DestinationString")?;
        return Ok(0);
    }
    let maximum: u16 = state.read(destination + 2, "DestinationString")?;
    let to: u64 = state.read(destination + 8, "DestinationString")?;
    let length: u16 = state.read(source, "SourceString")?;
    let from: u64 = state.read(source + 8, "SourceString")?;
    let copied = length.min(maximum);
    if copied > 0 {
        let bytes = state.read_bytes(from, copied.into(), "SourceString")?;
        state.write_bytes(to, &bytes, "DestinationString")?;
    }
    if copied + 2 <= maximum {
        state.write(to + u64::from(copied), 0_u16, "DestinationString")?;
    }
    state.write(destination, copied, "DestinationString")?;
    Ok(0)
}

fn compare_memory(state: &mut State<'_>, frame: &Frame) -> Result<u64, Stop> {
    let length = frame.argument(2);
    if length == 0 {
        return Ok(0);
    }
    let first = state.read_bytes(frame.argument(0), length, "Source1")?;
    let second = state.read_bytes(frame.argument(1), length, "Source2")?;
    let equal = first.iter().zip(&second).take_while(|(a, b)| a == b);
    Ok(equal.count() as u64)
}

fn copy_memory(state: &mut State<'_>, frame: &Frame) -> Result<u64, Stop> {
    if frame.argument(2) > 0 {
        let bytes = state.read_bytes(frame.argument(1), frame.argument(2), "the source")?;
        state.write_bytes(frame.argument(0), &bytes, "the destination")?;
    }
    Ok(frame.argument(0))
}

fn fill_memory(state: &mut State<'_>, frame: &Frame) -> Result<u64, Stop> {
    let length = frame.argument(2);
    if length > 0 {
        state.check_memory(frame.argument(0), length, true, "the destination")?;
        let byte = frame.argument(1).to_le_bytes()[0];
        let bytes = alloc::vec![byte; usize::try_from(length).unwrap_or(0)];
        state.write_bytes(frame.argument(0), &bytes, "the destination")?;
    }
    Ok(frame.argument(0))
}

fn memory_order(state: &mut State<'_>, frame: &Frame) -> Result<u64, Stop> {
    let length = frame.argument(2);
    if length == 0 {
        return Ok(0);
    }
    let first = state.read_bytes(frame.argument(0), length, "the first buffer")?;
    let second = state.read_bytes(frame.argument(1), length, "the second buffer")?;
    Ok(match first.cmp(&second) {
        core::cmp::Ordering::Less => u64::from(u32::MAX),
        core::cmp::Ordering::Equal => 0,
        core::cmp::Ordering::Greater => 1,
    })
}

/// Allocates pool: paged only below `DISPATCH_LEVEL`.
fn pool(state: &mut State<'_>, paged: bool, length: u64, tag: u64) -> Result<u64, Stop> {
    if paged && state.irql > APC_LEVEL {
        return Err(violation(
            "irql-too-high",
            format!(
                "paged pool is allocated at IRQL {}, but at most 1 is permitted; see \
                 \"ExAllocatePoolWithTag function (wdm.h)\"",
                state.irql
            ),
        ));
    }
    if low32(tag) == 0 || length == 0 {
        return Err(violation(
            "bad-argument",
            "pool needs a tag and a length that are not 0; see \"ExAllocatePoolWithTag function \
             (wdm.h)\"",
        ));
    }
    let kind = Kind::Pool {
        tag: low32(tag),
        paged,
    };
    Ok(state.allocate(length, kind).unwrap_or(0))
}

fn allocate_pool(state: &mut State<'_>, frame: &Frame) -> Result<u64, Stop> {
    let paged = frame.argument(0) & 1 != 0;
    pool(state, paged, frame.argument(1), frame.argument(2))
}

fn allocate_pool2(state: &mut State<'_>, frame: &Frame) -> Result<u64, Stop> {
    /// `POOL_FLAG_PAGED`.
    const PAGED: u64 = 0x100;
    let paged = frame.argument(0) & PAGED != 0;
    pool(state, paged, frame.argument(1), frame.argument(2))
}

fn free_pool(state: &mut State<'_>, frame: &Frame) -> Result<u64, Stop> {
    let address = frame.argument(0);
    let held = state
        .region(address, 1)
        .is_some_and(|region| region.start == address && matches!(region.kind, Kind::Pool { .. }));
    if !held {
        return Err(violation(
            "pool-not-allocated",
            format!(
                "{} is no pool allocation; see \"ExFreePoolWithTag function (wdm.h)\"",
                state.describe(address)
            ),
        ));
    }
    state.check_freed(address, "pool allocation")?;
    state.free(address, "freed pool".into());
    Ok(0)
}
