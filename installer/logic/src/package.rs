//! Which package is ours, and which of two of ours is newer.

use alloc::vec::Vec;

use crate::{
    error::Failed,
    windows::{Text, Windows},
};

/// `Provider` of the INF.
const PROVIDER: &[u8] = b"pvpanic for Windows";

/// `CatalogFile` of the INF.
const CATALOGUE: &[u8] = b"pvpanic.cat";

/// A package of this project's, by its `DriverVer`: what Windows compares, in
/// the order in which it does, the date first (Microsoft, "How Windows Ranks
/// Drivers").
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Package {
    /// Year, month, day, then the four parts of the version.
    numbers: [u16; 7],
}

/// A package of ours in the driver store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Published {
    /// Such as `oem7.inf`.
    pub name: Text,
    /// Which one it is.
    pub package: Package,
}

impl Package {
    /// Reads an INF. `None` if it is not of this project.
    ///
    /// Ours is ASCII; another's may be anything.
    #[must_use]
    pub fn of(inf: &[u8]) -> Option<Self> {
        let mut provider = value(inf, b"Version", b"Provider")?;
        if let [b'%', name @ .., b'%'] = provider {
            provider = value(inf, b"Strings", name)?;
        }
        if let [b'"', inner @ .., b'"'] = provider {
            provider = inner;
        }
        let catalogue = value(inf, b"Version", b"CatalogFile")?;
        if provider != PROVIDER || !catalogue.eq_ignore_ascii_case(CATALOGUE) {
            return None;
        }
        Self::parse(driver_ver(inf)?)
    }

    /// Reads `MM/DD/YYYY,a.b.c.d`.
    #[must_use]
    pub fn parse(text: &[u8]) -> Option<Self> {
        let mut numbers = [0; 7];
        let mut separators = b"//,...".iter();
        let mut index = 0;
        let mut digits = 0;
        for byte in text {
            if byte.is_ascii_digit() {
                let number: &mut u16 = numbers.get_mut(index)?;
                let digit = u16::from(byte - b'0');
                *number = number.checked_mul(10)?.checked_add(digit)?;
                digits += 1;
            } else if digits > 0 && Some(byte) == separators.next() {
                index += 1;
                digits = 0;
            } else {
                return None;
            }
        }
        let [month, day, year, a, b, c, d] = numbers;
        (index == 6 && digits > 0).then_some(Self {
            numbers: [year, month, day, a, b, c, d],
        })
    }

    /// Finds the packages of ours in the driver store.
    ///
    /// # Errors
    /// The store can't be read.
    pub fn in_store(windows: &mut impl Windows) -> Result<&'static [Published], Failed> {
        const WHAT: &str = "The driver store can't be searched";
        let names = match windows.published() {
            Ok(names) => names,
            Err(code) => return Err(Failed::call(windows, WHAT, "this machine", code)),
        };
        let mut found = Vec::new();
        for name in names {
            match windows.read(name) {
                Ok(inf) => found.extend(Self::of(inf).map(|package| Published { name, package })),
                Err(code) => return Err(Failed::call(windows, WHAT, name, code)),
            }
        }
        Ok(found.leak())
    }
}

/// What stands behind `DriverVer`.
pub fn driver_ver(inf: &[u8]) -> Option<&[u8]> {
    value(inf, b"Version", b"DriverVer")
}

/// The value of a key, without the comment after it.
fn value<'a>(inf: &'a [u8], section: &[u8], key: &[u8]) -> Option<&'a [u8]> {
    let mut inside = false;
    for line in inf.split(|byte| *byte == b'\n') {
        let mut halves = line.splitn(2, |byte| *byte == b'=');
        let name = halves.next()?.trim_ascii();
        if let [b'[', name @ .., b']'] = name {
            inside = name.eq_ignore_ascii_case(section);
        } else if inside && name.eq_ignore_ascii_case(key) {
            let text = halves.next()?.split(|byte| *byte == b';').next()?;
            return Some(text.trim_ascii());
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::Package;

    const INF: &str = "[Version]\r\nProvider = %P%\r\nCatalogFile = pvpanic.cat\r\n\
                       DriverVer = 11/21/2026,0.1.0.0 ; comment\r\n\
                       [Strings]\r\nP = \"pvpanic for Windows\"\r\n";

    #[test]
    fn a_package_of_this_project_is_known_by_its_provider_and_catalogue() {
        let package = Package::of(INF.as_bytes()).expect("it is ours");
        assert_eq!(package.numbers, [2026, 11, 21, 0, 1, 0, 0]);
    }

    #[test]
    fn a_package_of_another_maker_is_not_ours() {
        for other in [
            INF.replace("pvpanic for Windows", "Red Hat, Inc."),
            INF.replace("pvpanic.cat", "balloon.cat"),
            INF.replace("DriverVer", "Version"),
            INF.replace("[Strings]", "[Text]"),
        ] {
            assert_eq!(Package::of(other.as_bytes()), None, "{other}");
        }
        assert_eq!(Package::of(&[0xFF, 0xFE, 0x5B, 0]), None);
    }

    #[test]
    fn half_a_version_is_none() {
        for text in [
            "",
            "1",
            "11/21/2026",
            "11/21/2026,",
            "11/21/2026,1.2.3",
            "11/21/2026,1.2.3.",
            "11/21/2026,1.2.3.4.5",
            "11.21.2026,1.2.3.4",
            "11/21/2026,1.2.3.99999",
        ] {
            assert_eq!(Package::parse(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn the_later_date_is_newer_then_the_higher_version() {
        let order: [&[u8]; 3] = [
            b"12/31/2025,9.0.0.0",
            b"01/01/2026,0.2.0.0",
            b"01/01/2026,0.10.0.0",
        ];
        let packages = order.map(Package::parse);
        assert!(packages.iter().all(Option::is_some));
        assert!(packages.is_sorted());
    }
}
