//! The command line.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, Result, bail};
use kit::Architecture;
use lexopt::{Arg, Parser, ValueExt as _};

use crate::build::{Contents, build};
use crate::check;

const USAGE: &str = "\
usage: installer COMMAND [options]

check    checks the custom actions, the MSIs' databases and, in Wine, what the one
         for x64 does, with the packages in target/dist
build    makes the MSI
  --out FILE      the MSI
  --arch A        for x64 (default) or arm64
  --package DIR   pvpanic.inf, .cat and .sys (default: target/dist/x64 or arm64)
  --version V     three numbers (default: the workspace's)
  --date SECONDS  since 1970 (default: SOURCE_DATE_EPOCH)";

/// Runs the command line `arguments`, without the program's name.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    match dispatch(Parser::from_args(arguments)) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::from(2)
        }
    }
}

fn dispatch(mut parser: Parser) -> Result<bool> {
    let Some(Arg::Value(command)) = parser.next()? else {
        bail!("{USAGE}");
    };
    let mut architecture = Architecture::X64;
    let mut package = None;
    let mut out = None;
    let mut version = env!("CARGO_PKG_VERSION").to_owned();
    let mut date = std::env::var("SOURCE_DATE_EPOCH").ok();
    while let Some(argument) = parser.next()? {
        match argument {
            Arg::Long("arch") => architecture = parser.value()?.string()?.parse()?,
            Arg::Long("package") => package = Some(PathBuf::from(parser.value()?)),
            Arg::Long("out") => out = Some(PathBuf::from(parser.value()?)),
            Arg::Long("version") => version = parser.value()?.string()?,
            Arg::Long("date") => date = Some(parser.value()?.string()?),
            other => return Err(anyhow::Error::from(other.unexpected()).context(USAGE)),
        }
    }
    match command.string()?.as_str() {
        "build" => {
            let out = out.context("say where the MSI goes: --out FILE")?;
            let date = date.context("say the date of the package: --date SECONDS")?;
            let package = package.unwrap_or_else(|| packaged(architecture));
            let msi = of_folder(architecture, &package, &version, date.trim().parse()?)?;
            fs::write(&out, &msi).with_context(|| format!("{} can't be written", out.display()))?;
            println!("{:>9}  {}", msi.len(), out.display());
            Ok(true)
        }
        "check" => {
            let tally = check::run(&kit::root().join("target"))?;
            println!("msi: {} passed, {} failed", tally.passed, tally.failed);
            Ok(tally.failed == 0)
        }
        other => bail!("{other} is no command\n{USAGE}"),
    }
}

/// Where `cargo xtask package` puts a package.
#[must_use]
pub fn packaged(architecture: Architecture) -> PathBuf {
    kit::root().join("target/dist").join(architecture.name())
}

/// The MSI of the package in `folder`, with the custom actions built on the way.
///
/// # Errors
/// A file is not there, or the custom actions can't be built.
pub fn of_folder(
    architecture: Architecture,
    folder: &Path,
    version: &str,
    date: u64,
) -> Result<Vec<u8>> {
    let read = |path: &Path| {
        fs::read(path)
            .with_context(|| format!("{} is not there: run `cargo xtask package`", path.display()))
    };
    let actions = crate::actions(architecture)?;
    build(&Contents {
        architecture,
        inf: &read(&folder.join("pvpanic.inf"))?,
        catalogue: &read(&folder.join("pvpanic.cat"))?,
        driver: &read(&folder.join("pvpanic.sys"))?,
        status_script: &read(&crate::status_script())?,
        actions: &read(&actions)?,
        version,
        date,
    })
}
