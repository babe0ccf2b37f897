//! `bench`: sizes and times, as figures to compare and not as tests.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use e2e::{
    matrix::matching,
    qemu::Config,
    run::{self, Outcome},
};

use crate::elsewhere::{Elsewhere, shipped};

/// virtio-win's driver, for scale: bytes as released and signed, and compiled
/// without tracing by clang and lld; instructions from the callback's entry to
/// the byte for each event. Measured once, not here.
const VIRTIO_WIN: &str = "virtio-win's, for scale: 15360 bytes unsigned, 27328 signed, \
                          6656 built by clang without tracing; \
                          11 instructions to PANICKED, 16 to CRASH_LOADED";

/// Guests that are started for the time to the event.
const RUNS: usize = 50;

/// Runs all benchmarks.
///
/// # Errors
///
/// If something can't be built or run.
pub fn bench() -> Result<()> {
    kit::setup(kit::Purpose::Run)?;
    let image = shipped()?;
    let kernel = kit::build_guest()?;
    size(&image);
    crash_path(&image, &kernel)?;
    time_to_event(&image, &kernel)?;
    build_times()?;
    println!("\n{VIRTIO_WIN}");
    Ok(())
}

fn size(image: &[u8]) {
    println!("size of pvpanic.sys");
    println!("  {:<10} {:>6} bytes", "file", image.len());
    for (name, used, stored) in kit::image::sections(image) {
        println!("  {name:<10} {stored:>6} bytes, {used} used");
    }
}

fn crash_path(image: &[u8], kernel: &Path) -> Result<()> {
    println!("\ncrash path: instructions from the callback's entry to the byte; stack in bytes");
    for device in ["pvpanic", "pvpanic-pci"] {
        for (event, crash) in [("PANICKED", "no-dump"), ("CRASH_LOADED", "dump")] {
            let outcome = boot(image, kernel, device, crash, "observe\n")?;
            let instructions = outcome
                .report
                .all("observed")
                .find_map(|it| it["instructions_to_output"].as_u64())
                .with_context(|| format!("{device} did not write {event}"))?;
            let stack = outcome
                .report
                .all("stack")
                .filter(|it| {
                    it["callback"] == "BugCheckCallback" || it["callback"] == "KbCallbackDumpIo"
                })
                .filter_map(|it| it["bytes"].as_u64())
                .max()
                .unwrap_or_default();
            println!("  {device:<12} {event:<13} {instructions:>3} instructions, {stack} bytes");
        }
    }
    Ok(())
}

fn time_to_event(image: &[u8], kernel: &Path) -> Result<()> {
    let mut times = Vec::new();
    for _ in 0..RUNS {
        let outcome = boot(image, kernel, "pvpanic", "no-dump", "")?;
        let stop = outcome
            .report
            .lines
            .iter()
            .find(|line| line.kind == "bugcheck")
            .context("the guest did not crash")?;
        let event = outcome
            .events
            .iter()
            .find(|event| event.name == "GUEST_PANICKED")
            .context("the host saw no event")?;
        times.push(event.at.saturating_duration_since(stop.at));
    }
    times.sort_unstable();
    println!(
        "\ntime from the guest's STOP line to the QMP event, as this process reads both, {RUNS} guests"
    );
    let at = |share: usize| {
        times
            .get(times.len() * share / 100)
            .copied()
            .unwrap_or_default()
    };
    println!(
        "  median {} µs, 90 % below {} µs, most {} µs",
        at(50).as_micros(),
        at(90).as_micros(),
        times.last().copied().unwrap_or_default().as_micros()
    );
    Ok(())
}

fn build_times() -> Result<()> {
    println!("\ntime to build pvpanic.sys, with the compiler unpacked");
    let elsewhere = Elsewhere::fresh()?;
    let cold = timed(|| elsewhere.build())?;
    println!(
        "  {:<30} {:>6.1} s",
        "cold, library and bindings too",
        cold.as_secs_f64()
    );
    elsewhere.touch("driver/src/lib.rs")?;
    let warm = timed(|| elsewhere.build())?;
    println!(
        "  {:<30} {:>6.1} s, 1/{:.0} of it",
        "one source file changed",
        warm.as_secs_f64(),
        cold.as_secs_f64() / warm.as_secs_f64()
    );
    let idle = timed(|| elsewhere.build())?;
    println!("  {:<30} {:>6.1} s", "nothing changed", idle.as_secs_f64());
    Ok(())
}

fn timed<T>(act: impl FnOnce() -> Result<T>) -> Result<Duration> {
    let start = Instant::now();
    act()?;
    Ok(start.elapsed())
}

fn boot(image: &[u8], kernel: &Path, device: &str, crash: &str, how: &str) -> Result<Outcome> {
    let matches = matching();
    let scenario = format!("{how}{matches}load\nstart\nbugcheck 0xE2 {crash}\n");
    let outcome = run::run(&Config {
        devices: vec![device.to_owned()],
        ..Config::new(kernel, image.to_vec(), &scenario)
    })?
    .accepted()?;
    if let Some(violation) = outcome.violations().first() {
        bail!("the driver broke a rule: {violation}");
    }
    Ok(outcome)
}
