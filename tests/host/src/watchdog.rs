//! Ends the process when a driver hangs: its code runs in this one, so that
//! nothing else could.

use std::{
    process,
    sync::{
        Once,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    thread,
    time::Duration,
};

/// A life takes less than a millisecond, or seconds where it is single-stepped on
/// a busy machine.
const LONGEST: u64 = 60;

/// How many lives have begun, and how many have ended.
static BEGUN: AtomicU64 = AtomicU64::new(0);
static ENDED: AtomicU64 = AtomicU64::new(0);

/// Watches over `life`.
pub fn watch<R>(life: impl FnOnce() -> R) -> R {
    static STARTED: Once = Once::new();
    STARTED.call_once(|| {
        thread::spawn(look);
    });
    BEGUN.fetch_add(1, Relaxed);
    let result = life();
    ENDED.fetch_add(1, Relaxed);
    result
}

fn look() {
    let (mut current, mut seconds) = (0, 0);
    loop {
        thread::sleep(Duration::from_secs(1));
        let begun = BEGUN.load(Relaxed);
        if begun == ENDED.load(Relaxed) || begun != current {
            (current, seconds) = (begun, 0);
            continue;
        }
        seconds += 1;
        if seconds > LONGEST {
            eprintln!("the driver hangs: life number {begun} has not ended in {LONGEST} s");
            process::abort();
        }
    }
}
