//! The CD image for Windows Setup, in virtio-win's layout.
//!
//! Made by xorriso, with which Debian makes its own CDs, reproducibly. The crate
//! that writes Joliet names, which Windows reads, is `hadris-iso`; it was weighed
//! while its interface was a release candidate (3.0.0-rc.2).

use std::fs;
use std::path::Path;
use std::time::{Duration, SystemTime};

use anyhow::{Context as _, Result};

use crate::commit::Date;
use crate::driver_package::DriverPackage;
use crate::image::Architecture;
use crate::staging::Staging;
use crate::tool::Tool;

/// The systems in virtio-win's layout that run the driver, by its names for
/// them.
#[must_use]
pub const fn systems(architecture: Architecture) -> (&'static [&'static str], &'static str) {
    match architecture {
        Architecture::X64 => (&["2k16", "2k19", "2k22", "2k25", "w10", "w11"], "amd64"),
        // Windows Server for ARM64 begins with 2025, Windows 10 with 1709.
        Architecture::Arm64 => (&["2k25", "w10", "w11"], "ARM64"),
    }
}

/// An image with each package in `pvpanic/<system>/<architecture>/`, made
/// within the folder `within`.
///
/// # Errors
/// xorriso is missing or fails, or `within` can't be written.
pub fn iso(packages: &[DriverPackage], label: &str, date: Date, within: &Path) -> Result<Vec<u8>> {
    let staging = Staging::new(within)?;
    let tree = staging.path().join("tree");
    for package in packages {
        let (names, processor) = systems(package.architecture);
        for name in names {
            let folder = tree.join("pvpanic").join(name).join(processor);
            fs::create_dir_all(&folder)?;
            for file in &package.files {
                fs::write(folder.join(&file.name), &file.bytes)?;
            }
        }
    }
    let moment = SystemTime::UNIX_EPOCH + Duration::from_secs(u64::try_from(date.seconds)?);
    set_dates(&tree, moment)?;
    let image = staging.path().join("image.iso");
    Tool::new("xorriso")
        .env("SOURCE_DATE_EPOCH", date.seconds.to_string())
        .env("TZ", "UTC")
        .args([
            "-as",
            "mkisofs",
            "-quiet",
            "-V",
            label,
            "-J",
            "-joliet-long",
            "-r",
        ])
        .args(["--set_all_file_dates", "set_to_mtime", "-o"])
        .arg(&image)
        .arg(&tree)
        .run()?;
    fs::read(&image).context("xorriso made no image")
}

fn set_dates(path: &Path, moment: SystemTime) -> Result<()> {
    if path.is_dir() {
        for entry in fs::read_dir(path)? {
            set_dates(&entry?.path(), moment)?;
        }
    }
    fs::File::open(path)?.set_modified(moment)?;
    Ok(())
}
