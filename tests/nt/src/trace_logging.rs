//! Reading a TraceLogging event: its metadata names the fields of its data.

use alloc::{
    format,
    string::{String, ToString},
    vec::Vec,
};

/// Takes the text in front of the next zero off `rest`.
fn text<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let end = rest.iter().position(|byte| *byte == 0)?;
    let (text, behind) = rest.split_at(end);
    *rest = &behind[1..];
    Some(text)
}

fn take<'a>(rest: &mut &'a [u8], length: usize) -> Option<&'a [u8]> {
    let (taken, behind) = rest.split_at_checked(length)?;
    *rest = behind;
    Some(taken)
}

/// Skips the tags, whose last byte has no high bit.
fn skip_tags(rest: &mut &[u8]) -> Option<()> {
    while take(rest, 1)?[0] & 0x80 != 0 {}
    Some(())
}

/// Takes an integer of `length` bytes.
fn integer(data: &mut &[u8], length: usize) -> Option<u64> {
    let bytes = take(data, length)?;
    let bytes = bytes.iter().rev();
    Some(bytes.fold(0, |value, byte| value << 8 | u64::from(*byte)))
}

/// The event's name, and its fields as `name=value`: numbers in decimal or as
/// their type says in hexadecimal. Fields behind one of a type that is not read
/// here are left out.
pub fn read(metadata: &[u8], data: &[u8]) -> (String, Vec<String>) {
    let mut rest = metadata.get(2..).unwrap_or_default();
    let mut data = data;
    let mut values = Vec::new();
    let name = skip_tags(&mut rest)
        .and_then(|()| text(&mut rest))
        .map_or_else(String::new, |name| {
            String::from_utf8_lossy(name).into_owned()
        });
    while let Some(value) = field(&mut rest, &mut data) {
        values.push(value);
    }
    (name, values)
}

fn field(rest: &mut &[u8], data: &mut &[u8]) -> Option<String> {
    /// Output type of numbers that are meant in hexadecimal.
    const HEX: u8 = 4;
    let name = String::from_utf8_lossy(text(rest)?).into_owned();
    let input = take(rest, 1)?[0];
    let mut output = 0;
    if input & 0x80 != 0 {
        output = take(rest, 1)?[0];
        if output & 0x80 != 0 {
            skip_tags(rest)?;
        }
    }
    let number = |value: u64, hex: bool| {
        if hex || output & 0x7f == HEX {
            format!("0x{value:x}")
        } else {
            value.to_string()
        }
    };
    let value = match input & 0x7f {
        1 => {
            let mut units = Vec::new();
            loop {
                match u16::try_from(integer(data, 2)?).ok()? {
                    0 => break String::from_utf16_lossy(&units),
                    unit => units.push(unit),
                }
            }
        }
        2 => String::from_utf8_lossy(text(data)?).into_owned(),
        3 | 4 => number(integer(data, 1)?, false),
        5 | 6 => number(integer(data, 2)?, false),
        7 | 8 | 13 => number(integer(data, 4)?, false),
        9 | 10 => number(integer(data, 8)?, false),
        20 => number(integer(data, 4)?, true),
        21 => number(integer(data, 8)?, true),
        23 => {
            let length = usize::try_from(integer(data, 2)?).ok()?;
            String::from_utf8_lossy(take(data, length)?).into_owned()
        }
        _ => return None,
    };
    Some(format!("{name}={value}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_named_by_the_metadata() {
        let metadata =
            b"\x00\x00\x00Started\0Bus\0\x02Address\0\x15Capability\0\x84\x04Count\0\x08";
        let data = b"port\0\x05\x05\0\0\0\0\0\0\x07\x09\0\0\0";
        let (name, values) = read(metadata, data);
        assert_eq!(name, "Started");
        assert_eq!(
            values,
            ["Bus=port", "Address=0x505", "Capability=0x7", "Count=9"]
        );
    }

    #[test]
    fn data_that_ends_early_gives_fewer_fields() {
        let (_, values) = read(b"\x00\x00\x00E\0A\0\x08B\0\x08", b"\x01\0\0\0\x02");
        assert_eq!(values, ["A=1"]);
    }
}
