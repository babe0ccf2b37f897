//! The report: COM1, polled, and nothing else on that port; what comes in is the
//! host's word that it has done what the report asks for.

use core::fmt::{self, Write};
use x86_64::instructions::port::Port;

/// First port of COM1, a 16550.
const COM1: u16 = 0x3F8;

/// Programs the line: 115,200 baud, 8 data bits, FIFO on, no interrupts.
pub fn initialise() {
    for (register, value) in [
        (1, 0x00), // no interrupts
        (3, 0x80), // divisor latch on
        (0, 0x01), // divisor 1
        (1, 0x00),
        (3, 0x03), // 8N1, divisor latch off
        (2, 0x07), // FIFO on and cleared
    ] {
        let mut port: Port<u8> = Port::new(COM1 + register);
        // SAFETY: COM1 is this program's own; none of its registers touches memory.
        unsafe { port.write(value) };
    }
}

/// COM1 as a text sink.
struct Com1;

impl Write for Com1 {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let mut data: Port<u8> = Port::new(COM1);
        let mut status: Port<u8> = Port::new(COM1 + 5);
        for byte in text.bytes() {
            // Bit 5: the transmitter takes a byte.
            // SAFETY: reading the line status has no effect on memory.
            while unsafe { status.read() } & 0x20 == 0 {
                core::hint::spin_loop();
            }
            // SAFETY: the port only sends the byte.
            unsafe { data.write(byte) };
        }
        Ok(())
    }
}

/// Text inside a JSON string, escaped on the way out, without allocating.
struct Escaped;

impl Write for Escaped {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for character in text.chars() {
            match character {
                '"' | '\\' => write!(Com1, "\\{character}")?,
                '\0'..='\x1F' => write!(Com1, "\\u{:04x}", u32::from(character))?,
                _ => Com1.write_char(character)?,
            }
        }
        Ok(())
    }
}

/// Writes one line of the report.
pub fn line(line: fmt::Arguments<'_>) {
    // `Com1` never fails, and there is nobody to tell.
    let _ = writeln!(Com1, "{line}");
}

/// Waits until the host sends a byte, and takes it.
pub fn wait_for_byte() {
    let mut data: Port<u8> = Port::new(COM1);
    let mut status: Port<u8> = Port::new(COM1 + 5);
    // Bit 0: the receiver has a byte.
    // SAFETY: reading the line status has no effect on memory.
    while unsafe { status.read() } & 1 == 0 {
        core::hint::spin_loop();
    }
    // SAFETY: the port only gives the byte.
    unsafe { data.read() };
}

/// Writes the report's last line where the run can't go on: what stopped it.
/// Allocates nothing, so that it works in an exception handler.
pub fn stop(reason: fmt::Arguments<'_>) {
    let _ = Com1.write_str("{\"stop\":{\"reason\":\"");
    let _ = Escaped.write_fmt(reason);
    let _ = Com1.write_str("\"}}\n");
}
