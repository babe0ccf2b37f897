//! Verification of a package folder: every file is in the catalogue, every
//! entry of the catalogue is a file, and what is signed verifies.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, bail, ensure};

use crate::catalogue::{self, Kind, Member};
use crate::image::Image;
use crate::media::sha256;
use crate::pack::SUMS;
use crate::sign;

/// What was verified, one line each.
pub type Report = Vec<String>;

/// Verifies the package in `folder`; with `roots` (PEM) also its signatures.
///
/// # Errors
/// The first thing that is wrong, with the file's name.
pub fn verify(folder: &Path, roots: Option<&Path>) -> Result<Report> {
    let read = |name: &str| {
        let path = folder.join(name);
        fs::read(&path).with_context(|| format!("{} can't be read", path.display()))
    };
    let driver = read("pvpanic.sys")?;
    let image = Image::read(&driver).context("pvpanic.sys")?;
    let members = [
        Member::image("pvpanic.sys", &image),
        Member::flat("pvpanic.inf", &read("pvpanic.inf")?),
    ];
    let listing = catalogue::read(&read("pvpanic.cat")?).context("pvpanic.cat")?;
    let mut report = members
        .iter()
        .map(|member| listed(member, &listing))
        .collect::<Result<Report>>()?;
    if let Some(roots) = roots {
        ensure!(listing.signed, "pvpanic.cat is not signed");
        let catalogue = folder.join("pvpanic.cat");
        let file = folder.join("pvpanic.sys");
        sign::verify(&file, roots, None)?;
        report.push("pvpanic.sys: signature ok".to_owned());
        sign::verify(&catalogue, roots, None)?;
        report.push("pvpanic.cat: signature ok".to_owned());
        sign::verify(&file, roots, Some(&catalogue))?;
        report.push("pvpanic.sys: ok in pvpanic.cat, by osslsigncode too".to_owned());
    }
    Ok(report)
}

/// Verifies every file in `dist` that its `SHA256SUMS` lists.
///
/// # Errors
/// A file is not there or not the one listed, or the list is malformed.
pub fn checksums(dist: &Path) -> Result<Report> {
    let path = dist.join(SUMS);
    let sums =
        fs::read_to_string(&path).with_context(|| format!("{} can't be read", path.display()))?;
    let mut report = Vec::new();
    for line in sums.lines() {
        let (sum, name) = line
            .split_once("  ")
            .with_context(|| format!("{}: {line:?} is no checksum", path.display()))?;
        let bytes = fs::read(dist.join(name)).with_context(|| format!("{name} can't be read"))?;
        ensure!(
            sha256(&bytes) == sum,
            "{name} is not the file in SHA256SUMS"
        );
        report.push(format!("{name}: ok in SHA256SUMS"));
    }
    ensure!(!report.is_empty(), "{} is empty", path.display());
    Ok(report)
}

fn listed(member: &Member, listing: &catalogue::Listing) -> Result<String> {
    let Some(entry) = listing
        .members
        .iter()
        .find(|entry| entry.identifier == member.sha256)
    else {
        bail!("{} is not the file that pvpanic.cat lists", member.name);
    };
    let is_named = entry
        .attributes
        .iter()
        .any(|(name, value)| name == "File" && value.eq_ignore_ascii_case(&member.name));
    ensure!(
        entry.digest.as_deref() == Some(&member.sha256[..])
            && entry.kind == Some(member.kind)
            && is_named,
        "the entry for {} in pvpanic.cat contradicts itself",
        member.name
    );
    let how = match member.kind {
        Kind::Image => "Authenticode digest",
        Kind::Flat => "SHA-256 of the whole file",
    };
    Ok(format!("{}: ok in pvpanic.cat ({how})", member.name))
}
