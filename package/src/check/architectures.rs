//! Packages for two architectures side by side.

use std::fs;
use std::path::Path;

use anyhow::{Result, bail, ensure};

use super::{Place, Tally};
use crate::driver_package::Driver;
use crate::pack::{self, Order, VERSION};
use crate::sign::Signing;
use crate::tool::Tool;
use crate::verify;

pub(super) fn run(place: &Place, work: &Path, tally: &mut Tally) {
    tally.take(
        "x64 and ARM64 get a folder each, and the CD image has both",
        both(place, work),
    );
    tally.take(
        "two drivers for one architecture are refused",
        twice(place, work),
    );
    tally.take(
        "an installer without custom actions for its processor is refused",
        without_actions(place, work),
    );
    tally.take(
        "a second library of custom actions for one processor is refused",
        actions_twice(place, work),
    );
    tally.take(
        "custom actions for a processor without a driver are refused",
        without_driver(place, work),
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
        actions: Vec::new(),
        out: out.to_owned(),
        signing: Signing::default(),
    }
}

fn both(place: &Place, work: &Path) -> Result<()> {
    let out = work.join("dist");
    pack::pack(&order(place, &out, &place.arm64))?;
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
    let sums = fs::read_to_string(out.join(pack::SUMS))?;
    for name in ["x64.zip", "x64.cab", "arm64.zip", "arm64.cab"] {
        let name = format!("  pvpanic-{VERSION}-{name}");
        ensure!(
            sums.lines().any(|line| line.ends_with(&name)),
            "there is no {name}"
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
    let again = Driver {
        image: place.driver.clone(),
        symbols: place.symbols.clone(),
    };
    refused(
        &order(place, &work.join("twice"), &again),
        "two drivers for x64",
    )
}

/// Any image will do for the custom actions: which processor it is for is read
/// first.
fn without_actions(place: &Place, work: &Path) -> Result<()> {
    let order = Order {
        actions: vec![place.driver.clone()],
        ..order(place, &work.join("without"), &place.arm64)
    };
    refused(&order, "no custom actions for arm64")
}

fn actions_twice(place: &Place, work: &Path) -> Result<()> {
    let order = Order {
        actions: vec![
            place.driver.clone(),
            place.arm64.image.clone(),
            place.driver.clone(),
        ],
        ..order(place, &work.join("actions-twice"), &place.arm64)
    };
    refused(&order, "second custom actions for x64")
}

fn without_driver(place: &Place, work: &Path) -> Result<()> {
    let mut order = Order {
        actions: vec![place.driver.clone(), place.arm64.image.clone()],
        ..order(place, &work.join("without-driver"), &place.arm64)
    };
    order.drivers.truncate(1);
    refused(&order, "custom actions for arm64, but no driver for it")
}

fn refused(order: &Order, because: &str) -> Result<()> {
    match pack::pack(order) {
        Ok(_) => bail!("it was accepted"),
        Err(error) => ensure!(
            format!("{error:#}").contains(because),
            "refused for another reason: {error:#}"
        ),
    }
    ensure!(
        fs::read_dir(&order.out)?.next().is_none(),
        "something is left behind"
    );
    Ok(())
}
