//! Rules for `AddReg`: only the device's or the service's own key, and
//! nothing that an administrator sets.

use super::Surroundings;
use crate::inf::Finding;
use crate::inf::model;
use crate::inf::parse::{Inf, Section};

/// Values of the service that belong to the administrator.
const ADMINISTRATORS: &[&str] = &["ReportDumpEnd"];

pub(super) fn apply(inf: &Inf, _: &Surroundings, findings: &mut Vec<Finding>) {
    for install in model::installs(inf) {
        let device = [install.section, install.part(inf, "HW")];
        for section in device.into_iter().flatten() {
            values(inf, section, false, findings);
        }
        for service in install.services(inf) {
            if let Some(section) = inf.section(service.field(2)) {
                values(inf, section, true, findings);
            }
        }
    }
}

fn values(inf: &Inf, section: &Section, service: bool, findings: &mut Vec<Finding>) {
    let lists = section.entries.iter().filter(|entry| entry.is("AddReg"));
    for entry in lists
        .flat_map(|entry| &entry.fields)
        .filter_map(|name| inf.section(name))
        .flat_map(|list| &list.entries)
    {
        if !entry.field(0).eq_ignore_ascii_case("HKR") {
            findings.push(Finding::new(
                entry.line,
                "registry-root",
                format!("the value is written under {}", entry.field(0)),
                "write under HKR only: other keys outlive the package",
            ));
        }
        if service && !is_parameters(entry.field(1)) {
            findings.push(Finding::new(
                entry.line,
                "registry-parameters",
                format!(
                    "the value is written to {:?} of the service's key",
                    entry.field(1)
                ),
                "write a service's values under Parameters",
            ));
        }
        if ADMINISTRATORS
            .iter()
            .any(|name| entry.field(2).eq_ignore_ascii_case(name))
        {
            findings.push(Finding::new(
                entry.line,
                "registry-administrator",
                format!("{} is the administrator's", entry.field(2)),
                "leave it out: every installation would overwrite what was set",
            ));
        }
    }
}

fn is_parameters(key: &str) -> bool {
    key.split('\\')
        .next()
        .is_some_and(|first| first.eq_ignore_ascii_case("Parameters"))
}
