//! COM1, polled.

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

/// Sends a byte.
pub fn send(byte: u8) {
    let mut data: Port<u8> = Port::new(COM1);
    let mut status: Port<u8> = Port::new(COM1 + 5);
    // Bit 5: the transmitter takes a byte.
    // SAFETY: reading the line status has no effect on memory.
    while unsafe { status.read() } & 0x20 == 0 {
        core::hint::spin_loop();
    }
    // SAFETY: the port only sends the byte.
    unsafe { data.write(byte) };
}

/// Waits for a byte, and takes it.
pub fn receive() -> u8 {
    let mut data: Port<u8> = Port::new(COM1);
    let mut status: Port<u8> = Port::new(COM1 + 5);
    // Bit 0: the receiver has a byte.
    // SAFETY: reading the line status has no effect on memory.
    while unsafe { status.read() } & 1 == 0 {
        core::hint::spin_loop();
    }
    // SAFETY: the port only gives the byte.
    unsafe { data.read() }
}
