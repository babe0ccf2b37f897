//! Rules for the `[Version]` section.

use super::Surroundings;
use crate::image::Version;
use crate::inf::Finding;
use crate::inf::parse::{Inf, Section};

/// Class and GUID of system devices, as virtio-win's package has them.
const CLASS: (&str, &str) = ("System", "{4d36e97d-e325-11ce-bfc1-08002be10318}");

pub(super) fn apply(inf: &Inf, surroundings: &Surroundings, findings: &mut Vec<Finding>) {
    let Some(version) = inf.section("Version") else {
        findings.push(Finding::new(
            1,
            "version-section",
            "there is no [Version] section",
            "Windows takes a file without it for no INF at all: add it",
        ));
        return;
    };
    for (rule, key, is_right, help) in [
        (
            "version-signature",
            "Signature",
            is_nt as fn(&str) -> bool,
            "write Signature = \"$WINDOWS NT$\": other values name systems that no longer exist",
        ),
        (
            "version-class",
            "Class",
            |value| value == CLASS.0,
            "write Class = System",
        ),
        (
            "version-class",
            "ClassGuid",
            |value| value.eq_ignore_ascii_case(CLASS.1),
            "write the GUID of the class System, {4d36e97d-e325-11ce-bfc1-08002be10318}",
        ),
        (
            "version-provider",
            "Provider",
            |value| !value.is_empty() && !value.eq_ignore_ascii_case("Microsoft"),
            "name who provides the package; Microsoft is refused (InfVerif 1204)",
        ),
        (
            "version-catalogue",
            "CatalogFile",
            |value| value.eq_ignore_ascii_case("pvpanic.cat"),
            "write CatalogFile = pvpanic.cat: without a catalogue nothing in the package is signed",
        ),
        (
            "version-lockdown",
            "PnpLockdown",
            |value| value == "1",
            "write PnpLockdown = 1: programs must not replace the driver's files",
        ),
    ] {
        entry(inf, version, rule, key, is_right, help, findings);
    }
    driver_version(version, surroundings, findings);
}

const fn is_nt(value: &str) -> bool {
    value.eq_ignore_ascii_case("$WINDOWS NT$")
}

fn entry(
    inf: &Inf,
    version: &Section,
    rule: &'static str,
    key: &str,
    is_right: fn(&str) -> bool,
    help: &'static str,
    findings: &mut Vec<Finding>,
) {
    let mut entries = version.entries.iter().filter(|entry| entry.is(key));
    let Some(first) = entries.next() else {
        findings.push(Finding::new(
            version.line,
            rule,
            format!("{key} is missing"),
            help,
        ));
        return;
    };
    let value = inf.expand(first.field(0));
    if !is_right(&value) {
        findings.push(Finding::new(
            first.line,
            rule,
            format!("{key} is {value:?}"),
            help,
        ));
    }
    for again in entries {
        findings.push(Finding::new(
            again.line,
            "version-duplicate",
            format!("{key} is given again"),
            "keep one: Windows uses the first and ignores the rest",
        ));
    }
}

fn driver_version(version: &Section, surroundings: &Surroundings, findings: &mut Vec<Finding>) {
    let Some(entry) = version.entry("DriverVer") else {
        findings.push(Finding::new(
            version.line,
            "driverver-format",
            "DriverVer is missing",
            "write DriverVer = mm/dd/yyyy,w.x.y.z: Windows ranks equal drivers by it",
        ));
        return;
    };
    if !is_date(entry.field(0)) {
        findings.push(Finding::new(
            entry.line,
            "driverver-format",
            format!("{:?} is no date", entry.field(0)),
            "write the date as mm/dd/yyyy, in that order in every language",
        ));
    }
    let text = entry.field(1);
    match Version::parse(text) {
        Ok(number) if text.split('.').count() == 4 => {
            if number != surroundings.version {
                findings.push(Finding::new(
                    entry.line,
                    "driverver-resource",
                    format!(
                        "DriverVer says {number}, the version resource of pvpanic.sys {}",
                        surroundings.version
                    ),
                    "stamp the INF from the version that the driver was built with: Device Manager shows the one, driverquery the other",
                ));
            }
        }
        _ => findings.push(Finding::new(
            entry.line,
            "driverver-format",
            format!("{text:?} is no version"),
            "write w.x.y.z, each from 0 to 65535 (InfVerif 1217)",
        )),
    }
}

fn is_date(text: &str) -> bool {
    let parts: Vec<&str> = text.split('/').collect();
    let [month, day, year] = parts[..] else {
        return false;
    };
    if (month.len(), day.len(), year.len()) != (2, 2, 4) {
        return false;
    }
    let (Ok(month), Ok(day), Ok(year)) = (month.parse::<u8>(), day.parse(), year.parse()) else {
        return false;
    };
    time::Month::try_from(month)
        .is_ok_and(|month| time::Date::from_calendar_date(year, month, day).is_ok())
}
