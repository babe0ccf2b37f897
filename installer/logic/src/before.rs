//! What there was before the installer changed anything. It is looked up once,
//! and travels to the deferred actions and to their rollback as text, in
//! `CustomActionData`.

use alloc::{string::String, vec::Vec};

use crate::{
    error::Failed,
    package::{Package, driver_ver},
    windows::{Device, Log, Text, Windows},
};

/// Everything that a deferred action has to know: it can ask Windows Installer
/// for nothing but this.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Before {
    /// Where the package's files are, with a backslash at the end.
    pub folder: Text,
    /// The installer's package.
    pub package: Package,
    /// Its `DriverVer`, as the INF has it.
    pub driver_ver: Text,
    /// Its published name, if it was in the driver store.
    pub published: Option<Text>,
    /// The devices that were present, and what they ran.
    pub devices: &'static [Device],
}

/// Stands between two parts: no path, name or instance ID has this character.
const SEPARATOR: &str = "|";

/// What stands for no driver and for no published name.
const NONE: &str = "-";

/// Looks at the machine: `folder` is where the files are or will be, `inf` the
/// text of the package's INF.
///
/// # Errors
/// The INF is not this project's, or the machine can't be looked at.
pub fn look(windows: &mut impl Windows, folder: Text, inf: &[u8]) -> Result<Before, Failed> {
    let parts = (Package::of(inf), driver_ver(inf));
    let (Some(package), Some(version)) = parts else {
        return Err(Failed::because(
            windows,
            &["The installer is damaged: download it again"],
        ));
    };
    let mut published = None;
    for found in Package::in_store(windows)? {
        if found.package == package {
            published = Some(found.name);
        }
    }
    let devices = devices(windows)?;
    for device in devices {
        windows.report(&["Found ", device.instance, ", which runs ", device.runs()]);
    }
    Ok(Before {
        folder,
        package,
        driver_ver: text(version),
        published,
        devices,
    })
}

/// ASCII, such as the INF, or what [`Before::encode`] wrote.
fn text(bytes: &[u8]) -> Text {
    bytes
        .iter()
        .copied()
        .map(char::from)
        .collect::<String>()
        .leak()
}

/// The devices, with the error in words.
pub fn devices(windows: &mut impl Windows) -> Result<&'static [Device], Failed> {
    match windows.devices() {
        Ok(devices) => Ok(devices),
        Err(code) => {
            let what = "The devices could not be listed";
            Err(Failed::call(windows, what, "this machine", code))
        }
    }
}

impl Before {
    /// The package's INF.
    #[must_use]
    pub fn path(&self) -> Text {
        [self.folder, "pvpanic.inf"].concat().leak()
    }

    /// As `CustomActionData`.
    #[must_use]
    pub fn encode(&self) -> Text {
        let mut parts = Vec::from([
            self.folder,
            SEPARATOR,
            self.driver_ver,
            SEPARATOR,
            self.published.unwrap_or(NONE),
        ]);
        for device in self.devices {
            parts.extend([
                SEPARATOR,
                device.inf.unwrap_or(NONE),
                SEPARATOR,
                device.instance,
            ]);
        }
        parts.concat().leak()
    }

    /// From `CustomActionData`.
    ///
    /// # Errors
    /// It is not what [`Before::encode`] wrote.
    pub fn decode(log: &mut impl Log, text: Text) -> Result<Self, Failed> {
        Self::parse(text)
            .ok_or_else(|| Failed::because(log, &["CustomActionData is damaged: ", text]))
    }

    fn parse(text: Text) -> Option<Self> {
        let some = |name: Text| (name != NONE).then_some(name);
        let mut rest = text;
        let folder = part(&mut rest)?;
        let driver_ver = part(&mut rest)?;
        let published = some(part(&mut rest)?);
        let mut devices = Vec::new();
        while let Some(inf) = part(&mut rest) {
            devices.push(Device {
                inf: some(inf),
                instance: part(&mut rest)?,
            });
        }
        Some(Self {
            folder,
            package: Package::parse(driver_ver.as_bytes())?,
            driver_ver,
            published,
            devices: devices.leak(),
        })
    }
}

/// Takes the part up to the next separator off the text.
#[inline(never)]
fn part(rest: &mut Text) -> Option<Text> {
    if rest.is_empty() {
        return None;
    }
    let is_separator = |byte| SEPARATOR.as_bytes() == [byte];
    let end = rest.bytes().position(is_separator).unwrap_or(rest.len());
    let part = rest.get(..end)?;
    *rest = rest.get(end + 1..).unwrap_or_default();
    Some(part)
}

#[cfg(test)]
mod tests {
    use super::Before;
    use crate::{package::Package, windows::Device};

    #[test]
    fn what_was_there_before_survives_the_way_to_the_deferred_actions() {
        let package = Package::parse(b"11/21/2026,0.1.0.0").expect("a version");
        let devices = &[
            Device {
                instance: r"ACPI\QEMU0001\4&1B7F3D&0",
                inf: Some("oem5.inf"),
            },
            Device {
                instance: r"PCI\VEN_1B36&DEV_0011\3&0=1",
                inf: None,
            },
        ];
        for published in [None, Some("oem7.inf")] {
            let before = Before {
                folder: r"C:\Program Files\pvpanic\driver\",
                package,
                driver_ver: "11/21/2026,0.1.0.0",
                published,
                devices,
            };
            assert_eq!(Before::parse(before.encode()), Some(before));
        }
    }

    #[test]
    fn half_of_it_is_refused() {
        for text in ["", r"C:\", r"C:\|1|-", r"C:\|1/1/2026,1.2.3.4|-|oem5.inf"] {
            assert_eq!(Before::parse(text), None, "{text}");
        }
    }
}
