//! Starting other processors, by their local APICs.

use super::{fw_cfg, paging};
use crate::processors;
use core::ptr::{self, NonNull};
use nt_model::PAGE_SIZE;
use x86_64::instructions::port::Port;

/// Where a processor starts: a page that firmware has no more use for.
const START: u64 = 0x8000;

/// The local APIC of the processor that reads it, and its interrupt command
/// register (Intel SDM 3, "Advanced Programmable Interrupt Controller").
const APIC: u64 = 0xFEE0_0000;
const COMMAND: usize = 0x300;
const DESTINATION: usize = 0x310;
/// INIT and start-up, at the page whose number is in the low byte.
const INIT: u32 = 0x4500;
const START_UP: u32 = 0x4600;

/// Writes to the port of power-on self-test codes, each about a microsecond.
const DELAY: u32 = 10_000;
const PATIENCE: u32 = 2_000_000;

unsafe extern "C" {
    static processor_start: u8;
    static processor_start_end: u8;
}

/// Starts the processors one after the other, as far as they come.
pub fn start_all() {
    let (Some(apic), Some(page)) = (paging::map(APIC, PAGE_SIZE), paging::map(START, PAGE_SIZE))
    else {
        return;
    };
    let code = &raw const processor_start;
    let length = (&raw const processor_start_end).addr() - code.addr();
    // SAFETY: boot.s has this many bytes there, and less than a page of them; the
    // page is usable memory that nobody uses.
    unsafe { ptr::copy_nonoverlapping(code, page.as_ptr(), length) };
    for id in 1..u32::from(fw_cfg::processors()) {
        processors::make_stack();
        send(apic, id, INIT);
        wait(DELAY, || false);
        let vector = START_UP | u32::try_from(START / PAGE_SIZE as u64).unwrap_or(0);
        send(apic, id, vector);
        if !wait(PATIENCE, || processors::has_arrived(id)) {
            break;
        }
    }
    paging::unmap(page, PAGE_SIZE);
    paging::unmap(apic, PAGE_SIZE);
}

/// Sends an interrupt command.
fn send(apic: NonNull<u8>, id: u32, command: u32) {
    for (offset, value) in [(DESTINATION, id << 24), (COMMAND, command)] {
        // SAFETY: the register lies within the mapped page.
        let register = unsafe { apic.byte_add(offset) }.cast::<u32>();
        // SAFETY: a register of this processor's own APIC, which is mapped.
        unsafe { register.write_volatile(value) };
    }
}

/// Waits until it is `done`, for so many microseconds at most.
fn wait(microseconds: u32, done: impl Fn() -> bool) -> bool {
    let mut delay: Port<u8> = Port::new(0x80);
    (0..microseconds).any(|_| {
        // SAFETY: the port only shows what is written.
        unsafe { delay.write(0) };
        done()
    })
}
