//! Rules for the service and its framework.

use super::{Surroundings, number};
use crate::inf::Finding;
use crate::inf::model::{self, Install};
use crate::inf::parse::{Entry, Inf, Section};

const SERVICE: &str = "pvpanic";
const BINARY: &str = "pvpanic.sys";
/// `SPSVCINST_ASSOCSERVICE`: the service is the function driver.
const ASSOCIATED: u32 = 2;
/// KMDF 1.15 came with Windows 10, 1.19 with build 14393.
const NEWEST_FRAMEWORK: (u32, u32) = (1, 19);

pub(super) fn apply(inf: &Inf, _: &Surroundings, findings: &mut Vec<Finding>) {
    for install in model::installs(inf) {
        let Some(section) = install.section else {
            continue;
        };
        let services: Vec<&Entry> = install.services(inf).collect();
        let associated = services
            .iter()
            .filter(|entry| number(entry.field(1)).is_some_and(|flags| flags & ASSOCIATED != 0))
            .count();
        if associated != 1 {
            findings.push(Finding::new(
                services.first().map_or(section.line, |entry| entry.line),
                "service-association",
                format!("[{}] has {associated} function drivers", section.name),
                "give it one AddService with the flag 0x00000002, in a section ending in .Services",
            ));
        }
        for entry in services {
            service(inf, &install, entry, findings);
        }
        framework(inf, &install, section, findings);
    }
}

fn service(inf: &Inf, install: &Install<'_>, entry: &Entry, findings: &mut Vec<Finding>) {
    if entry.field(0) != SERVICE {
        findings.push(Finding::new(
            entry.line,
            "service-name",
            format!("the service is called {:?}", entry.field(0)),
            "call it pvpanic, as virtio-win does: the package replaces that one in place",
        ));
    }
    let Some(section) = inf.section(entry.field(2)) else {
        return;
    };
    for (rule, key, value, help) in [
        (
            "service-type",
            "ServiceType",
            1,
            "write 1, SERVICE_KERNEL_DRIVER",
        ),
        (
            "service-start",
            "StartType",
            3,
            "write 3, SERVICE_DEMAND_START: PnP starts it, and a driver that can't be loaded must not stop Windows from booting",
        ),
        (
            "service-error-control",
            "ErrorControl",
            1,
            "write 1, SERVICE_ERROR_NORMAL: a failure is logged and Windows starts",
        ),
    ] {
        let found = section.entry(key);
        if found.and_then(|entry| number(entry.field(0))) != Some(value) {
            let what = found.map_or_else(
                || format!("{key} is missing"),
                |entry| format!("{key} is {:?}", entry.field(0)),
            );
            findings.push(Finding::new(
                found.map_or(section.line, |entry| entry.line),
                rule,
                what,
                help,
            ));
        }
    }
    group(section, findings);
    binary(inf, install, section, findings);
}

fn group(section: &Section, findings: &mut Vec<Finding>) {
    let found = section.entry("LoadOrderGroup");
    if found.is_none_or(|entry| entry.field(0) != "Extended Base") {
        findings.push(Finding::new(
            found.map_or(section.line, |entry| entry.line),
            "service-group",
            "LoadOrderGroup is not Extended Base",
            "write LoadOrderGroup = Extended Base, as virtio-win's service has it",
        ));
    }
}

fn binary(inf: &Inf, install: &Install<'_>, section: &Section, findings: &mut Vec<Finding>) {
    let directory = install
        .copy_lists()
        .find(|(_, list)| {
            inf.section(list).is_some_and(|section| {
                section
                    .entries
                    .iter()
                    .any(|file| file.field(0).eq_ignore_ascii_case(BINARY))
            })
        })
        .and_then(|(_, list)| {
            let directories = inf.section("DestinationDirs")?;
            directories
                .entry(list)
                .or_else(|| directories.entry("DefaultDestDir"))
        })
        .map(|entry| entry.field(0));
    let found = section.entry("ServiceBinary");
    let expected = directory.map(|directory| format!("%{directory}%\\{BINARY}"));
    if found.map(|entry| entry.field(0).to_ascii_lowercase()) != expected {
        findings.push(Finding::new(
            found.map_or(section.line, |entry| entry.line),
            "service-binary",
            "ServiceBinary is not where CopyFiles puts pvpanic.sys",
            "write %13%\\pvpanic.sys or %12%\\pvpanic.sys, whichever [DestinationDirs] says",
        ));
    }
}

fn framework(inf: &Inf, install: &Install<'_>, section: &Section, findings: &mut Vec<Finding>) {
    let entry = install
        .part(inf, "Wdf")
        .and_then(|part| part.entry("KmdfService"));
    let Some(entry) = entry.filter(|entry| entry.field(0).eq_ignore_ascii_case(SERVICE)) else {
        findings.push(Finding::new(
            entry.map_or(section.line, |entry| entry.line),
            "framework-service",
            "no KmdfService = pvpanic for this install section",
            "add a section ending in .Wdf with KmdfService = pvpanic,<section>",
        ));
        return;
    };
    let Some(details) = inf.section(entry.field(1)) else {
        return;
    };
    let version = details.entry("KmdfLibraryVersion");
    let parsed = version.and_then(|entry| {
        let (major, minor) = entry.field(0).split_once('.')?;
        Some((major.parse().ok()?, minor.parse().ok()?))
    });
    if parsed.is_none_or(|parsed: (u32, u32)| parsed.0 != 1 || parsed > NEWEST_FRAMEWORK) {
        findings.push(Finding::new(
            version.map_or(details.line, |entry| entry.line),
            "framework-version",
            "KmdfLibraryVersion is missing, or newer than build 14393 has",
            "write the version the driver is built for, 1.15: Server 2016 has 1.19",
        ));
    }
}
