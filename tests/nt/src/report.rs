//! The report: one JSON object on each line, with one key that names its kind.

use alloc::string::String;
use core::fmt::{self, Write as _};

/// A line of the report in the making: `{"kind":{…}}`.
pub struct Line(String);

impl Line {
    /// Begins a line of the kind `kind`.
    pub fn new(kind: &str) -> Self {
        let mut line = Self(String::from("{"));
        line.quote(kind);
        line.0.push_str(":{");
        line
    }

    /// Adds a text.
    pub fn text(mut self, key: &str, value: &str) -> Self {
        self.key(key);
        self.quote(value);
        self
    }

    /// Adds texts.
    pub fn texts<T: AsRef<str>>(mut self, key: &str, values: impl IntoIterator<Item = T>) -> Self {
        self.key(key);
        self.0.push('[');
        for (index, value) in values.into_iter().enumerate() {
            if index > 0 {
                self.0.push(',');
            }
            self.quote(value.as_ref());
        }
        self.0.push(']');
        self
    }

    /// Adds a number.
    pub fn number(mut self, key: &str, value: impl Into<u64>) -> Self {
        self.key(key);
        self.push(format_args!("{}", value.into()));
        self
    }

    /// Adds a number as `"0x…"`.
    pub fn hex(mut self, key: &str, value: impl Into<u64>) -> Self {
        self.key(key);
        self.push(format_args!("\"0x{:x}\"", value.into()));
        self
    }

    /// Adds an NTSTATUS as `"0x…"` with all eight digits.
    pub fn status(mut self, key: &str, value: u32) -> Self {
        self.key(key);
        self.push(format_args!("\"0x{value:08x}\""));
        self
    }

    /// Adds a truth value.
    pub fn flag(mut self, key: &str, value: bool) -> Self {
        self.key(key);
        self.push(format_args!("{value}"));
        self
    }

    /// Ends the line.
    pub fn end(mut self) -> String {
        self.0.push_str("}}");
        self.0
    }

    fn key(&mut self, key: &str) {
        if !self.0.ends_with('{') {
            self.0.push(',');
        }
        self.quote(key);
        self.0.push(':');
    }

    fn push(&mut self, arguments: fmt::Arguments<'_>) {
        // Writing to a string can't fail.
        let _ = self.0.write_fmt(arguments);
    }

    fn quote(&mut self, text: &str) {
        self.0.push('"');
        for character in text.chars() {
            match character {
                '"' => self.0.push_str("\\\""),
                '\\' => self.0.push_str("\\\\"),
                character if u32::from(character) < 0x20 => {
                    self.push(format_args!("\\u{:04x}", u32::from(character)));
                }
                character => self.0.push(character),
            }
        }
        self.0.push('"');
    }
}

/// Bytes as lower-case hexadecimal digits.
pub fn hex_bytes(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a string can't fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_one_json_object_with_everything_escaped() {
        let line = Line::new("x")
            .text("id", "ACPI\\Q\"\n")
            .number("n", 7_u32)
            .hex("h", 255_u32)
            .status("s", 0xC000_0001)
            .flag("f", true)
            .texts("t", ["a", "b"])
            .end();
        assert_eq!(
            line,
            r#"{"x":{"id":"ACPI\\Q\"\u000a","n":7,"h":"0xff","s":"0xc0000001","f":true,"t":["a","b"]}}"#
        );
        assert_eq!(Line::new("end").end(), r#"{"end":{}}"#);
    }
}
