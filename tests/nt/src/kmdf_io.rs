//! KMDF: requests and the I/O target below a device, which for a device with an
//! ACPI node is the ACPI driver.

use alloc::{format, string::String, vec::Vec};

use crate::{
    function::{ANY_THREAD, Failure, Function, kmdf},
    gate::Frame,
    kernel::{State, Stop, violation},
    kmdf_driver::check_globals,
    layout::MemoryDescriptor,
    machine::{AcpiError, AcpiValue},
    object::Class,
    report::{Line, hex_bytes},
    status::{
        NO_MEMORY, STATUS_ACPI_FATAL, STATUS_BUFFER_OVERFLOW, STATUS_BUFFER_TOO_SMALL,
        STATUS_INVALID_BUFFER_SIZE, STATUS_INVALID_DEVICE_REQUEST, STATUS_INVALID_PARAMETER,
        STATUS_IO_TIMEOUT, STATUS_OBJECT_NAME_NOT_FOUND, STATUS_SUCCESS, is_success,
    },
};

pub const FUNCTIONS: &[Function] = &[
    kmdf(
        186,
        "WdfIoTargetSendIoctlSynchronously",
        "WdfIoTargetSendIoctlSynchronously",
        send_ioctl,
    )
    .fails(&[
        NO_MEMORY,
        Failure::Status(STATUS_INVALID_DEVICE_REQUEST),
        Failure::Status(STATUS_IO_TIMEOUT),
    ]),
    kmdf(
        263,
        "WdfRequestComplete",
        "WdfRequestComplete",
        request_complete,
    )
    .up_to(ANY_THREAD),
];

const IOCTL_ACPI_EVAL_METHOD: u64 = 0x0032_C004;
const IOCTL_ACPI_ENUM_CHILDREN: u64 = 0x0032_C020;

const EVAL_INPUT: u32 = u32::from_le_bytes(*b"AeiB");
const EVAL_INPUT_INTEGER: u32 = u32::from_le_bytes(*b"AeiI");
const EVAL_INPUT_STRING: u32 = u32::from_le_bytes(*b"AeiS");
const EVAL_INPUT_COMPLEX: u32 = u32::from_le_bytes(*b"AeiC");
const EVAL_OUTPUT: u32 = u32::from_le_bytes(*b"AeoB");
const CHILDREN_INPUT: u32 = u32::from_le_bytes(*b"AeiH");
const CHILDREN_OUTPUT: u32 = u32::from_le_bytes(*b"AeiG");

/// `sizeof(ACPI_EVAL_OUTPUT_BUFFER)`, with its one argument.
const SMALLEST_OUTPUT: usize = 20;
const SMALLEST_CHILDREN_OUTPUT: usize = 20;

const MULTILEVEL: u32 = 2;
const NAME_IS_FILTER: u32 = 4;

/// What an I/O control request gives: its status, what it wrote, and how many
/// bytes it says that it wrote.
struct Answer {
    status: u32,
    output: Vec<u8>,
}

impl Answer {
    const fn bare(status: u32) -> Self {
        Self {
            status,
            output: Vec::new(),
        }
    }
}

/// The buffer of a `WDF_MEMORY_DESCRIPTOR`; nothing for 0.
fn buffer_of(state: &State<'_>, at: u64) -> Result<(u64, u64), Stop> {
    if at == 0 {
        return Ok((0, 0));
    }
    let descriptor: MemoryDescriptor = state.read(at, "WDF_MEMORY_DESCRIPTOR")?;
    match descriptor.kind {
        // WdfMemoryDescriptorTypeBuffer
        1 => Ok((descriptor.buffer, descriptor.length & 0xffff_ffff)),
        // WdfMemoryDescriptorTypeHandle: the whole memory or a part of it.
        3 => {
            let Class::Memory(buffer, size, _) = state.class_of(descriptor.buffer, "WDFMEMORY")?
            else {
                return Ok((0, 0));
            };
            if descriptor.length == 0 {
                return Ok((buffer, size));
            }
            let offset: u64 = state.read(descriptor.length, "WDFMEMORY_OFFSET")?;
            let length: u64 = state.read(descriptor.length + 8, "WDFMEMORY_OFFSET")?;
            let length = if length == 0 {
                size.saturating_sub(offset)
            } else {
                length
            };
            Ok((buffer + offset, length))
        }
        other => Err(violation(
            "bad-argument",
            format!("a WDF_MEMORY_DESCRIPTOR of type {other} is not modelled"),
        )),
    }
}

fn send_ioctl(state: &mut State<'_>, frame: &Frame) -> Result<u64, Stop> {
    check_globals(state, frame)?;
    let Class::IoTarget(device) = state.class_of(frame.argument(1), "WDFIOTARGET")? else {
        return Ok(STATUS_INVALID_PARAMETER.into());
    };
    if frame.argument(2) != 0 {
        return Err(violation(
            "not-modelled",
            "WdfIoTargetSendIoctlSynchronously with a request of the driver's",
        ));
    }
    let code = frame.argument(3) & 0xffff_ffff;
    let (input_at, input_length) = buffer_of(state, frame.argument(4))?;
    let (output_at, output_length) = buffer_of(state, frame.argument(5))?;
    if frame.argument(6) != 0 {
        let size: u32 = state.read(frame.argument(6), "WDF_REQUEST_SEND_OPTIONS")?;
        if size != 16 {
            return Err(violation(
                "structure-size",
                format!("WDF_REQUEST_SEND_OPTIONS has Size {size}, not 16"),
            ));
        }
    }
    let input = if input_length == 0 {
        Vec::new()
    } else {
        state.read_bytes(input_at, input_length, "InputBuffer")?
    };
    if output_length != 0 {
        state.check_memory(output_at, output_length, true, "OutputBuffer")?;
    }
    let room = usize::try_from(output_length).unwrap_or(0);
    let answer = match (code, state.devices[device].description.acpi_path.clone()) {
        (IOCTL_ACPI_EVAL_METHOD, Some(path)) => evaluate(state, device, &path, &input, room),
        (IOCTL_ACPI_ENUM_CHILDREN, Some(path)) => enumerate(state, device, &path, &input, room),
        _ => Answer::bare(STATUS_INVALID_DEVICE_REQUEST),
    };
    if !answer.output.is_empty() {
        state.write_bytes(output_at, &answer.output, "OutputBuffer")?;
    }
    if frame.argument(7) != 0 {
        let written = answer.output.len() as u64;
        state.write(frame.argument(7), written, "BytesReturned")?;
    }
    Ok(answer.status.into())
}

fn word(bytes: &[u8], offset: usize) -> Option<u32> {
    let bytes = bytes.get(offset..offset + 4)?;
    bytes.try_into().ok().map(u32::from_le_bytes)
}

/// Reads the input buffer of `IOCTL_ACPI_EVAL_METHOD`: the method and its arguments.
fn read_input(input: &[u8]) -> Option<([u8; 4], Vec<AcpiValue>)> {
    let method: [u8; 4] = input.get(4..8)?.try_into().ok()?;
    let arguments = match word(input, 0)? {
        EVAL_INPUT => Vec::new(),
        EVAL_INPUT_INTEGER => alloc::vec![AcpiValue::Integer(word(input, 8)?.into())],
        EVAL_INPUT_STRING => {
            let length = word(input, 8)? as usize;
            let text = input.get(12..12_usize.checked_add(length)?)?;
            let text = text.split(|byte| *byte == 0).next()?;
            alloc::vec![AcpiValue::String(
                String::from_utf8_lossy(text).into_owned()
            )]
        }
        EVAL_INPUT_COMPLEX => {
            let mut arguments = Vec::new();
            let mut at = 16;
            for _ in 0..word(input, 12)? {
                let head = word(input, at)?;
                let length = (head >> 16) as usize;
                let data = input.get(at + 4..at + 4 + length)?;
                arguments.push(match head & 0xffff {
                    0 => AcpiValue::Integer(word(input, at + 4)?.into()),
                    1 => AcpiValue::String(String::from_utf8_lossy(data).into_owned()),
                    2 => AcpiValue::Buffer(data.to_vec()),
                    _ => return None,
                });
                at += 4 + length.max(4);
            }
            arguments
        }
        _ => return None,
    };
    Some((method, arguments))
}

/// Appends an `ACPI_METHOD_ARGUMENT`.
fn push_argument(output: &mut Vec<u8>, value: &AcpiValue) {
    let (kind, data): (u16, Vec<u8>) = match value {
        // An integer is a ULONG in this interface, whatever its width in AML.
        AcpiValue::Integer(value) => (0, value.to_le_bytes()[..4].to_vec()),
        AcpiValue::String(text) => (1, text.bytes().chain([0]).collect()),
        AcpiValue::Buffer(bytes) => (2, bytes.clone()),
        AcpiValue::Package(values) => {
            let mut inner = Vec::new();
            for value in values {
                push_argument(&mut inner, value);
            }
            (3, inner)
        }
    };
    let length = u16::try_from(data.len()).unwrap_or(u16::MAX);
    output.extend_from_slice(&kind.to_le_bytes());
    output.extend_from_slice(&length.to_le_bytes());
    output.extend_from_slice(&data);
    let padding = 4_usize.saturating_sub(data.len());
    output.resize(output.len() + padding, 0);
}

/// `IOCTL_ACPI_EVAL_METHOD` ("Evaluating ACPI Control Methods Synchronously").
fn evaluate(state: &mut State<'_>, device: usize, path: &str, input: &[u8], room: usize) -> Answer {
    let Some((method, arguments)) = read_input(input) else {
        return Answer::bare(STATUS_INVALID_PARAMETER);
    };
    let result = state.machine.evaluate(path, method, &arguments);
    let line = Line::new("acpi")
        .text("id", &state.devices[device].description.id)
        .text("method", &String::from_utf8_lossy(&method))
        .number("arguments", arguments.len() as u64);
    let value = match result {
        Ok(value) => value,
        Err(error) => {
            let status = match error {
                AcpiError::NotFound => STATUS_OBJECT_NAME_NOT_FOUND,
                AcpiError::Failed => STATUS_ACPI_FATAL,
            };
            state.report(line.status("status", status));
            return Answer::bare(status);
        }
    };
    let line = match &value {
        AcpiValue::Integer(value) => line.hex("result", *value),
        AcpiValue::String(text) => line.text("result", text),
        AcpiValue::Buffer(bytes) => line.text("result", &hex_bytes(bytes)),
        AcpiValue::Package(values) => line.number("elements", values.len() as u64),
    };
    // A package comes as its elements.
    let values = match value {
        AcpiValue::Package(values) => values,
        value => alloc::vec![value],
    };
    let mut body = Vec::new();
    for value in &values {
        push_argument(&mut body, value);
    }
    let length = (body.len() + 12).max(SMALLEST_OUTPUT);
    body.resize(length - 12, 0);
    let mut output = Vec::new();
    output.extend_from_slice(&EVAL_OUTPUT.to_le_bytes());
    output.extend_from_slice(&u32::try_from(length).unwrap_or(u32::MAX).to_le_bytes());
    output.extend_from_slice(&u32::try_from(values.len()).unwrap_or(0).to_le_bytes());
    output.extend(body);
    let answer = fit(output, room, SMALLEST_OUTPUT, 12);
    state.report(line.status("status", answer.status));
    answer
}

/// What becomes of `output` in a buffer of `room` bytes: whole, or its first
/// `head` bytes, which say how long it is, or nothing.
fn fit(mut output: Vec<u8>, room: usize, smallest: usize, head: usize) -> Answer {
    if output.len() <= room {
        return Answer {
            status: STATUS_SUCCESS,
            output,
        };
    }
    if room < smallest {
        return Answer::bare(STATUS_BUFFER_TOO_SMALL);
    }
    output.truncate(head);
    Answer {
        status: STATUS_BUFFER_OVERFLOW,
        output,
    }
}

/// `IOCTL_ACPI_ENUM_CHILDREN` ("Enumerating Child Devices and Control Methods").
fn enumerate(
    state: &mut State<'_>,
    device: usize,
    path: &str,
    input: &[u8],
    room: usize,
) -> Answer {
    if input.len() < 12 {
        return Answer::bare(STATUS_INVALID_BUFFER_SIZE);
    }
    let flags = word(input, 4).unwrap_or(0);
    let name_length = word(input, 8).unwrap_or(0) as usize;
    let name = input.get(12..12 + name_length);
    let (Some(CHILDREN_INPUT), Some(name)) = (word(input, 0), name) else {
        return Answer::bare(STATUS_INVALID_PARAMETER);
    };
    let name = String::from_utf8_lossy(name);
    let name = name.trim_end_matches('\0');
    if flags & NAME_IS_FILTER != 0 && name.is_empty() {
        return Answer::bare(STATUS_INVALID_PARAMETER);
    }
    let depth = path.matches('.').count();
    let children: Vec<(String, bool)> = state
        .machine
        .children(path)
        .into_iter()
        .filter(|(child, _)| flags & MULTILEVEL != 0 || child.matches('.').count() == depth + 1)
        .filter(|(child, _)| flags & NAME_IS_FILTER == 0 || child.rsplit('.').next() == Some(name))
        .collect();
    let mut output = Vec::new();
    output.extend_from_slice(&CHILDREN_OUTPUT.to_le_bytes());
    output.extend_from_slice(&u32::try_from(children.len()).unwrap_or(0).to_le_bytes());
    for (child, has_children) in &children {
        output.extend_from_slice(&u32::from(*has_children).to_le_bytes());
        let length = u32::try_from(child.len() + 1).unwrap_or(0);
        output.extend_from_slice(&length.to_le_bytes());
        output.extend_from_slice(child.as_bytes());
        output.push(0);
    }
    let needed = u32::try_from(output.len().max(SMALLEST_CHILDREN_OUTPUT)).unwrap_or(u32::MAX);
    output.resize(output.len().max(SMALLEST_CHILDREN_OUTPUT), 0);
    let mut answer = fit(output, room, SMALLEST_CHILDREN_OUTPUT, 8);
    if !is_success(answer.status) && answer.output.len() == 8 {
        // In place of their number: the length that would do.
        answer.output[4..].copy_from_slice(&needed.to_le_bytes());
    }
    let line = Line::new("acpi_children")
        .text("id", &state.devices[device].description.id)
        .text("name", name)
        .texts("found", children.iter().map(|(child, _)| child))
        .status("status", answer.status);
    state.report(line);
    answer
}

fn request_complete(state: &mut State<'_>, frame: &Frame) -> Result<u64, Stop> {
    check_globals(state, frame)?;
    let request = frame.argument(1);
    if state.create_request == Some(request) {
        state.create_request = None;
        state.create_status = u32::try_from(frame.argument(2) & 0xffff_ffff).unwrap_or(0);
        return Ok(0);
    }
    Err(violation(
        "handle-bad",
        format!("0x{request:x} is no request that is to be completed; see \"WdfRequestComplete\""),
    ))
}
