//! Packages for two architectures side by side.

use std::ffi::OsString;
use std::fs;
use std::path::Path;

use anyhow::{Result, ensure};

use super::{Place, Tally};
use crate::driver_package::Driver;
use crate::pack::{self, Order, VERSION};
use crate::sign::Signing;
use crate::tool::Tool;
use crate::verify;

pub(super) fn run(place: &Place, work: &Path, tally: &mut Tally) {
    let Some(arm64) = tally.take("an image for ARM64 is linked", arm64(work)) else {
        return;
    };
    tally.take(
        "x64 and ARM64 get a folder each, and the CD image has both",
        both(place, work, &arm64),
    );
    tally.take(
        "two drivers for one architecture are refused",
        twice(place, work),
    );
}

fn order(place: &Place, out: &Path, other: &Driver) -> Order {
    let driver = Driver {
        image: place.driver.clone(),
        symbols: place.symbols.clone(),
    };
    Order {
        repository: place.repository.clone(),
        target: place.target.clone(),
        drivers: vec![driver, other.clone()],
        actions: None,
        out: out.to_owned(),
        signing: Signing::default(),
    }
}

fn both(place: &Place, work: &Path, arm64: &Driver) -> Result<()> {
    let out = work.join("dist");
    pack::pack(&order(place, &out, arm64))?;
    verify::checksums(&out)?;
    for (folder, decoration, system, other) in [
        ("x64", "NTamd64.", "_v100_X64", "NTarm64."),
        ("arm64", "NTarm64.", "_v100_ARM64", "NTamd64."),
    ] {
        let folder = out.join(folder);
        verify::verify(&folder, None)?;
        let inf = fs::read_to_string(folder.join("pvpanic.inf"))?;
        ensure!(
            inf.contains(decoration) && !inf.contains(other),
            "the INF is not for {decoration}"
        );
        let listing = crate::catalogue::read(&fs::read(folder.join("pvpanic.cat"))?)?;
        ensure!(
            listing
                .attributes
                .contains(&("OS".to_owned(), system.to_owned())),
            "the catalogue is not for {system}"
        );
    }
    let listing = Tool::new("isoinfo")
        .args(["-J", "-f", "-i"])
        .arg(out.join(format!("pvpanic-{VERSION}.iso")))
        .run()?;
    for path in [
        "/pvpanic/w11/amd64/pvpanic.sys",
        "/pvpanic/w11/ARM64/pvpanic.sys",
    ] {
        ensure!(
            listing.lines().any(|line| line == path),
            "{path} is not on it"
        );
    }
    ensure!(!listing.contains("2k16/ARM64"), "Server 2016 has no ARM64");
    Ok(())
}

fn twice(place: &Place, work: &Path) -> Result<()> {
    let out = work.join("refused");
    let again = Driver {
        image: place.driver.clone(),
        symbols: place.symbols.clone(),
    };
    let refused = pack::pack(&order(place, &out, &again));
    ensure!(
        refused.is_err_and(|error| error.to_string().contains("two drivers for x64")),
        "they were accepted, or refused for another reason"
    );
    ensure!(
        fs::read_dir(&out)?.next().is_none(),
        "something is left behind"
    );
    Ok(())
}

/// An image that does nothing, with the version resource of the workspace.
fn arm64(work: &Path) -> Result<Driver> {
    fs::create_dir_all(work)?;
    fs::write(
        work.join("entry.c"),
        "int FxDriverEntry(void *driver, void *path) { return 0; }\n",
    )?;
    let version = format!("{},0", VERSION.replace('.', ","));
    fs::write(
        work.join("version.rc"),
        format!("1 VERSIONINFO\nFILEVERSION {version}\nBEGIN\nEND\n"),
    )?;
    Tool::new("clang-19")
        .directory(work)
        .args([
            "--target=aarch64-pc-windows-msvc",
            "-c",
            "entry.c",
            "-o",
            "entry.obj",
        ])
        .run()?;
    Tool::new("llvm-rc-19")
        .directory(work)
        .args(["/fo", "version.res", "version.rc"])
        .run()?;
    let (image, symbols) = (work.join("pvpanic.sys"), work.join("pvpanic.pdb"));
    let option = |name: &str, path: &Path| {
        let mut option = OsString::from(name);
        option.push(path);
        option
    };
    Tool::new("lld-link-19")
        .directory(work)
        .args([
            "/driver",
            "/subsystem:native",
            "/entry:FxDriverEntry",
            "/nodefaultlib",
        ])
        .args(["/debug", "entry.obj", "version.res"])
        .arg(option("/out:", &image))
        .arg(option("/pdb:", &symbols))
        .run()?;
    Ok(Driver { image, symbols })
}
