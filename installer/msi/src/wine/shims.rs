//! Builds what stands in for the functions that Wine lacks.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};

const SOURCES: [(&str, &str); 3] = [
    ("newdev.c", include_str!("../../wine/newdev.c")),
    ("setupapi.c", include_str!("../../wine/setupapi.c")),
    ("shim.h", include_str!("../../wine/shim.h")),
];

/// LLVM as `cargo xtask setup` installs it.
const TOOLS: &str = "/usr/lib/llvm-19/bin";
/// Wine's own libraries on Debian.
const WINE: &str = "/usr/lib/x86_64-linux-gnu/wine/x86_64-windows";
const HEADERS: &str = "/usr/share/mingw-w64/include";

/// How Wine knows a library of its own, in the DOS header.
const BUILTIN: &[u8] = b"Wine builtin DLL";

/// The functions of setupapi that the shim has itself.
const OWN: [&str; 2] = ["SetupVerifyInfFileW", "SetupGetInfDriverStoreLocationW"];

/// Builds `newdev.dll`, `newdev-14393.dll`, `setupapi.dll`, `wsetup.dll` and
/// `pnputil.exe` into `folder`.
pub fn build(folder: &Path) -> Result<()> {
    fs::create_dir_all(folder)?;
    for (name, source) in SOURCES {
        fs::write(folder.join(name), source)?;
    }
    let shims = Shims { folder };
    for library in ["kernel32", "advapi32", "setupapi"] {
        shims.define(library, library, &exports(&own(library)?)?)?;
        shims.run("llvm-dlltool", |command| {
            command
                .args(["-m", "i386:x86-64", "-d"])
                .arg(format!("{library}.def"))
                .arg("-l")
                .arg(format!("{library}.lib"));
        })?;
    }
    let mut original = own("setupapi")?;
    let forwards = exports(&original)?
        .into_iter()
        .filter(|name| !OWN.contains(&name.as_str()))
        .map(|name| format!("{name}=wsetup.{name}"))
        .chain(OWN.map(str::to_owned));
    shims.define("forwards", "setupapi", &forwards.collect::<Vec<_>>())?;
    let marked = original.windows(BUILTIN.len()).position(|it| it == BUILTIN);
    let at = marked.context("Wine's setupapi.dll has no mark")?;
    for byte in original.iter_mut().skip(at).take(BUILTIN.len()) {
        *byte = 0;
    }
    fs::write(folder.join("wsetup.dll"), original)?;

    let install = "/export:DiInstallDriverW";
    let both = [install, "/export:DiUninstallDriverW"];
    shims.library("newdev", "newdev", &[], &both)?;
    shims.library("newdev-14393", "newdev", &["-DSERVER2016"], &[install])?;
    shims.library("setupapi", "setupapi", &[], &["/def:forwards.def"])?;
    shims.compile("pnputil", "newdev", &["-DPNPUTIL"])?;
    shims.link(
        "pnputil",
        &["/entry:start", "/subsystem:console", "/out:pnputil.exe"],
    )
}

struct Shims<'a> {
    folder: &'a Path,
}

impl Shims<'_> {
    fn library(&self, name: &str, source: &str, defines: &[&str], exports: &[&str]) -> Result<()> {
        self.compile(name, source, defines)?;
        let out = format!("/out:{name}.dll");
        let mut options = vec!["/dll", "/noentry", out.as_str()];
        options.extend(exports);
        self.link(name, &options)
    }

    fn compile(&self, name: &str, source: &str, defines: &[&str]) -> Result<()> {
        self.run("clang", |command| {
            command
                .args(["--target=x86_64-w64-windows-gnu", "-O1", "-ffreestanding"])
                .args(["-fno-builtin", "-mno-stack-arg-probe", "-Wall", "-Werror"])
                .args(["-Wno-unused-function", "-isystem", HEADERS, "-c"])
                .args(defines)
                .arg(format!("{source}.c"))
                .arg("-o")
                .arg(format!("{name}.obj"));
        })
    }

    fn link(&self, name: &str, options: &[&str]) -> Result<()> {
        self.run("lld-link", |command| {
            command
                .arg("/nodefaultlib")
                .args(options)
                .arg(format!("{name}.obj"))
                .args(["kernel32.lib", "advapi32.lib"]);
            if name != "setupapi" {
                command.arg("setupapi.lib");
            }
        })
    }

    /// A module definition file.
    fn define(&self, file: &str, library: &str, names: &[String]) -> Result<()> {
        let text = format!("LIBRARY {library}.dll\nEXPORTS\n{}\n", names.join("\n"));
        fs::write(self.folder.join(format!("{file}.def")), text)?;
        Ok(())
    }

    fn run(&self, tool: &str, prepare: impl Fn(&mut Command)) -> Result<()> {
        let mut command = Command::new(PathBuf::from(TOOLS).join(tool));
        prepare(command.current_dir(self.folder));
        let output = command
            .output()
            .with_context(|| format!("{tool} is not installed: run `cargo xtask setup`"))?;
        if !output.status.success() {
            bail!("{tool}: {}", String::from_utf8_lossy(&output.stderr));
        }
        Ok(())
    }
}

/// A library of Wine's.
fn own(name: &str) -> Result<Vec<u8>> {
    let path = Path::new(WINE).join(format!("{name}.dll"));
    fs::read(&path).with_context(|| {
        format!(
            "{} is not there: run `cargo xtask setup`, which installs Wine",
            path.display()
        )
    })
}

fn exports(library: &[u8]) -> Result<Vec<String>> {
    let file = object::read::pe::PeFile64::parse(library)?;
    let table = file.export_table()?.context("it exports nothing")?;
    let mut names = Vec::new();
    for (pointer, _) in table.name_iter() {
        names.push(String::from_utf8_lossy(table.name_from_pointer(pointer)?).into_owned());
    }
    Ok(names)
}
