//! The other processors (`-smp`): started when the first of them is needed, and
//! then standing still until one gets work. Only one processor does anything at a
//! time.

use crate::{fw_cfg, interrupts, paging};
use alloc::vec;
use core::{
    hint::spin_loop,
    ptr::{self, NonNull},
    sync::atomic::{AtomicBool, AtomicPtr, AtomicU32, AtomicU64, AtomicUsize, Ordering},
};
use nt_model::PAGE_SIZE;
use x86_64::{
    PhysAddr,
    instructions::port::Port,
    registers::control::{Cr3, Cr3Flags},
    structures::paging::PhysFrame,
};

/// Bytes of a processor's stack: the model works on it.
const STACK_SIZE: usize = 256 << 10;

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

/// The stack of the processor that is being started; boot.s takes it.
#[unsafe(no_mangle)]
static processor_stack: AtomicUsize = AtomicUsize::new(0);

/// The page tables of all.
static TABLES: AtomicU64 = AtomicU64::new(0);

/// Whether the processors were started, and how many were.
static STARTED: AtomicBool = AtomicBool::new(false);
static ARRIVED: AtomicU32 = AtomicU32::new(0);

/// The processor that has work, or 0, and a pointer to the work.
static TARGET: AtomicU32 = AtomicU32::new(0);
static WORK: AtomicPtr<&mut dyn FnMut()> = AtomicPtr::new(ptr::null_mut());

unsafe extern "C" {
    static processor_start: u8;
    static processor_start_end: u8;
}

/// Runs `work` on the processor of this number; `false` if there is none. The one
/// that calls this has number 0 and stands still meanwhile.
pub fn run_on(processor: u32, mut work: &mut dyn FnMut()) -> bool {
    if processor == 0 {
        work();
        return true;
    }
    if !STARTED.swap(true, Ordering::Relaxed) {
        start_all();
    }
    if processor > ARRIVED.load(Ordering::Acquire) {
        return false;
    }
    // The pointer loses the lifetime, but is used no longer than this waits.
    WORK.store((&raw mut work).cast(), Ordering::Relaxed);
    TARGET.store(processor, Ordering::Release);
    while TARGET.load(Ordering::Acquire) != 0 {
        spin_loop();
    }
    forget_mappings();
    true
}

/// Starts the processors one after the other, as far as they come.
fn start_all() {
    let (root, _) = Cr3::read();
    TABLES.store(root.start_address().as_u64(), Ordering::Relaxed);
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
        let stack = vec![0_u128; STACK_SIZE / size_of::<u128>()].leak();
        processor_stack.store(stack.as_ptr_range().end.addr(), Ordering::Release);
        send(apic, id, INIT);
        wait(DELAY, || false);
        let vector = START_UP | u32::try_from(START / PAGE_SIZE as u64).unwrap_or(0);
        send(apic, id, vector);
        if !wait(PATIENCE, || ARRIVED.load(Ordering::Acquire) == id) {
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

/// Where boot.s arrives on another processor, on a stack of its own.
#[unsafe(no_mangle)]
extern "C" fn processor() -> ! {
    forget_mappings();
    interrupts::enable();
    let number = ARRIVED.fetch_add(1, Ordering::Release) + 1;
    loop {
        if TARGET.load(Ordering::Acquire) != number {
            spin_loop();
            continue;
        }
        forget_mappings();
        // SAFETY: `run_on` set it and waits, so that the work is there and no
        // other processor's.
        let work = unsafe { &mut *WORK.load(Ordering::Relaxed) };
        work();
        TARGET.store(0, Ordering::Release);
    }
}

/// Loads the page tables anew: another processor may have changed them.
fn forget_mappings() {
    let root = PhysFrame::containing_address(PhysAddr::new(TABLES.load(Ordering::Relaxed)));
    // SAFETY: these tables are in use on all processors, for good.
    unsafe { Cr3::write(root, Cr3Flags::empty()) };
}
