//! `bench`: sizes and times, as figures to compare and not as tests.

use std::{
    fs,
    path::Path,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use e2e::{
    matrix::matching,
    qemu::Config,
    run::{self, Outcome},
};
use kit::Architecture;

use crate::{
    coverage,
    elsewhere::{Elsewhere, shipped},
};

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
    let kernel = kit::build_guest(Architecture::X64)?;
    for architecture in Architecture::ALL {
        size(architecture)?;
    }
    crash_path(&image, &kernel)?;
    crash_path_on_arm64()?;
    time_to_event(&image, &kernel)?;
    build_times()?;
    println!("\n{VIRTIO_WIN}");
    Ok(())
}

fn size(architecture: Architecture) -> Result<()> {
    let image = fs::read(kit::build_driver(architecture)?)?;
    println!("size of pvpanic.sys for {architecture}");
    println!("  {:<10} {:>6} bytes", "file", image.len());
    for (name, used, stored) in kit::image::sections(&image) {
        println!("  {name:<10} {stored:>6} bytes, {used} used");
    }
    println!();
    Ok(())
}

fn crash_path(image: &[u8], kernel: &Path) -> Result<()> {
    println!(
        "crash path: instructions from the callback's entry to the byte (ARM64: by disassembly); stack in bytes"
    );
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

fn crash_path_on_arm64() -> Result<()> {
    for (event, instructions) in to_each_event_on_arm64()? {
        println!(
            "  {:<12} {event:<13} {instructions:>3} instructions, 0 bytes",
            "arm64"
        );
    }
    Ok(())
}

/// Each event, and the instructions from its callback's entry to the byte, by
/// disassembly of the shipped driver for ARM64.
///
/// # Errors
///
/// If a callback can't be read, or does not write as [`to_the_byte`] wants it.
pub fn to_each_event_on_arm64() -> Result<Vec<(&'static str, usize)>> {
    let driver = kit::build_driver(Architecture::Arm64)?;
    let map = fs::read_to_string(driver.with_extension("map"))?;
    let mut events = Vec::new();
    for (event, callback) in [("PANICKED", "on_bug_check"), ("CRASH_LOADED", "on_dump_io")] {
        let entry = kit::image::symbols(&map)
            .find(|(name, _)| name.ends_with(callback))
            .map(|(_, address)| address)
            .with_context(|| format!("the map has no {callback}"))?;
        let mut command = coverage::tool("llvm-objdump");
        command
            .args(["-d", "--no-show-raw-insn"])
            .arg(format!("--start-address={entry:#x}"))
            .arg(&driver);
        let text = coverage::output(command, None)?;
        events.push((event, to_the_byte(&text).context(callback)?));
    }
    Ok(events)
}

/// Counts a callback's instructions up to the store of the event.
///
/// Up to its `ret` it has to go straight but for conditional branches, to use no
/// stack, and to have two barriers with nothing but a plain store between them: no
/// test in QEMU would notice a barrier that is missing, or write-back.
fn to_the_byte(disassembly: &str) -> Result<usize> {
    let path: Vec<&str> = disassembly
        .lines()
        .filter_map(|line| {
            let (address, instruction) = line.split_once(':')?;
            u64::from_str_radix(address.trim(), 16).ok()?;
            Some(instruction.trim())
        })
        .take_while(|instruction| *instruction != "ret")
        .collect();
    for instruction in &path {
        let mut words =
            instruction.split(|letter: char| !letter.is_alphanumeric() && letter != '.');
        let name = words.next().unwrap_or_default();
        ensure!(
            !["b", "bl", "br", "blr"].contains(&name),
            "it does not go straight: {instruction}"
        );
        ensure!(
            words.all(|word| word != "sp"),
            "it uses the stack: {instruction}"
        );
    }
    let barriers: Vec<usize> = (0..)
        .zip(&path)
        .filter(|(_, instruction)| **instruction == "dsb\tsy")
        .map(|(index, _)| index)
        .collect();
    let &[before, after] = barriers.as_slice() else {
        bail!("it has not two barriers, but {}", barriers.len());
    };
    let between = path.get(before + 1..after).unwrap_or_default();
    ensure!(
        matches!(between, [store] if is_plain_store(store)),
        "between its barriers is not a plain store of a byte: {between:?}"
    );
    Ok(before + 2)
}

/// `strb wN, [xN]`, without offset and write-back.
fn is_plain_store(instruction: &str) -> bool {
    let words: Vec<&str> = instruction.split_whitespace().collect();
    matches!(words.as_slice(), ["strb", _, address]
        if address.starts_with("[x") && address.ends_with(']'))
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
    let elsewhere = Elsewhere::fresh()?;
    for architecture in Architecture::ALL {
        println!("\ntime to build pvpanic.sys for {architecture}, with the compiler unpacked");
        let build = || elsewhere.build(architecture);
        let cold = timed(build)?;
        let what = match architecture {
            Architecture::X64 => "cold, library and bindings too",
            Architecture::Arm64 => "the same, after x64",
        };
        println!("  {what:<30} {:>6.1} s", cold.as_secs_f64());
        elsewhere.touch("driver/src/lib.rs")?;
        let warm = timed(build)?;
        println!(
            "  {:<30} {:>6.1} s, 1/{:.0} of it",
            "one source file changed",
            warm.as_secs_f64(),
            cold.as_secs_f64() / warm.as_secs_f64()
        );
        let idle = timed(build)?;
        println!("  {:<30} {:>6.1} s", "nothing changed", idle.as_secs_f64());
    }
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

#[cfg(test)]
mod tests {
    use super::to_the_byte;

    const CALLBACK: &str = "a.sys:\tfile format coff-arm64\n\n1000 <f>:\n\
                            1000:     \tldrb\tw8, [x1]\n\
                            1004:     \tb.eq\t0x1014 <f+0x14>\n\
                            1008:     \tdsb\tsy\n\
                            100c:     \tstrb\tw8, [x9]\n\
                            1010:     \tdsb\tsy\n\
                            1014:     \tret\n\
                            1018:     \tstp\tx29, x30, [sp, #-0x10]!\n";

    #[test]
    fn instructions_are_counted_up_to_the_store_between_barriers() {
        assert_eq!(to_the_byte(CALLBACK).expect("it is as it should be"), 4);
    }

    #[test]
    fn a_store_without_both_barriers_with_write_back_or_with_stack_is_refused() {
        for (good, bad, message) in [
            ("1010:     \tdsb\tsy", "1010:     \tnop", "barriers, but 1"),
            (
                "1008:     \tdsb\tsy",
                "1008:     \tdmb\tsy",
                "barriers, but 1",
            ),
            ("[x9]", "[x9], #0x1", "plain store"),
            ("[x9]", "[x9, #0x1]!", "plain store"),
            ("strb\tw8, [x9]", "nop", "plain store"),
            ("ldrb\tw8, [x1]", "ldrb\tw8, [sp]", "the stack"),
            ("ldrb\tw8, [x1]", "bl\t0x2000", "straight"),
            ("ldrb\tw8, [x1]", "ret", "barriers, but 0"),
        ] {
            assert!(CALLBACK.contains(good), "{good}");
            let error = to_the_byte(&CALLBACK.replace(good, bad)).expect_err(bad);
            assert!(error.to_string().contains(message), "{bad}: {error}");
        }
    }
}
