//! What is asked of Windows.

use crate::error::Win32Error;

/// Text that stays until the process ends.
pub type Text = &'static str;

/// The hardware IDs of the package's INF. A device with the longer PCI ID, with
/// QEMU's subsystem, has the shorter one too.
pub const HARDWARE_IDS: [&str; 2] = [r"ACPI\QEMU0001", r"PCI\VEN_1B36&DEV_0011"];

/// A device that is present.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Device {
    /// Its instance ID, such as `ACPI\QEMU0001\4&1B7F3D&0`.
    pub instance: Text,
    /// The INF that it runs, by its published name such as `oem7.inf`; none
    /// when no driver is installed.
    pub inf: Option<Text>,
}

/// How a package is installed on the devices that are present.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    /// Only where it ranks better than what the device runs.
    WhereBetter,
    /// Whatever the device runs.
    Everywhere,
}

/// Whether Windows wants to be restarted before the change is complete.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Restart {
    /// It does not.
    #[default]
    NotNeeded,
    /// It does.
    Needed,
}

impl Restart {
    /// Needed if either is.
    #[must_use]
    pub const fn or(self, other: Self) -> Self {
        match self {
            Self::Needed => Self::Needed,
            Self::NotNeeded => other,
        }
    }
}

/// Where the administrator reads what is going on. The parts make one message.
pub trait Log {
    /// Into the log, and beside the progress bar.
    fn report(&mut self, parts: &[&str]);

    /// Into the log, and on the screen where there is one.
    fn fail(&mut self, parts: &[&str]);
}

/// The calls. Each may fail with the code that Windows gave.
pub trait Windows: Log {
    /// The present devices that have one of [`HARDWARE_IDS`].
    ///
    /// # Errors
    /// The device tree can't be read.
    fn devices(&mut self) -> Result<&'static [Device], Win32Error>;

    /// The published names of all packages of others than Microsoft in the
    /// driver store: `oem*.inf`.
    ///
    /// # Errors
    /// The folder can't be read.
    fn published(&mut self) -> Result<&'static [Text], Win32Error>;

    /// The text of a published INF.
    ///
    /// # Errors
    /// The file can't be read.
    fn read(&mut self, published: &str) -> Result<&'static [u8], Win32Error>;

    /// Puts the package whose INF is at `path` into the driver store and
    /// installs it.
    ///
    /// # Errors
    /// As `DiInstallDriverW`.
    fn install(&mut self, path: &str, how: How) -> Result<Restart, Win32Error>;

    /// Installs a package that is in the driver store already on all devices
    /// that it matches.
    ///
    /// # Errors
    /// As `DiInstallDriverW`.
    fn reinstall(&mut self, published: &str) -> Result<Restart, Win32Error>;

    /// Takes a package from the devices that run it, which get what else is in
    /// the store, and removes it from the store.
    ///
    /// # Errors
    /// As `DiUninstallDriverW`.
    fn uninstall(&mut self, published: &str) -> Result<Restart, Win32Error>;
}

impl Device {
    /// True if it runs the package of that published name.
    #[must_use]
    pub fn has(&self, published: &str) -> bool {
        self.inf
            .is_some_and(|inf| inf.eq_ignore_ascii_case(published))
    }

    /// What it runs, for people.
    #[must_use]
    pub fn runs(&self) -> Text {
        self.inf.unwrap_or("no driver")
    }
}
