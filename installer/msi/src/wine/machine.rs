//! A Windows of Wine's, with one pvpanic device or none.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, ensure};

const KNOBS: &str = r"HKLM\Software\pvpanic-test";
const DEVICES: &str = r"HKLM\System\CurrentControlSet\Enum\ACPI\QEMU0001";
/// `DEVPKEY_Device_DriverInfPath`, where Wine keeps it.
const INF_PATH: &str = r"1\Properties\{A8B865DD-2E3D-4094-AD97-E593A70C75D6}\0005";
const SERVICE: &str = r"HKLM\System\CurrentControlSet\Services\pvpanic";
const WINDOWS: &str = r"HKLM\Software\Microsoft\Windows NT\CurrentVersion";
const ENVIRONMENT: &str = r"HKLM\System\CurrentControlSet\Control\Session Manager\Environment";
const UNINSTALL: &str = r"HKLM\Software\Microsoft\Windows\CurrentVersion\Uninstall";
/// The service, and where Windows Installer remembers products.
const REMEMBERED: [&str; 4] = [
    SERVICE,
    UNINSTALL,
    r"HKLM\Software\Microsoft\Windows\CurrentVersion\Installer",
    r"HKLM\Software\Classes\Installer",
];

/// The machine.
pub struct Machine {
    prefix: PathBuf,
}

/// What a call of msiexec ended with.
pub struct Ended {
    /// Its exit code.
    pub code: u32,
    /// Its log.
    pub log: String,
}

impl Machine {
    /// A fresh one in `prefix`, with the shims of `shims`.
    pub fn new(prefix: &Path, shims: &Path) -> Result<Self> {
        if prefix.exists() {
            fs::remove_dir_all(prefix)?;
        }
        fs::create_dir_all(prefix)?;
        let machine = Self {
            prefix: prefix.to_owned(),
        };
        machine.run("wineboot", &["-i"])?;
        // Windows has these from the start; Wine makes them when they are first used.
        for folder in ["windows/Installer", "windows/system32/DriverStore"] {
            fs::create_dir_all(machine.drive(folder))?;
        }
        // It stays until the end: its start takes longer than most of the rest.
        machine.run("wineserver", &["-w"])?;
        machine.run("wineserver", &["-p"])?;
        machine.run("wine", &["winecfg", "-v", "win10"])?;
        let everybody = r"HKCU\Software\Wine\DllOverrides";
        let msiexec = r"HKCU\Software\Wine\AppDefaults\msiexec.exe\DllOverrides";
        for (key, library, order) in [
            (everybody, "setupapi", "builtin"),
            (msiexec, "setupapi", "native"),
            (msiexec, "newdev", "native"),
        ] {
            machine.set(key, library, "REG_SZ", order)?;
        }
        for name in ["newdev.dll", "setupapi.dll", "wsetup.dll", "pnputil.exe"] {
            fs::copy(shims.join(name), machine.system(name))?;
        }
        // A Unix exit status has no room for the codes.
        fs::write(
            machine.drive("run.bat"),
            "msiexec %*\r\necho %ERRORLEVEL%> C:\\code.txt\r\nexit /b 0\r\n",
        )?;
        Ok(machine)
    }

    /// A path on drive C:.
    pub fn drive(&self, path: &str) -> PathBuf {
        self.prefix.join("drive_c").join(path)
    }

    /// A file in System32.
    pub fn system(&self, name: &str) -> PathBuf {
        self.drive("windows/system32").join(name)
    }

    /// A file that the MSI installs.
    pub fn installed(&self, name: &str) -> PathBuf {
        self.drive("Program Files/pvpanic").join(name)
    }

    /// Runs a program of Wine's; what it printed, and whether it succeeded.
    ///
    /// It prints into a file: Wine's services keep what they are started with,
    /// and the end of a pipe would never come.
    fn command(&self, program: &str, arguments: &[&str]) -> Result<(String, bool)> {
        let path = self.prefix.join("printed");
        let printed = File::create(&path)?;
        // Nothing here takes long: what does not end is a failure.
        let status = Command::new("timeout")
            .args(["60", program])
            .args(arguments)
            .env("WINEPREFIX", &self.prefix)
            .env("WINEARCH", "win64")
            .env("WINEDEBUG", "-all")
            // No offers to install .NET and a browser.
            .env("WINEDLLOVERRIDES", "mscoree,mshtml=")
            .env("DISPLAY", "")
            .stdin(Stdio::null())
            .stdout(printed.try_clone()?)
            .stderr(printed)
            .status()
            .context("timeout can't be run")?;
        // What `timeout` answers when there is no such program.
        ensure!(
            status.code() != Some(127),
            "{program} is not installed: run `cargo xtask setup`"
        );
        let text = String::from_utf8_lossy(&fs::read(&path)?).into_owned();
        Ok((text, status.success()))
    }

    fn run(&self, program: &str, arguments: &[&str]) -> Result<()> {
        let (text, succeeded) = self.command(program, arguments)?;
        ensure!(succeeded, "{program} {}: {text}", arguments.join(" "));
        Ok(())
    }

    /// Runs msiexec and waits for it.
    pub fn msiexec(&self, arguments: &[&str]) -> Result<Ended> {
        let (code, log) = (self.drive("code.txt"), self.drive("msi.log"));
        for file in [&code, &log] {
            if file.exists() {
                fs::remove_file(file)?;
            }
        }
        let mut all = vec!["cmd", "/c", r"C:\run.bat"];
        all.extend(arguments);
        all.extend(["/l*v", r"C:\msi.log"]);
        self.run("wine", &all)?;
        let code = fs::read_to_string(&code).context("msiexec left no exit code")?;
        // UTF-16 in places: what is not ASCII does not matter here.
        let mut log = fs::read(&log).unwrap_or_default();
        log.retain(|byte| *byte != 0);
        Ok(Ended {
            code: code.trim().parse().context("the exit code")?,
            log: String::from_utf8_lossy(&log).into_owned(),
        })
    }

    /// Runs the test's pnputil.
    pub fn pnputil(&self, arguments: &[&str]) -> Result<()> {
        let mut all = vec![r"C:\windows\system32\pnputil.exe"];
        all.extend(arguments);
        self.run("wine", &all)
    }

    /// Sets a value in the registry.
    pub fn set(&self, key: &str, name: &str, kind: &str, value: &str) -> Result<()> {
        let arguments = ["reg", "add", key, "/v", name, "/t", kind, "/d", value, "/f"];
        self.run("wine", &arguments)
    }

    /// Deletes a key, if it is there.
    fn delete(&self, key: &str) -> Result<()> {
        self.command("wine", &["reg", "delete", key, "/f"])
            .map(drop)
    }

    fn query(&self, arguments: &[&str]) -> Result<String> {
        let mut all = vec!["reg", "query"];
        all.extend(arguments);
        Ok(self.command("wine", &all)?.0)
    }

    /// A value of the service, or of a key below it.
    pub fn service_value(&self, key: &str, name: &str) -> Result<Option<String>> {
        let text = self.query(&[&format!("{SERVICE}{key}"), "/v", name])?;
        let line = text.lines().find_map(|line| line.trim().strip_prefix(name));
        Ok(line.and_then(|rest| rest.split_whitespace().last().map(str::to_owned)))
    }

    /// Makes a function of the shims do what the test wants.
    pub fn knob(&self, name: &str, value: u32) -> Result<()> {
        self.set(KNOBS, name, "REG_DWORD", &value.to_string())
    }

    /// The shims do nothing but their work again.
    pub fn release_knobs(&self) -> Result<()> {
        self.delete(KNOBS)
    }

    /// Pretends to be another build of Windows.
    pub fn pretend(&self, build: &str) -> Result<()> {
        self.set(WINDOWS, "CurrentBuildNumber", "REG_SZ", build)
    }

    /// Pretends to be Windows for another processor.
    pub fn pretend_processor(&self, name: &str) -> Result<()> {
        self.set(ENVIRONMENT, "PROCESSOR_ARCHITECTURE", "REG_SZ", name)
    }

    /// Plugs the device in, without a driver.
    pub fn plug(&self) -> Result<()> {
        let device = format!(r"{DEVICES}\1");
        let class = "{4d36e97d-e325-11ce-bfc1-08002be10318}";
        self.set(&device, "ClassGUID", "REG_SZ", class)?;
        self.set(&device, "HardwareID", "REG_MULTI_SZ", r"ACPI\QEMU0001")
    }

    /// Takes the device away.
    pub fn unplug(&self) -> Result<()> {
        self.delete(DEVICES)
    }

    /// The INF that the device runs.
    pub fn runs(&self) -> Result<Option<String>> {
        let file = self.drive("value.reg");
        if file.exists() {
            fs::remove_file(&file)?;
        }
        // `reg query` shows nothing of a property's type.
        let key = format!(r"{DEVICES}\{INF_PATH}");
        self.command("wine", &["reg", "export", &key, r"C:\value.reg", "/y"])?;
        let mut text = fs::read(&file).unwrap_or_default();
        text.retain(|byte| *byte != 0);
        let text = String::from_utf8_lossy(&text).replace(['\\', '\r', '\n', ' '], "");
        let Some((_, hex)) = text.split_once("):") else {
            return Ok(None);
        };
        let mut name = String::new();
        for digits in hex.split(',').step_by(2) {
            match u8::from_str_radix(digits, 16).with_context(|| format!("no bytes: {text}"))? {
                0 => break,
                byte => name.push(char::from(byte)),
            }
        }
        Ok(Some(name))
    }

    /// The published INFs, with their texts.
    pub fn published(&self) -> Result<Vec<(String, String)>> {
        let mut found = Vec::new();
        for entry in fs::read_dir(self.drive("windows/inf"))? {
            let path = entry?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            if name.starts_with("oem") && path.is_file() {
                found.push((name.into_owned(), fs::read_to_string(&path)?));
            }
        }
        found.sort();
        Ok(found)
    }

    /// The versions in Apps & features.
    pub fn products(&self) -> Result<Vec<String>> {
        let text = self.query(&[UNINSTALL, "/s"])?;
        Ok(text
            .lines()
            .filter_map(|line| line.trim().strip_prefix("DisplayVersion"))
            .filter_map(|rest| rest.split_whitespace().last().map(str::to_owned))
            .collect())
    }

    /// Every file, and what Windows Installer and the service manager remember.
    pub fn picture(&self) -> Result<BTreeSet<String>> {
        let mut picture = BTreeSet::new();
        list(&self.drive(""), &mut picture)?;
        for key in REMEMBERED {
            let text = self.query(&[key, "/s"])?;
            // Values only: a key of Windows' own may stay when it is empty.
            let values = text.lines().filter(|line| line.starts_with("    "));
            picture.extend(values.map(|line| format!("{key}: {}", line.trim())));
        }
        if !self.query(&[SERVICE])?.trim().is_empty() {
            picture.insert(SERVICE.to_owned());
        }
        Ok(picture)
    }

    /// Fails unless the machine is as it was.
    pub fn is_as(&self, before: &BTreeSet<String>) -> Result<()> {
        let now = self.picture()?;
        let more: Vec<_> = now.difference(before).collect();
        let less: Vec<_> = before.difference(&now).collect();
        ensure!(
            more.is_empty() && less.is_empty(),
            "left behind: {more:#?}, gone: {less:#?}"
        );
        Ok(())
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        // Nothing more can be done about a Wine that does not stop.
        drop(self.command("wineserver", &["-k"]));
    }
}

/// What changes by itself.
const RESTLESS: [&str; 7] = [
    "/value.reg",
    "/msi.log",
    "/code.txt",
    "/Temp/",
    "/temp/",
    "/setupapi",
    ".pnf",
];

fn list(folder: &Path, into: &mut BTreeSet<String>) -> Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let is_folder = path.is_dir() && !path.is_symlink();
        if is_folder {
            list(&path, into)?;
        }
        let name = path.to_string_lossy().into_owned();
        let is_restless = RESTLESS.iter().any(|part| name.contains(part));
        // Folders of Windows' own may stay when they are empty.
        if !is_restless && (!is_folder || name.contains("pvpanic")) {
            into.insert(name);
        }
    }
    Ok(())
}
