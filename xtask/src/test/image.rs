//! The image is what Windows demands, and the same from every folder.

use std::fs;

use anyhow::{Context, Result, anyhow, bail, ensure};
use kit::Architecture;

use super::Tally;
use crate::{
    bench::to_each_event_on_arm64,
    elsewhere::{Elsewhere, shipped},
    sizes,
};

/// Runs the suite.
pub fn run(tally: &mut Tally) -> Result<()> {
    for architecture in Architecture::ALL {
        check(tally, architecture)?;
    }
    tally.check(
        "on ARM64 each event is a plain store between two barriers, without stack",
        to_each_event_on_arm64().map(drop),
    );
    tally.check(
        "KMDF's structures are the same for x64 and ARM64",
        sizes::check_kmdf(),
    );
    tally.check(
        "two builds in two folders are the same for x64",
        same_elsewhere(),
    );
    Ok(())
}

fn check(tally: &mut Tally, architecture: Architecture) -> Result<()> {
    let path = kit::build_driver(architecture)?;
    let image = fs::read(&path).with_context(|| format!("can't read {}", path.display()))?;
    let map = path.with_extension("map");
    let map = fs::read_to_string(&map).with_context(|| format!("can't read {}", map.display()))?;
    let version = kit::version();
    let findings = kit::image::check(&image, &map, architecture, version);
    tally.check(
        &format!("the {architecture} image keeps every rule"),
        findings
            .iter()
            .map(ToString::to_string)
            .reduce(|all, finding| format!("{all}\n{finding}"))
            .map_or(Ok(()), |findings| Err(anyhow!(findings))),
    );
    tally.check(
        &format!("each rule is seen to fail on an {architecture} image that breaks it"),
        kit::image::prove(&image, &map, architecture, version).and_then(|broken| {
            ensure!(broken > 0, "no image was broken");
            Ok(())
        }),
    );
    tally.check(
        &format!("the kernel's structures are as Microsoft's metadata has them for {architecture}"),
        kit::check_structures(architecture),
    );
    Ok(())
}

fn same_elsewhere() -> Result<()> {
    let image = shipped()?;
    let other = Elsewhere::new()?.build(Architecture::X64)?;
    if other != image {
        let at = image.iter().zip(&other).position(|(one, two)| one != two);
        bail!(
            "{} bytes here, {} bytes there, first difference at {at:?}",
            image.len(),
            other.len()
        );
    }
    Ok(())
}
