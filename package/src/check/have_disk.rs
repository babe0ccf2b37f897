//! Installation from a bare folder, by Wine's setupapi: for each hardware ID,
//! as "Have Disk" of Device Manager does it.
//!
//! Wine's return codes are not to be trusted, so what is there afterwards is
//! looked at. The driver itself can't start there: Wine has no KMDF.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail, ensure};

use super::{Place, Tally};
use crate::inf::rules::HARDWARE_IDS;
use crate::tool::Tool;

const SOURCE: &str = "package/wine/have_disk.c";

/// The functions that the program imports.
const IMPORTS: [(&str, &[&str]); 2] = [
    (
        "kernel32",
        &[
            "ExitProcess",
            "GetCommandLineW",
            "GetLastError",
            "GetStdHandle",
            "WideCharToMultiByte",
            "WriteFile",
            "lstrcpyW",
            "lstrlenW",
        ],
    ),
    (
        "setupapi",
        &[
            "SetupDiBuildDriverInfoList",
            "SetupDiCreateDeviceInfoList",
            "SetupDiCreateDeviceInfoW",
            "SetupDiGetDeviceInstallParamsW",
            "SetupDiGetDriverInfoDetailW",
            "SetupDiGetSelectedDriverW",
            "SetupDiInstallDevice",
            "SetupDiRegisterDeviceInfo",
            "SetupDiSelectBestCompatDrv",
            "SetupDiSetDeviceInstallParamsW",
            "SetupDiSetDeviceRegistryPropertyW",
        ],
    ),
];

/// A Wine of its own, stopped when the tests end.
struct Wine {
    prefix: PathBuf,
    program: PathBuf,
    package: PathBuf,
}

/// `package` is the folder of a package that was made.
pub(super) fn run(place: &Place, work: &Path, package: &Path, tally: &mut Tally) {
    let wine = tally.take(
        "the shipped INF, with the two edits that Wine needs, is ready to install",
        prepare(place, work, package),
    );
    let Some(wine) = wine else {
        return;
    };
    for id in HARDWARE_IDS {
        let name = format!("Wine installs the driver for {id} from a bare folder");
        tally.take(&name, wine.install(id, package));
    }
    tally.take(
        "Wine finds no driver in the folder for another device",
        wine.find_nothing(),
    );
    tally.take(
        "the service starts on demand, in the group Extended Base",
        wine.service(),
    );
}

impl Wine {
    fn tool(&self, name: &str) -> Tool {
        let mut tool = Tool::new(name);
        tool.env("WINEPREFIX", &self.prefix)
            .env("WINEARCH", "win64")
            .env("WINEDEBUG", "-all")
            // No offers to install .NET and a browser.
            .env("WINEDLLOVERRIDES", "mscoree,mshtml=")
            .env("DISPLAY", "");
        tool
    }

    fn have_disk(&self, id: &str) -> Result<String> {
        let folder = format!("Z:{}", self.package.display()).replace('/', "\\");
        self.tool("wine")
            .arg(&self.program)
            .args([id, &folder])
            .run()
    }

    fn installed(&self) -> PathBuf {
        self.prefix
            .join("drive_c/windows/system32/drivers/pvpanic.sys")
    }

    fn install(&self, id: &str, package: &Path) -> Result<()> {
        let installed = self.installed();
        if installed.exists() {
            fs::remove_file(&installed)?;
        }
        let said = self.have_disk(id)?;
        for line in [
            "description=QEMU PVPanic Device",
            "section=Device",
            &format!("installed={id}"),
        ] {
            ensure!(
                said.lines().any(|found| found == line),
                "no {line:?} in:\n{said}"
            );
        }
        ensure!(
            fs::read(&installed).context("nothing was copied")?
                == fs::read(package.join("pvpanic.sys"))?,
            "another file was copied"
        );
        Ok(())
    }

    fn find_nothing(&self) -> Result<()> {
        match self.have_disk(r"PCI\VEN_1B36&DEV_0010") {
            Ok(said) => bail!("it found one:\n{said}"),
            Err(error) if format!("{error:#}").contains("SetupDiSelectBestCompatDrv=") => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Ends Wine, which writes its registry then.
    fn stop(&self) -> Result<()> {
        // Killing fails when it has ended by itself.
        drop(self.tool("wineserver").arg("-k").run());
        self.tool("wineserver").arg("-w").run().map(drop)
    }

    fn service(&self) -> Result<()> {
        self.stop()?;
        let registry = fs::read_to_string(self.prefix.join("system.reg"))?;
        let values = registry
            .split("\n[")
            .find(|key| key.starts_with(r"System\\CurrentControlSet\\Services\\pvpanic]"))
            .context("the service is not there")?;
        for value in [
            r#""Start"=dword:00000003"#,
            r#""Type"=dword:00000001"#,
            r#""ErrorControl"=dword:00000001"#,
            r#""Group"="Extended Base""#,
            r#""DisplayName"="QEMU PVPanic Service""#,
        ] {
            ensure!(
                values.lines().any(|line| line == value),
                "no {value} in:\n{values}"
            );
        }
        ensure!(
            values
                .lines()
                .any(|line| line.starts_with(r#""ImagePath"="#)
                    && line.ends_with(r#"\\drivers\\pvpanic.sys""#)),
            "the service's binary is elsewhere:\n{values}"
        );
        Ok(())
    }
}

impl Drop for Wine {
    fn drop(&mut self) {
        // Nothing more can be done about a Wine that does not stop.
        drop(self.stop());
    }
}

fn prepare(place: &Place, work: &Path, package: &Path) -> Result<Wine> {
    let folder = work.join("have-disk");
    fs::create_dir_all(&folder)?;
    for name in ["pvpanic.sys", "pvpanic.cat"] {
        fs::copy(package.join(name), folder.join(name))?;
    }
    let inf = fs::read_to_string(package.join("pvpanic.inf"))?;
    let edited = for_wine(&inf);
    let mut edits = 0;
    for (before, after) in inf.lines().zip(edited.lines()) {
        if before != after {
            println!("        - {before}\n        + {after}");
            edits += 1;
        }
    }
    ensure!(edits == 4, "{edits} lines were edited, not 4");
    fs::write(folder.join("pvpanic.inf"), edited)?;
    let wine = Wine {
        prefix: work.join("wine"),
        program: compile(&place.repository, work)?,
        package: folder,
    };
    wine.tool("wineboot").arg("-i").run()?;
    Ok(wine)
}

/// Wine matches no decoration with a build and knows no driver store.
fn for_wine(inf: &str) -> String {
    inf.replace("NTamd64.10.0...16299", "NTamd64")
        .replace("Device.Files        = 13", "Device.Files        = 12")
        .replace("%13%", "%12%")
}

/// The program is C because it needs no more than headers and a linker:
/// a Rust one would need the library for another Windows target.
fn compile(repository: &Path, work: &Path) -> Result<PathBuf> {
    let (object, program) = (work.join("have_disk.obj"), work.join("have_disk.exe"));
    let mut linker = Tool::new("lld-link-19");
    linker.args(["/subsystem:console", "/entry:start", "/nodefaultlib"]);
    for (library, functions) in IMPORTS {
        let (names, output) = (
            work.join(format!("{library}.def")),
            work.join(format!("{library}.lib")),
        );
        fs::write(
            &names,
            format!("LIBRARY {library}.dll\nEXPORTS\n{}\n", functions.join("\n")),
        )?;
        Tool::new("llvm-dlltool-19")
            .args(["-m", "i386:x86-64", "-d"])
            .arg(&names)
            .arg("-l")
            .arg(&output)
            .run()?;
        linker.arg(output);
    }
    Tool::new("clang-19")
        .args([
            "--target=x86_64-w64-windows-gnu",
            "-O1",
            "-ffreestanding",
            "-fno-builtin",
        ])
        .args(["-mno-stack-arg-probe", "-Wall", "-Werror"])
        .args(["-isystem", "/usr/share/mingw-w64/include", "-c"])
        .arg(repository.join(SOURCE))
        .arg("-o")
        .arg(&object)
        .run()?;
    let mut output = std::ffi::OsString::from("/out:");
    output.push(&program);
    linker.arg(output).arg(&object).run()?;
    Ok(program)
}
