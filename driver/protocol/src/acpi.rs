//! Buffers of the ACPI driver's requests (Microsoft, `acpiioct.h`).
//!
//! The signatures are multi-character constants of Microsoft's compiler: `'BieA'`
//! is the number 0x42696541, in memory the bytes `AeiB`.

/// `IOCTL_ACPI_EVAL_METHOD`: evaluates a control method. Only below `DISPATCH_LEVEL`.
pub const IOCTL_ACPI_EVAL_METHOD: u32 = 0x0032_C004;

/// `IOCTL_ACPI_ENUM_CHILDREN`: lists objects without running them.
pub const IOCTL_ACPI_ENUM_CHILDREN: u32 = 0x0032_C020;

/// The control method that reads the device's byte.
pub const RDPT: [u8; 4] = *b"RDPT";

/// The control method that writes the device's byte. It is looked for, and
/// never evaluated: that would report an event.
pub const WRPT: [u8; 4] = *b"WRPT";

const EVAL_OUTPUT: u32 = u32::from_le_bytes(*b"AeoB");
const ENUM_OUTPUT: u32 = u32::from_le_bytes(*b"AeiG");

/// `ENUM_CHILDREN_MULTILEVEL | ENUM_CHILDREN_NAME_IS_FILTER`.
const ENUM_FLAGS: u8 = 2 | 4;

const ARGUMENT_INTEGER: u16 = 0;

/// Bytes of [`eval_input`].
pub const EVAL_INPUT_SIZE: usize = 8;

/// Bytes of an output buffer that holds one integer.
pub const EVAL_OUTPUT_SIZE: usize = 20;

/// Bytes of [`enum_input`]: the name and its terminator, at offset 12.
pub const ENUM_INPUT_SIZE: usize = 17;

/// What is wrong with an output buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OutputError {
    /// Shorter than its own header says, or than any answer is.
    Short,
    /// Another signature.
    Signature,
    /// Not exactly one value.
    Count,
    /// The value is no integer of four bytes or fewer.
    NotInteger,
}

/// `ACPI_EVAL_INPUT_BUFFER` for a method without arguments.
#[must_use]
pub const fn eval_input(method: [u8; 4]) -> [u8; EVAL_INPUT_SIZE] {
    let mut buffer = *b"AeiB\0\0\0\0";
    buffer[4] = method[0];
    buffer[5] = method[1];
    buffer[6] = method[2];
    buffer[7] = method[3];
    buffer
}

/// Reads the one integer of an `ACPI_EVAL_OUTPUT_BUFFER`. `buffer` is what the
/// ACPI driver wrote, without what it left alone; nothing in it is trusted.
///
/// # Errors
///
/// [`OutputError`] for anything but one integer.
pub fn integer(buffer: &[u8]) -> Result<u32, OutputError> {
    let (signature, rest) = word(buffer)?;
    let (length, rest) = word(rest)?;
    let (count, rest) = word(rest)?;
    if signature != EVAL_OUTPUT {
        return Err(OutputError::Signature);
    }
    if usize::try_from(length).is_ok_and(|length| length > buffer.len()) {
        return Err(OutputError::Short);
    }
    if count != 1 {
        return Err(OutputError::Count);
    }
    let (header, rest) = word(rest)?;
    let [type_low, type_high, size_low, size_high] = header.to_le_bytes();
    let size = u16::from_le_bytes([size_low, size_high]);
    if u16::from_le_bytes([type_low, type_high]) != ARGUMENT_INTEGER || size != 4 {
        return Err(OutputError::NotInteger);
    }
    word(rest).map(|(value, _)| value)
}

/// `ACPI_ENUM_CHILDREN_INPUT_BUFFER` that asks for every object called `name`
/// anywhere below the device.
#[must_use]
pub const fn enum_input(name: [u8; 4]) -> [u8; ENUM_INPUT_SIZE] {
    let mut buffer = *b"AeiH\0\0\0\0\x05\0\0\0\0\0\0\0\0";
    buffer[4] = ENUM_FLAGS;
    buffer[12] = name[0];
    buffer[13] = name[1];
    buffer[14] = name[2];
    buffer[15] = name[3];
    buffer
}

/// Whether an `ACPI_ENUM_CHILDREN_OUTPUT_BUFFER` lists a child called `name`.
///
/// # Errors
///
/// [`OutputError`] for a buffer that isn't one or that says it holds more than
/// it does.
pub fn lists(buffer: &[u8], name: [u8; 4]) -> Result<bool, OutputError> {
    let (signature, rest) = word(buffer)?;
    let (children, mut rest) = word(rest)?;
    if signature != ENUM_OUTPUT {
        return Err(OutputError::Signature);
    }
    for _ in 0..children {
        let (_flags, tail) = word(rest)?;
        let (length, tail) = word(tail)?;
        let length = usize::try_from(length).map_err(|_| OutputError::Short)?;
        let (path, tail) = tail.split_at_checked(length).ok_or(OutputError::Short)?;
        let path = path.strip_suffix(&[0]).unwrap_or(path);
        if path.ends_with(&name) {
            return Ok(true);
        }
        rest = tail;
    }
    Ok(false)
}

fn word(bytes: &[u8]) -> Result<(u32, &[u8]), OutputError> {
    bytes
        .split_first_chunk()
        .map(|(word, rest)| (u32::from_le_bytes(*word), rest))
        .ok_or(OutputError::Short)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANSWER_7: [u8; EVAL_OUTPUT_SIZE] = [
        b'A', b'e', b'o', b'B', 20, 0, 0, 0, 1, 0, 0, 0, 0, 0, 4, 0, 7, 0, 0, 0,
    ];

    fn changed(at: usize, to: u8) -> Result<u32, OutputError> {
        let mut answer = ANSWER_7;
        answer[at] = to;
        integer(&answer)
    }

    #[test]
    fn the_signature_is_in_memory_what_the_windows_headers_make_of_it() {
        assert_eq!(&eval_input(RDPT), b"AeiBRDPT");
        assert_eq!(&enum_input(WRPT)[..4], b"AeiH");
        assert_eq!(&enum_input(WRPT)[12..], b"WRPT\0");
    }

    #[test]
    fn an_integer_is_read() {
        assert_eq!(integer(&ANSWER_7), Ok(7));
    }

    #[test]
    fn nothing_in_an_answer_is_trusted() {
        for length in 0..ANSWER_7.len() {
            assert_eq!(integer(&ANSWER_7[..length]), Err(OutputError::Short));
        }
        assert_eq!(changed(0, b'X'), Err(OutputError::Signature));
        assert_eq!(changed(4, 21), Err(OutputError::Short));
        assert_eq!(changed(7, 0xFF), Err(OutputError::Short));
        assert_eq!(changed(8, 0), Err(OutputError::Count));
        assert_eq!(changed(8, 2), Err(OutputError::Count));
        assert_eq!(changed(12, 1), Err(OutputError::NotInteger));
        assert_eq!(changed(14, 8), Err(OutputError::NotInteger));
    }

    #[test]
    fn no_bytes_make_the_parsers_panic() {
        // A small generator is enough: the buffers are short and the fields few.
        let mut state = 0x9E37_79B9_7F4A_7C15_u64;
        let mut buffer = [0_u8; 48];
        for _ in 0..200_000 {
            for byte in &mut buffer {
                state = state
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1);
                let [.., high] = state.to_le_bytes();
                *byte = high & 0x1F;
            }
            buffer[..4].copy_from_slice(b"AeoB");
            let _ = integer(&buffer);
            buffer[..4].copy_from_slice(b"AeiG");
            let _ = lists(&buffer, WRPT);
        }
    }

    #[test]
    fn a_child_is_found_by_its_last_name() {
        let list = |paths: &[&str]| {
            let mut buffer = [0_u8; 128];
            let mut end = 8;
            buffer[..4].copy_from_slice(b"AeiG");
            buffer[4] = u8::try_from(paths.len()).expect("few paths");
            for path in paths {
                buffer[end + 4] = u8::try_from(path.len() + 1).expect("short paths");
                buffer[end + 8..][..path.len()].copy_from_slice(path.as_bytes());
                end += 9 + path.len();
            }
            (buffer, end)
        };
        let (buffer, end) = list(&["\\_SB.PCI0.S08.PEVT.RDPT", "\\_SB.PCI0.S08.PEVT.WRPT"]);
        assert_eq!(lists(&buffer[..end], WRPT), Ok(true));
        assert_eq!(lists(&buffer[..end - 1], WRPT), Err(OutputError::Short));
        let (buffer, end) = list(&["\\_SB.PCI0.S08.WRPT.PEVT"]);
        assert_eq!(lists(&buffer[..end], WRPT), Ok(false));
        let (buffer, end) = list(&[]);
        assert_eq!(lists(&buffer[..end], WRPT), Ok(false));
    }
}
