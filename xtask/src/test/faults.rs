//! A driver that was broken on purpose is caught, with a message that names what
//! is wrong.

use std::path::Path;

use anyhow::{Result, bail};

use super::{Tally, qemu};
use crate::{
    elsewhere::{Elsewhere, shipped},
    mutants::{NOT_REGISTERED, WRONG_BYTE, WRONG_SIZE},
    patch,
};

/// Runs the suite.
pub fn run(tally: &mut Tally) -> Result<()> {
    let shipped = shipped()?;
    let kernel = kit::build_guest(kit::Architecture::X64)?;
    let elsewhere = Elsewhere::new()?;
    for (fault, message) in [
        (
            NOT_REGISTERED,
            "expected PANICKED, the host saw nothing; the driver registered no callback",
        ),
        (WRONG_BYTE, "expected PANICKED, the host saw nothing"),
        (WRONG_SIZE, "WDF_PNPPOWER_EVENT_CALLBACKS has Size"),
    ] {
        let caught = elsewhere
            .build_with(&fault)
            .and_then(|driver| caught(&driver, &kernel, message));
        tally.check(fault.name, caught);
    }
    tally.check(
        "a KMDF function is called by the wrong index",
        wrong_index(&shipped)
            .and_then(|driver| caught(&driver, &kernel, "WdfDeviceGetDeviceState")),
    );
    Ok(())
}

/// The driver must fail, with these words.
fn caught(driver: &[u8], kernel: &Path, message: &str) -> Result<()> {
    match qemu::first_failure(driver, kernel) {
        Some(reason) if reason.contains(message) => Ok(()),
        Some(reason) => bail!("caught, but without a word of {message:?}: {reason}"),
        None => bail!("nothing noticed it"),
    }
}

/// The shipped driver with one function of the framework's table exchanged for
/// its neighbour: `WdfDeviceSetDeviceState` (29) for `WdfDeviceGetDeviceState`
/// (28), in the call through the table.
fn wrong_index(image: &[u8]) -> Result<Vec<u8>> {
    const RIGHT: [u8; 4] = (29_u32 * 8).to_le_bytes();
    const WRONG: [u8; 4] = (28_u32 * 8).to_le_bytes();
    // call qword ptr [register + displacement]: FF /2 with 32 bits of displacement.
    let calls: Vec<usize> = image
        .windows(6)
        .enumerate()
        .filter(|(_, bytes)| bytes[0] == 0xFF && bytes[1] & 0xF8 == 0x90 && bytes[2..] == RIGHT)
        .map(|(at, _)| at)
        .collect();
    let [at] = calls[..] else {
        bail!(
            "the image has {} calls of that function instead of one",
            calls.len()
        );
    };
    let mut driver = image.to_vec();
    driver[at + 2..at + 6].copy_from_slice(&WRONG);
    patch::seal(driver)
}
