//! Rules for files: listed, present, copied, and run from where they are.

use super::Surroundings;
use crate::inf::Finding;
use crate::inf::model;
use crate::inf::parse::{Entry, Inf, Section};

/// The driver store, from which Windows runs drivers since build 16299.
const DRIVER_STORE: &str = "13";
/// `System32\drivers`, for the builds before.
const DRIVERS: &str = "12";
const FIRST_BUILD_WITH_STORE: u32 = 16299;

pub(super) fn apply(inf: &Inf, surroundings: &Surroundings, findings: &mut Vec<Finding>) {
    let listed = inf
        .section("SourceDisksFiles")
        .map_or(&[][..], |section| &section.entries[..]);
    let mut copied: Vec<&str> = Vec::new();
    for install in model::installs(inf) {
        for (line, list) in install.copy_lists() {
            if list.starts_with('@') {
                findings.push(Finding::new(
                    line,
                    "copy-list",
                    format!("{list} copies without a section"),
                    "name a section: only such a list can have a directory of its own",
                ));
                continue;
            }
            let Some(section) = inf.section(list) else {
                continue;
            };
            destination(inf, section, install.build, findings);
            for entry in &section.entries {
                copied.push(entry.field(0));
                copied_file(entry, listed, findings);
            }
        }
    }
    for entry in listed {
        listed_file(inf, entry, surroundings, &copied, findings);
    }
    for file in &surroundings.files {
        if !listed.iter().any(|entry| entry.is(file)) {
            findings.push(Finding::new(
                inf.section("SourceDisksFiles")
                    .map_or(1, |section| section.line),
                "file-unlisted",
                format!("{file} is in the package and not in [SourceDisksFiles]"),
                "list it or leave it out: Windows would not take it into the driver store",
            ));
        }
    }
}

fn copied_file(entry: &Entry, listed: &[Entry], findings: &mut Vec<Finding>) {
    let name = entry.field(0);
    if !listed.iter().any(|file| file.is(name)) {
        findings.push(Finding::new(
            entry.line,
            "file-not-listed",
            format!("{name} is copied and not in [SourceDisksFiles]"),
            "list it there with its disk: Windows finds no source for it",
        ));
    }
    if !entry.field(1).is_empty() && !entry.field(1).eq_ignore_ascii_case(name) {
        findings.push(Finding::new(
            entry.line,
            "file-renamed",
            format!("{} would be installed as {name}", entry.field(1)),
            "give the file one name: in the driver store it can't be renamed",
        ));
    }
}

fn listed_file(
    inf: &Inf,
    entry: &Entry,
    surroundings: &Surroundings,
    copied: &[&str],
    findings: &mut Vec<Finding>,
) {
    let name = entry.key.as_deref().unwrap_or_default();
    let disk = entry.field(0);
    if inf
        .section("SourceDisksNames")
        .and_then(|names| names.entry(disk))
        .is_none()
    {
        findings.push(Finding::new(
            entry.line,
            "disk-name",
            format!("disk {disk:?} is not in [SourceDisksNames]"),
            "name the disk there: the file has no source without it",
        ));
    }
    if !surroundings
        .files
        .iter()
        .any(|file| file.eq_ignore_ascii_case(name))
    {
        findings.push(Finding::new(
            entry.line,
            "file-missing",
            format!("{name} is not in the package"),
            "put the file beside the INF, or remove the line",
        ));
    }
    if !entry.field(1).is_empty() {
        findings.push(Finding::new(
            entry.line,
            "file-subdirectory",
            format!("{name} is looked for in {:?}", entry.field(1)),
            "keep the package flat: source and destination must name the same subdirectory under DIRID 13",
        ));
    }
    if !copied.iter().any(|file| file.eq_ignore_ascii_case(name)) {
        findings.push(Finding::new(
            entry.line,
            "file-not-copied",
            format!("no CopyFiles section names {name}"),
            "copy the file or take it out of the list",
        ));
    }
}

fn destination(inf: &Inf, list: &Section, build: u32, findings: &mut Vec<Finding>) {
    let Some(entry) = inf.section("DestinationDirs").and_then(|section| {
        section
            .entry(&list.name)
            .or_else(|| section.entry("DefaultDestDir"))
    }) else {
        findings.push(Finding::new(
            list.line,
            "destination-missing",
            format!("[{}] has no directory in [DestinationDirs]", list.name),
            "give it one, or a DefaultDestDir",
        ));
        return;
    };
    let right = if build < FIRST_BUILD_WITH_STORE {
        DRIVERS
    } else {
        DRIVER_STORE
    };
    if entry.field(0) != right {
        findings.push(Finding::new(
            entry.line,
            "destination-directory",
            format!(
                "[{}] goes to DIRID {} from build {build} on",
                list.name,
                entry.field(0)
            ),
            "builds from 16299 on take DIRID 13, earlier ones DIRID 12",
        ));
    }
    if !entry.field(1).is_empty() {
        findings.push(Finding::new(
            entry.line,
            "file-subdirectory",
            format!("[{}] goes to the subdirectory {:?}", list.name, entry.field(1)),
            "keep the package flat: source and destination must name the same subdirectory under DIRID 13",
        ));
    }
}
