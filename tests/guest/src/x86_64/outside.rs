//! What the machine's user can do from outside while the guest stands idle: give it
//! a non-maskable interrupt, type on its keyboard, and ask its guest agent.

use super::uart::{COM2, Uart};
use alloc::vec::Vec;
use core::{
    hint::spin_loop,
    sync::atomic::{AtomicBool, Ordering},
};
use nt_model::CrashedBy;
use x86_64::instructions::port::Port;

/// The keyboard controller's ports, and its status bits: a byte is there; it is the
/// mouse's.
const KEYBOARD_DATA: u16 = 0x60;
const KEYBOARD_STATUS: u16 = 0x64;
const FULL: u8 = 1;
const MOUSE: u8 = 1 << 5;

/// Scan codes, set 1: the prefix of further keys, and what a release adds.
const FURTHER: u8 = 0xE0;
const RELEASE: u8 = 0x80;
const CTRL: u8 = 0x1D;
const SCROLL_LOCK: u8 = 0x46;

/// What goes before the answer to a `guest-sync-delimited`.
const DELIMITER: u8 = 0xFF;

/// The longest question to the guest agent that is read.
const QUESTION: usize = 256;

/// A non-maskable interrupt has come.
static NMI: AtomicBool = AtomicBool::new(false);

/// Takes in a non-maskable interrupt: it counts when the guest stands idle, as in
/// the middle of the model's work there is no state to crash in.
pub fn nmi() {
    NMI.store(true, Ordering::Relaxed);
}

/// Stands idle until the user crashes the machine.
pub fn idle() -> CrashedBy {
    let mut keyboard = Keyboard::default();
    let mut agent = Agent::new(COM2);
    loop {
        if NMI.load(Ordering::Relaxed) {
            return CrashedBy::Nmi;
        }
        if keyboard.poll() {
            return CrashedBy::Keyboard;
        }
        agent.poll();
        spin_loop();
    }
}

/// The PS/2 keyboard, as far as two keys go.
#[derive(Default)]
struct Keyboard {
    further: bool,
    ctrl: bool,
    presses: u32,
}

impl Keyboard {
    /// Whether right Ctrl is held and Scroll Lock was pressed twice meanwhile.
    fn poll(&mut self) -> bool {
        let mut status: Port<u8> = Port::new(KEYBOARD_STATUS);
        let mut data: Port<u8> = Port::new(KEYBOARD_DATA);
        // SAFETY: reading the status has no effect on memory.
        let state = unsafe { status.read() };
        if state & FULL == 0 {
            return false;
        }
        // SAFETY: the port only gives the byte.
        let code = unsafe { data.read() };
        if state & MOUSE == 0 {
            self.take(code);
        }
        self.presses >= 2
    }

    const fn take(&mut self, code: u8) {
        if code == FURTHER {
            self.further = true;
            return;
        }
        let pressed = code & RELEASE == 0;
        match (self.further, code & !RELEASE) {
            (true, CTRL) => {
                self.ctrl = pressed;
                self.presses = 0;
            }
            (false, SCROLL_LOCK) if self.ctrl && pressed => self.presses += 1,
            _ => {}
        }
        self.further = false;
    }
}

/// A guest agent that knows how to say that it is there.
struct Agent {
    port: Uart,
    question: Vec<u8>,
}

impl Agent {
    fn new(port: Uart) -> Self {
        port.initialise();
        Self {
            port,
            question: Vec::with_capacity(QUESTION),
        }
    }

    fn poll(&mut self) {
        match self.port.take() {
            None => {}
            Some(b'\n') => {
                self.answer();
                self.question.clear();
            }
            // A port that is not there gives the same byte for ever.
            Some(_) if self.question.len() == QUESTION => self.question.clear(),
            Some(byte) => self.question.push(byte),
        }
    }

    fn answer(&self) {
        let find = |word: &[u8]| self.question.windows(word.len()).position(|it| it == word);
        if find(b"\"guest-ping\"").is_some() {
            self.send(b"{\"return\": {}}\n");
        } else if find(b"\"guest-sync-delimited\"").is_some() {
            let id = find(b"\"id\":").map_or(0, |at| at + 5);
            let rest = self.question.get(id..).unwrap_or_default();
            let length = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
            self.port.send(DELIMITER);
            self.send(b"{\"return\": ");
            self.send(rest.get(..length).unwrap_or_default());
            self.send(b"}\n");
        }
    }

    fn send(&self, bytes: &[u8]) {
        for &byte in bytes {
            self.port.send(byte);
        }
    }
}
