//! The machine and the installers of a scenario, and what they are asked.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};
use kit::Architecture;
use msi::{Insert, Package, Value};

use super::machine::{Ended, Machine};
use super::shims;
use crate::build::{Contents, build};

/// The versions and their `DriverVer`s.
pub const OLD: &str = "0.0.9";
pub const NEW: &str = "0.1.0";
pub const OLD_DATE: &str = "01/01/2026,0.0.9.0";
pub const NEW_DATE: &str = "02/02/2026,0.1.0.0";
const OTHERS_DATE: &str = "01/01/2030,100.0.0.0";

/// The build that Wine says it is.
const BUILD: &str = "18362";

/// A clean machine, and installers for it.
pub struct Stage {
    /// The machine.
    pub machine: Machine,
    folder: PathBuf,
    /// The INF, as Wine can read it.
    inf: String,
    catalogue: Vec<u8>,
    driver: Vec<u8>,
    status_script: Vec<u8>,
    actions: Vec<u8>,
}

impl Stage {
    /// Makes the machine and the installers under `target`.
    pub fn new(
        target: &Path,
        package: &Path,
        status_script: &Path,
        actions: &Path,
    ) -> Result<Self> {
        let read = |path: &Path| {
            fs::read(path).with_context(|| {
                format!("{} is not there: run `cargo xtask package`", path.display())
            })
        };
        let inf = String::from_utf8(read(&package.join("pvpanic.inf"))?)?;
        let folder = target.join("msi");
        let shims = folder.join("shims");
        shims::build(&shims)?;
        let stage = Self {
            inf: for_wine(&inf)?,
            catalogue: read(&package.join("pvpanic.cat"))?,
            driver: read(&package.join("pvpanic.sys"))?,
            status_script: read(status_script)?,
            actions: read(actions)?,
            machine: Machine::new(&folder.join("wine"), &shims)?,
            folder,
        };
        stage.make("old.msi", OLD, OLD_DATE)?;
        stage.make("new.msi", NEW, NEW_DATE)?;
        stage.make_failing("new.msi", "failing.msi")?;
        let others = dated(&stage.inf, OTHERS_DATE).replace("pvpanic for Windows", "Another Maker");
        stage.lay_out("others", &others, OTHERS_DRIVER)?;
        stage.lay_out("older", &dated(&stage.inf, OLD_DATE), &stage.driver)?;
        Ok(stage)
    }

    /// A package in a folder of drive C:.
    fn lay_out(&self, name: &str, inf: &str, driver: &[u8]) -> Result<()> {
        let folder = self.machine.drive(name);
        fs::create_dir_all(&folder)?;
        fs::write(folder.join("pvpanic.inf"), inf)?;
        fs::write(folder.join("pvpanic.cat"), &self.catalogue)?;
        fs::write(folder.join("pvpanic.sys"), driver)?;
        Ok(())
    }

    fn make(&self, name: &str, version: &str, driver_ver: &str) -> Result<()> {
        let bytes = build(&Contents {
            inf: dated(&self.inf, driver_ver).as_bytes(),
            catalogue: &self.catalogue,
            driver: &self.driver,
            status_script: &self.status_script,
            actions: &self.actions,
            architecture: Architecture::X64,
            version,
            date: 1_700_000_000,
        })?;
        fs::write(self.folder.join(name), bytes)?;
        Ok(())
    }

    /// A copy with one action more, which fails after the driver is installed.
    fn make_failing(&self, from: &str, to: &str) -> Result<()> {
        let path = self.folder.join(to);
        fs::copy(self.folder.join(from), &path)?;
        let file = fs::OpenOptions::new().read(true).write(true).open(&path)?;
        let mut package = Package::open(file)?;
        let text = |text: &str| Value::Str(text.to_owned());
        // An immediate action that is an error message, after InstallDriver was
        // carried out by InstallExecute.
        package.insert_rows(Insert::into("CustomAction").row(vec![
            text("Fail"),
            Value::Int(19),
            Value::Null,
            text("failing on purpose"),
            Value::Null,
        ]))?;
        for (action, number) in [("InstallExecute", 6000), ("Fail", 6001)] {
            package.insert_rows(Insert::into("InstallExecuteSequence").row(vec![
                text(action),
                Value::Null,
                Value::Int(number),
            ]))?;
        }
        package.flush()?;
        Ok(())
    }

    /// Clears whatever the scenario before left.
    pub fn reset(&self) -> Result<()> {
        self.machine.release_knobs()?;
        self.machine.pretend(BUILD)?;
        self.machine.pretend_processor("AMD64")?;
        for name in ["new.msi", "old.msi"] {
            if !self.machine.products()?.is_empty() {
                self.remove(name)?;
            }
        }
        for (name, _) in self.machine.published()? {
            let removal = ["/delete-driver", &name, "/uninstall"];
            self.machine.pnputil(&removal)?;
        }
        self.machine.unplug()
    }

    /// An installer, as Wine sees it.
    pub fn path(&self, name: &str) -> String {
        format!("Z:{}", self.folder.join(name).display()).replace('/', "\\")
    }

    /// `msiexec /i`.
    pub fn install(&self, name: &str, more: &[&str]) -> Result<Ended> {
        let path = self.path(name);
        let mut arguments = vec!["/i", path.as_str(), "/quiet"];
        arguments.extend(more);
        self.machine.msiexec(&arguments)
    }

    /// `msiexec /i` with everything installed again.
    pub fn repair(&self, name: &str, more: &[&str]) -> Result<Ended> {
        let mut arguments = vec!["REINSTALL=ALL", "REINSTALLMODE=omus"];
        arguments.extend(more);
        self.install(name, &arguments)
    }

    /// `msiexec /x`.
    pub fn remove(&self, name: &str) -> Result<Ended> {
        let path = self.path(name);
        self.machine.msiexec(&["/x", path.as_str(), "/quiet"])
    }

    /// The package of `driver_ver` in the store, by its published name.
    pub fn published(&self, driver_ver: &str) -> Result<Option<String>> {
        let wanted = dated(&self.inf, driver_ver);
        let mut found = self.machine.published()?.into_iter();
        Ok(found
            .find(|(_, text)| *text == wanted)
            .map(|(name, _)| name))
    }

    /// Fails unless the device runs that package of ours.
    pub fn runs(&self, driver_ver: &str) -> Result<()> {
        let published = self.published(driver_ver)?;
        let published = published.with_context(|| format!("{driver_ver} is not in the store"))?;
        let runs = self.machine.runs()?;
        ensure!(
            runs.as_deref() == Some(&published),
            "the device runs {runs:?}, not {published}"
        );
        let image = self.machine.service_value("", "ImagePath")?;
        ensure!(image.is_some(), "there is no service");
        let installed = fs::read(self.machine.system("drivers/pvpanic.sys"))?;
        ensure!(installed == self.driver, "another pvpanic.sys");
        Ok(())
    }

    /// Fails unless that version is installed, with its files.
    pub fn product_is(&self, version: &str) -> Result<()> {
        let products = self.machine.products()?;
        ensure!(products == [version], "Apps & features has {products:?}");
        for (name, bytes) in [
            ("driver/pvpanic.cat", &self.catalogue),
            ("driver/pvpanic.sys", &self.driver),
            ("Get-PvPanicStatus.ps1", &self.status_script),
        ] {
            let path = self.machine.installed(name);
            let there = fs::read(&path).with_context(|| format!("{}", path.display()))?;
            ensure!(there == *bytes, "another {}", path.display());
        }
        ensure!(self.machine.installed("driver/pvpanic.inf").is_file());
        Ok(())
    }

    /// Fails unless `ReportDumpEnd` is that.
    pub fn setting_is(&self, wanted: Option<&str>) -> Result<()> {
        let value = self
            .machine
            .service_value(r"\Parameters", "ReportDumpEnd")?;
        ensure!(
            value.as_deref() == wanted,
            "ReportDumpEnd is {value:?}, not {wanted:?}"
        );
        Ok(())
    }

    /// Another maker's package, newer than ours, is on the device.
    pub fn add_others(&self) -> Result<()> {
        self.machine
            .pnputil(&["/add-driver", r"C:\others\pvpanic.inf"])?;
        self.runs_others()
    }

    /// An older package of ours is on the device, installed by hand.
    pub fn add_older(&self) -> Result<()> {
        self.machine
            .pnputil(&["/add-driver", r"C:\older\pvpanic.inf"])?;
        self.runs(OLD_DATE)
    }

    /// Fails unless the device runs the other maker's.
    pub fn runs_others(&self) -> Result<()> {
        let runs = self.machine.runs()?.context("the device has no driver")?;
        let published = self.machine.published()?;
        let found = published.iter().find(|(name, _)| *name == runs);
        ensure!(
            found.is_some_and(|(_, text)| text.contains("Another Maker")),
            "the device runs {runs}"
        );
        let installed = fs::read(self.machine.system("drivers/pvpanic.sys"))?;
        ensure!(installed == OTHERS_DRIVER, "another pvpanic.sys");
        Ok(())
    }

    /// The machine has what build 14393 has.
    pub fn become_server_2016(&self) -> Result<()> {
        let library = self.machine.system("newdev.dll");
        fs::copy(self.folder.join("shims/newdev-14393.dll"), library)?;
        self.machine.pretend("14393")
    }
}

/// What stands for another maker's `pvpanic.sys`.
const OTHERS_DRIVER: &[u8] = b"another driver";

/// Wine matches no decoration with a build and knows no driver store.
fn for_wine(inf: &str) -> Result<String> {
    let mut edited = inf.to_owned();
    for (before, after) in [
        ("NTamd64.10.0...16299", "NTamd64"),
        ("Device.Files        = 13", "Device.Files        = 12"),
        ("%13%", "%12%"),
    ] {
        ensure!(edited.contains(before), "the INF has no {before}");
        edited = edited.replace(before, after);
    }
    Ok(edited)
}

/// The INF with another `DriverVer`.
fn dated(inf: &str, driver_ver: &str) -> String {
    let mut dated = String::new();
    for line in inf.lines() {
        if line.starts_with("DriverVer") {
            dated.push_str("DriverVer = ");
            dated.push_str(driver_ver);
        } else {
            dated.push_str(line);
        }
        dated.push_str("\r\n");
    }
    dated
}
