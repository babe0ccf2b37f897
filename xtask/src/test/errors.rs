//! Bad input gets a clear error: what failed, on what, and what to do.

use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use e2e::{
    qemu::{Config, HostAction},
    run::{self, Outcome},
};

use super::Tally;
use crate::{elsewhere::shipped, patch};

/// Most lines that an error may have: one screen.
const SCREEN: usize = 24;

/// Runs the suite.
pub fn run(tally: &mut Tally) -> Result<()> {
    let image = shipped()?;
    let kernel = kit::build_guest(kit::Architecture::X64)?;
    let driver = |name: &str, image: Result<Vec<u8>>, words: &str, tally: &mut Tally| {
        let result = image.and_then(|image| {
            refused(
                &Config::new(&kernel, image, "match ACPI\\QEMU0001\nload\n"),
                words,
            )
        });
        tally.check(name, result);
    };
    driver("a driver that is no PE", Ok(b"hello".to_vec()), "PE", tally);
    driver("an empty driver", Ok(Vec::new()), "PE", tally);
    driver(
        "a truncated driver",
        patch::seal(image[..2048].to_vec()),
        "truncated",
        tally,
    );
    driver("a 32-bit driver", for_x86(&image), "32-bit", tally);
    driver(
        "a driver that imports an unknown function",
        renamed(
            &image,
            b"KeRegisterBugCheckCallback\0",
            b"KeRegisterBugCheckCallbacx\0",
        ),
        "KeRegisterBugCheckCallbacx",
        tally,
    );
    driver(
        "a relocation outside the image",
        relocated(&image),
        "relocation",
        tally,
    );
    let whole = || {
        Config::new(
            &kernel,
            image.clone(),
            "match ACPI\\QEMU0001\nload\nwait kill\n",
        )
    };
    tally.check(
        "a scenario with a bad line",
        refused(&Config::new(&kernel, image.clone(), "laod\n"), "line 1"),
    );
    tally.check(
        "no QEMU",
        refused(
            &Config {
                program: PathBuf::from("/nowhere/qemu-system-x86_64"),
                ..whole()
            },
            "cargo xtask setup",
        ),
    );
    tally.check(
        "a QEMU that refuses its arguments",
        refused(
            &Config {
                machine: "nonsense".to_owned(),
                ..whole()
            },
            "unsupported machine type",
        ),
    );
    tally.check(
        "a QEMU that dies",
        refused(
            &Config {
                host: vec![HostAction::Kill],
                ..whole()
            },
            "QEMU died",
        ),
    );
    Ok(())
}

/// The run must fail, with these words, on one screen.
fn refused(config: &Config, words: &str) -> Result<()> {
    let error = match run::run(config).and_then(Outcome::accepted) {
        Ok(_) => bail!("it was accepted"),
        Err(error) => format!("{error:#}"),
    };
    if !error.contains(words) {
        bail!("an error without a word of {words:?}: {error}");
    }
    if error.lines().count() > SCREEN {
        bail!("more than a screen: {error}");
    }
    println!("          {error}");
    Ok(())
}

fn for_x86(image: &[u8]) -> Result<Vec<u8>> {
    const IMAGE_FILE_MACHINE_I386: [u8; 2] = 0x014C_u16.to_le_bytes();
    const PE32: [u8; 2] = 0x010B_u16.to_le_bytes();
    let header = patch::header(image)?;
    let mut image = image.to_vec();
    image[header + 4..header + 6].copy_from_slice(&IMAGE_FILE_MACHINE_I386);
    image[header + 24..header + 26].copy_from_slice(&PE32);
    patch::seal(image)
}

fn renamed(image: &[u8], from: &[u8], to: &[u8]) -> Result<Vec<u8>> {
    let at = image
        .windows(from.len())
        .position(|bytes| bytes == from)
        .context("the image does not have the name")?;
    let mut image = image.to_vec();
    image[at..at + to.len()].copy_from_slice(to);
    patch::seal(image)
}

/// Moves the first block of relocations to where the image has ended.
fn relocated(image: &[u8]) -> Result<Vec<u8>> {
    // Each section header has its name first and the file offset at 20.
    let at = image
        .windows(8)
        .position(|bytes| bytes == b".reloc\0\0")
        .context("the image has no relocations")?;
    let offset = u32::from_le_bytes(image[at + 20..at + 24].try_into()?);
    let offset = usize::try_from(offset)?;
    let mut image = image.to_vec();
    image[offset..offset + 4].copy_from_slice(&0x0100_0000_u32.to_le_bytes());
    patch::seal(image)
}
