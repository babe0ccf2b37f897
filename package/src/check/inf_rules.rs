//! The shipped INF obeys every rule, and every rule notices.

use std::fs;

use anyhow::{Result, ensure};

use super::{Place, Tally, broken_inf};
use crate::commit::Date;
use crate::image::{Architecture, Version};
use crate::inf::rules::Surroundings;
use crate::inf::stamp::{self, Stamp};
use crate::inf::{self};
use crate::pack::VERSION;
use crate::workspace;

/// A day in UTC; the broken INF files know it.
const DAY: i64 = 1_772_409_600;

pub(super) fn run(place: &Place, tally: &mut Tally) {
    let Some(x64) = tally.take(
        "the INF for x64 obeys every rule",
        shipped(place, Architecture::X64),
    ) else {
        return;
    };
    tally.take(
        "the INF for ARM64 obeys every rule",
        shipped(place, Architecture::Arm64),
    );
    let (text, surroundings) = x64;
    for (index, name) in broken_inf::names() {
        tally.take(&name, broken_inf::check(index, &text, &surroundings));
    }
    tally.take("every rule has a broken INF of its own", all_tested());
}

/// The INF as it is shipped, and what is beside it.
fn shipped(place: &Place, architecture: Architecture) -> Result<(String, Surroundings)> {
    let version = Version::parse(VERSION)?;
    let text = stamp::stamp(
        &fs::read_to_string(place.repository.join("inf/pvpanic.inx"))?,
        Stamp {
            architecture,
            date: Date::from_unix(DAY)?,
            version,
            framework: workspace::read(&place.repository)?.framework,
        },
    )?;
    let surroundings = Surroundings {
        files: vec!["pvpanic.sys".to_owned()],
        architecture,
        version,
    };
    let findings = inf::lint(text.as_bytes(), &surroundings);
    ensure!(findings.is_empty(), "{findings:?}");
    Ok((text, surroundings))
}

fn all_tested() -> Result<()> {
    let untested = broken_inf::untested(&[
        include_str!("../inf/rules/files.rs"),
        include_str!("../inf/rules/models.rs"),
        include_str!("../inf/rules/registry.rs"),
        include_str!("../inf/rules/sections.rs"),
        include_str!("../inf/rules/services.rs"),
        include_str!("../inf/rules/strings.rs"),
        include_str!("../inf/rules/version.rs"),
    ]);
    ensure!(untested.is_empty(), "nothing trips {untested:?}");
    Ok(())
}
