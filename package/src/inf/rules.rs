//! The rules for the INF, since no linter for it exists outside Windows.
//!
//! They are what `InfVerif /w` and `/h` demand of a Windows Driver, what driver
//! package isolation demands, and what makes this package a drop-in
//! replacement.
//!
//! Sources, all Microsoft's: "Using a Universal INF File", "Driver Package
//! Isolation", "Porting an INF to Follow Driver Package Isolation", "INF
//! Validation Errors and Warnings", and the page of each section and directive.

mod files;
mod models;
mod registry;
mod sections;
mod services;
mod strings;
mod version;

pub use models::HARDWARE_IDS;

use super::Finding;
use super::parse::Inf;
use crate::image::{Architecture, Version};

/// What surrounds the INF in its package.
#[derive(Clone, Debug)]
pub struct Surroundings {
    /// The other files in the folder, without catalogue and symbols.
    pub files: Vec<String>,
    /// Architecture of the `.sys`.
    pub architecture: Architecture,
    /// Version resource of the `.sys`.
    pub version: Version,
}

type Rule = fn(&Inf, &Surroundings, &mut Vec<Finding>);

/// Every group of rules.
const RULES: &[Rule] = &[
    version::apply,
    models::apply,
    sections::apply,
    files::apply,
    registry::apply,
    services::apply,
    strings::apply,
];

/// Applies every rule and adds what they find.
pub fn apply(inf: &Inf, surroundings: &Surroundings, findings: &mut Vec<Finding>) {
    for rule in RULES {
        rule(inf, surroundings, findings);
    }
}

/// Numbers in an INF are decimal or hexadecimal with `0x`.
fn number(text: &str) -> Option<u32> {
    text.strip_prefix("0x")
        .or_else(|| text.strip_prefix("0X"))
        .map_or_else(|| text.parse(), |hex| u32::from_str_radix(hex, 16))
        .ok()
}
