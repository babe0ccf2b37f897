//! Serial ports, polled.

use x86_64::instructions::port::Port;

/// A 16550, by its first port.
#[derive(Clone, Copy)]
pub struct Uart(u16);

/// The port of the report.
pub const COM1: Uart = Uart(0x3F8);

/// The port of the guest agent.
pub const COM2: Uart = Uart(0x2F8);

impl Uart {
    /// Programs the line: 115,200 baud, 8 data bits, FIFO on, no interrupts.
    pub fn initialise(self) {
        for (register, value) in [
            (1, 0x00), // no interrupts
            (3, 0x80), // divisor latch on
            (0, 0x01), // divisor 1
            (1, 0x00),
            (3, 0x03), // 8N1, divisor latch off
            (2, 0x07), // FIFO on and cleared
        ] {
            let mut port: Port<u8> = Port::new(self.0 + register);
            // SAFETY: the serial ports are this program's own; none of their
            // registers touches memory.
            unsafe { port.write(value) };
        }
    }

    /// Sends a byte.
    pub fn send(self, byte: u8) {
        // Bit 5: the transmitter takes a byte.
        while self.status() & 0x20 == 0 {
            core::hint::spin_loop();
        }
        let mut data: Port<u8> = Port::new(self.0);
        // SAFETY: the port only sends the byte.
        unsafe { data.write(byte) };
    }

    /// Takes a byte, if one has come.
    pub fn take(self) -> Option<u8> {
        let mut data: Port<u8> = Port::new(self.0);
        // Bit 0: the receiver has a byte.
        // SAFETY: the port only gives the byte.
        (self.status() & 1 != 0).then(|| unsafe { data.read() })
    }

    fn status(self) -> u8 {
        let mut status: Port<u8> = Port::new(self.0 + 5);
        // SAFETY: reading the line status has no effect on memory.
        unsafe { status.read() }
    }
}

/// Sends a byte of the report.
pub fn send(byte: u8) {
    COM1.send(byte);
}

/// Waits for a byte from the host, and takes it.
pub fn receive() -> u8 {
    loop {
        if let Some(byte) = COM1.take() {
            return byte;
        }
        core::hint::spin_loop();
    }
}
