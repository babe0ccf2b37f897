//! Rules for sections as such: referenced and present, present and
//! referenced, and nothing that a universal INF may not hold.

use super::Surroundings;
use crate::inf::Finding;
use crate::inf::model;
use crate::inf::parse::{Entry, Inf, Section};

/// Directives an install section of a universal, isolated package may have.
const INSTALL_DIRECTIVES: &[&str] = &["CopyFiles", "AddReg", "AddProperty", "FeatureScore"];

/// Directives that a universal INF may not have anywhere.
const FORBIDDEN: &[&str] = &[
    "BitReg",
    "DelFiles",
    "DelProperty",
    "DelReg",
    "DelService",
    "Ini2Reg",
    "LogConfig",
    "ProfileItems",
    "RegisterDlls",
    "RenFiles",
    "UnregisterDlls",
    "UpdateIniFields",
    "UpdateInis",
];

/// Parts of an install section that Windows knows and isolation allows.
const PARTS: &[&str] = &["Services", "Wdf", "HW"];

/// Ends of the names of sections that are not allowed.
const FORBIDDEN_SECTIONS: &[&str] = &["CoInstallers", "FactDef", "LogConfigOverride", "Interfaces"];

pub(super) fn apply(inf: &Inf, _: &Surroundings, findings: &mut Vec<Finding>) {
    let reached = reached(inf, findings);
    for (index, section) in inf.sections.iter().enumerate() {
        if inf.sections[..index]
            .iter()
            .any(|earlier| earlier.is(&section.name))
        {
            findings.push(Finding::new(
                section.line,
                "section-duplicate",
                format!("[{}] is there twice", section.name),
                "merge the two: Windows does so silently, readers do not",
            ));
        }
        if is_forbidden(&section.name) {
            findings.push(Finding::new(
                section.line,
                "section-forbidden",
                format!("[{}] is not allowed in a universal INF", section.name),
                "remove it: a driver package must install without running code or changing the class",
            ));
        } else if !reached.iter().any(|name| section.is(name)) {
            findings.push(Finding::new(
                section.line,
                "section-unused",
                format!("nothing refers to [{}]", section.name),
                "remove it or correct the name that should refer to it",
            ));
        }
        for entry in &section.entries {
            forbidden_directive(entry, findings);
        }
    }
}

fn is_forbidden(name: &str) -> bool {
    let last = name.rsplit('.').next().unwrap_or(name);
    FORBIDDEN_SECTIONS
        .iter()
        .any(|bad| last.eq_ignore_ascii_case(bad))
        || name.to_ascii_lowercase().starts_with("classinstall32")
        || name.to_ascii_lowercase().starts_with("defaultinstall")
}

fn forbidden_directive(entry: &Entry, findings: &mut Vec<Finding>) {
    if let Some(bad) = FORBIDDEN.iter().find(|bad| entry.is(bad)) {
        findings.push(Finding::new(
            entry.line,
            "directive-forbidden",
            format!("{bad} is not allowed in a universal INF"),
            "remove it: a driver package may only add, and Windows must be able to undo it",
        ));
    }
}

/// The names of all sections that Windows reaches, with a finding for each
/// name that leads nowhere.
fn reached(inf: &Inf, findings: &mut Vec<Finding>) -> Vec<String> {
    let mut reached: Vec<String> = [
        "Version",
        "Manufacturer",
        "Strings",
        "SourceDisksNames",
        "SourceDisksFiles",
        "DestinationDirs",
    ]
    .map(str::to_owned)
    .to_vec();
    reached.extend(model::targets(inf).into_iter().map(|target| target.models));
    for install in model::installs(inf) {
        let name = format!("{}.NT", install.name);
        let Some(section) = install.section else {
            missing(install.line, &name, findings);
            continue;
        };
        for entry in &section.entries {
            install_directive(inf, entry, &mut reached, findings);
        }
        for part in PARTS {
            if let Some(section) = install.part(inf, part) {
                reached.push(section.name.clone());
                part_references(inf, section, &mut reached, findings);
            }
        }
        reached.push(name);
    }
    reached
}

fn install_directive(
    inf: &Inf,
    entry: &Entry,
    reached: &mut Vec<String>,
    findings: &mut Vec<Finding>,
) {
    let known = INSTALL_DIRECTIVES
        .iter()
        .chain(FORBIDDEN)
        .any(|directive| entry.is(directive));
    if !known {
        findings.push(Finding::new(
            entry.line,
            "directive-unknown",
            format!(
                "{:?} is no directive",
                entry.key.as_deref().unwrap_or_default()
            ),
            "Windows ignores what it does not know: correct the spelling, or remove the line",
        ));
    }
    if entry.is("CopyFiles") || entry.is("AddReg") {
        for list in entry.fields.iter().filter(|list| !list.starts_with('@')) {
            refer(inf, entry.line, list, reached, findings);
        }
    }
}

fn part_references(
    inf: &Inf,
    part: &Section,
    reached: &mut Vec<String>,
    findings: &mut Vec<Finding>,
) {
    for entry in &part.entries {
        if entry.is("AddService") {
            refer(inf, entry.line, entry.field(2), reached, findings);
            if let Some(service) = inf.section(entry.field(2))
                && let Some(values) = service.entry("AddReg")
            {
                refer(inf, values.line, values.field(0), reached, findings);
            }
        } else if entry.is("KmdfService") {
            refer(inf, entry.line, entry.field(1), reached, findings);
        } else if entry.is("AddReg") {
            refer(inf, entry.line, entry.field(0), reached, findings);
        }
    }
}

fn refer(
    inf: &Inf,
    line: usize,
    name: &str,
    reached: &mut Vec<String>,
    findings: &mut Vec<Finding>,
) {
    if name.is_empty() {
        return;
    }
    if inf.section(name).is_none() {
        missing(line, name, findings);
    }
    reached.push(name.to_owned());
}

fn missing(line: usize, name: &str, findings: &mut Vec<Finding>) {
    findings.push(Finding::new(
        line,
        "section-missing",
        format!("[{name}] is not there"),
        "add the section, or correct the name (InfVerif 1203)",
    ));
}
