//! The image is what Windows demands, and the same from every folder.

use std::fs;

use anyhow::{Context, Result, anyhow, bail, ensure};

use super::Tally;
use crate::elsewhere::Elsewhere;

/// Runs the suite.
pub fn run(tally: &mut Tally) -> Result<()> {
    let path = kit::build_driver()?;
    let image = fs::read(&path).with_context(|| format!("can't read {}", path.display()))?;
    let map = path.with_extension("map");
    let map = fs::read_to_string(&map).with_context(|| format!("can't read {}", map.display()))?;
    let version = kit::version();
    let findings = kit::image::check(&image, &map, version);
    tally.check(
        "the image keeps every rule",
        findings
            .iter()
            .map(ToString::to_string)
            .reduce(|all, finding| format!("{all}\n{finding}"))
            .map_or(Ok(()), |findings| Err(anyhow!(findings))),
    );
    tally.check(
        "each rule is seen to fail on an image that breaks it",
        kit::image::prove(&image, &map, version).and_then(|broken| {
            ensure!(broken > 0, "no image was broken");
            Ok(())
        }),
    );
    tally.check(
        "the kernel's structures are as Microsoft's metadata has them",
        kit::check_structures(),
    );
    tally.check(
        "two builds in two folders are the same",
        same_elsewhere(&image),
    );
    Ok(())
}

fn same_elsewhere(image: &[u8]) -> Result<()> {
    let other = Elsewhere::new()?.build()?;
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
