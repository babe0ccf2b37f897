//! What an INF means: which systems install which sections, and which section
//! is reached from where.

use super::parse::{Entry, Inf, Section};

/// One `TargetOSVersion` of the `[Manufacturer]` section.
#[derive(Debug)]
pub struct Target {
    /// Line of the manufacturer.
    pub line: usize,
    /// The decoration as written, such as `NTamd64.10.0...16299`.
    pub decoration: String,
    /// Name of the Models section.
    pub models: String,
    /// The decoration taken apart, if it is well formed.
    pub system: Option<System>,
}

/// The systems that a decoration names.
#[derive(Debug, PartialEq, Eq)]
pub struct System {
    /// `amd64`, `arm64`, … in lower case.
    pub architecture: String,
    /// Major and minor version.
    pub version: (u32, u32),
    /// The first build.
    pub build: u32,
}

/// One line of a Models section.
#[derive(Debug)]
pub struct Device {
    /// Line of the entry.
    pub line: usize,
    /// Name of the device as the user sees it, expanded.
    pub name: String,
    /// The install section as named, without `.NT`.
    pub install: String,
    /// Hardware ID, then compatible IDs.
    pub ids: Vec<String>,
}

/// An install section, and the systems it is for.
#[derive(Debug)]
pub struct Install<'a> {
    /// Line of a device that names the section.
    pub line: usize,
    /// The name without decoration.
    pub name: String,
    /// The first build of Windows that uses it.
    pub build: u32,
    /// The section that Windows picks, if it is there.
    pub section: Option<&'a Section>,
}

/// Takes `NT<architecture>.<major>.<minor>...<build>` apart (Microsoft:
/// "Combining Platform Extensions with Operating System Versions").
#[must_use]
pub fn system(decoration: &str) -> Option<System> {
    let lower = decoration.to_ascii_lowercase();
    let mut parts = lower.strip_prefix("nt")?.split('.');
    let architecture = parts.next()?.to_owned();
    let mut number = || parts.next().and_then(|part| part.parse().ok());
    let version = (number()?, number()?);
    // Product type and suite mask: not allowed in a universal INF.
    let (product, suite) = (parts.next()?, parts.next()?);
    let build = parts.next()?.parse().ok()?;
    let plain = product.is_empty() && suite.is_empty() && parts.next().is_none();
    (plain && !architecture.is_empty()).then_some(System {
        architecture,
        version,
        build,
    })
}

/// The targets in `[Manufacturer]`.
#[must_use]
pub fn targets(inf: &Inf) -> Vec<Target> {
    let Some(section) = inf.section("Manufacturer") else {
        return Vec::new();
    };
    let mut targets = Vec::new();
    for entry in &section.entries {
        let models = entry.field(0);
        if entry.fields.len() < 2 {
            targets.push(Target {
                line: entry.line,
                decoration: String::new(),
                models: models.to_owned(),
                system: None,
            });
        }
        for decoration in entry.fields.iter().skip(1) {
            targets.push(Target {
                line: entry.line,
                decoration: decoration.clone(),
                models: format!("{models}.{decoration}"),
                system: system(decoration),
            });
        }
    }
    targets
}

/// The devices of the Models section called `models`.
#[must_use]
pub fn devices(inf: &Inf, models: &str) -> Vec<Device> {
    let Some(section) = inf.section(models) else {
        return Vec::new();
    };
    section
        .entries
        .iter()
        .map(|entry| Device {
            line: entry.line,
            name: inf.expand(entry.key.as_deref().unwrap_or_default()),
            install: entry.field(0).to_owned(),
            ids: entry.fields.iter().skip(1).cloned().collect(),
        })
        .collect()
}

/// The install sections that some device uses, each with the earliest build
/// that does.
#[must_use]
pub fn installs(inf: &Inf) -> Vec<Install<'_>> {
    let mut installs: Vec<Install<'_>> = Vec::new();
    for target in targets(inf) {
        let build = target.system.as_ref().map_or(0, |system| system.build);
        for device in devices(inf, &target.models) {
            match installs
                .iter_mut()
                .find(|install| install.name.eq_ignore_ascii_case(&device.install))
            {
                Some(known) => known.build = known.build.min(build),
                None => installs.push(Install {
                    line: device.line,
                    section: inf.section(&format!("{}.NT", device.install)),
                    name: device.install,
                    build,
                }),
            }
        }
    }
    installs
}

impl<'a> Install<'a> {
    /// The section `<install>.NT.<suffix>`, such as `Services` or `Wdf`.
    #[must_use]
    pub fn part(&self, inf: &'a Inf, suffix: &str) -> Option<&'a Section> {
        inf.section(&format!("{}.NT.{suffix}", self.name))
    }

    /// The `AddService` entries of this install section.
    pub fn services(&self, inf: &'a Inf) -> impl Iterator<Item = &'a Entry> {
        self.part(inf, "Services")
            .into_iter()
            .flat_map(|section| &section.entries)
            .filter(|entry| entry.is("AddService"))
    }

    /// The file lists that `CopyFiles` names, each with the line naming it.
    pub fn copy_lists(&self) -> impl Iterator<Item = (usize, &'a str)> {
        self.section
            .into_iter()
            .flat_map(|section| &section.entries)
            .filter(|entry| entry.is("CopyFiles"))
            .flat_map(|entry| {
                entry
                    .fields
                    .iter()
                    .map(move |list| (entry.line, list.as_str()))
            })
            .filter(|(_, list)| !list.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::{System, system};

    #[test]
    fn a_decoration_with_a_build_is_taken_apart() {
        assert_eq!(
            system("NTamd64.10.0...16299"),
            Some(System {
                architecture: "amd64".to_owned(),
                version: (10, 0),
                build: 16299
            })
        );
    }

    #[test]
    fn product_types_and_missing_parts_are_not_accepted() {
        for bad in [
            "NT",
            "NTamd64",
            "NTamd64.10.0",
            "NTamd64.10.0.3..16299",
            "amd64.10.0...1",
        ] {
            assert_eq!(system(bad), None, "{bad}");
        }
    }
}
