//! The report: the serial port, and nothing else on that port; what comes in is
//! the host's word that it has done what the report asks for.

use crate::arch::uart;
use core::fmt::{self, Write};

/// The serial port as a text sink.
struct Port;

impl Write for Port {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        text.bytes().for_each(uart::send);
        Ok(())
    }
}

/// Text inside a JSON string, escaped on the way out, without allocating.
struct Escaped;

impl Write for Escaped {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for character in text.chars() {
            match character {
                '"' | '\\' => write!(Port, "\\{character}")?,
                '\0'..='\x1F' => write!(Port, "\\u{:04x}", u32::from(character))?,
                _ => Port.write_char(character)?,
            }
        }
        Ok(())
    }
}

/// Writes one line of the report.
pub fn line(line: fmt::Arguments<'_>) {
    // `Port` never fails, and there is nobody to tell.
    let _ = writeln!(Port, "{line}");
}

/// Waits until the host sends a byte, and takes it.
pub fn wait_for_byte() {
    uart::receive();
}

/// Writes the report's last line where the run can't go on: what stopped it.
/// Allocates nothing, so that it works in an exception handler.
pub fn stop(reason: fmt::Arguments<'_>) {
    let _ = Port.write_str("{\"stop\":{\"reason\":\"");
    let _ = Escaped.write_fmt(reason);
    let _ = Port.write_str("\"}}\n");
}
