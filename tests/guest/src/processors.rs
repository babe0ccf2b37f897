//! The other processors (`-smp`): started when the first of them is needed, and
//! then standing still until one gets work. Only one processor does anything at a
//! time.

use crate::arch::{self, interrupts, paging};
use alloc::vec;
use core::{
    hint::spin_loop,
    ptr,
    sync::atomic::{AtomicBool, AtomicPtr, AtomicU32, AtomicUsize, Ordering},
};

/// Bytes of a processor's stack: the model works on it.
const STACK_SIZE: usize = 256 << 10;

/// The stack of the processor that is being started; boot.s takes it.
#[unsafe(no_mangle)]
static processor_stack: AtomicUsize = AtomicUsize::new(0);

/// Whether the processors were started, and how many were.
static STARTED: AtomicBool = AtomicBool::new(false);
static ARRIVED: AtomicU32 = AtomicU32::new(0);

/// The processor that has work, or 0, and a pointer to the work.
static TARGET: AtomicU32 = AtomicU32::new(0);
static WORK: AtomicPtr<&mut dyn FnMut()> = AtomicPtr::new(ptr::null_mut());

/// Makes a stack for the processor that is started next.
pub fn make_stack() {
    let stack = vec![0_u128; STACK_SIZE / size_of::<u128>()].leak();
    processor_stack.store(stack.as_ptr_range().end.addr(), Ordering::Release);
}

/// Whether the processor of this number has come.
pub fn has_arrived(number: u32) -> bool {
    ARRIVED.load(Ordering::Acquire) == number
}

/// Runs `work` on the processor of this number; `false` if there is none. The one
/// that calls this has number 0 and stands still meanwhile.
pub fn run_on(processor: u32, mut work: &mut dyn FnMut()) -> bool {
    if processor == 0 {
        work();
        return true;
    }
    if !STARTED.swap(true, Ordering::Relaxed) {
        arch::processors::start_all();
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
    paging::forget_mappings();
    true
}

/// Where boot.s arrives on another processor, on a stack of its own.
#[unsafe(no_mangle)]
extern "C" fn processor() -> ! {
    paging::forget_mappings();
    interrupts::enable();
    let number = ARRIVED.fetch_add(1, Ordering::Release) + 1;
    loop {
        if TARGET.load(Ordering::Acquire) != number {
            spin_loop();
            continue;
        }
        paging::forget_mappings();
        // SAFETY: `run_on` set it and waits, so that the work is there and no
        // other processor's.
        let work = unsafe { &mut *WORK.load(Ordering::Relaxed) };
        work();
        TARGET.store(0, Ordering::Release);
    }
}
