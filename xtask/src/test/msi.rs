//! The MSI: its database, its custom actions, its signature, and what it does in
//! Wine.

use std::{fs, process::Command};

use anyhow::{Context, Result, ensure};

use super::{Tally, nt, unit::succeed};
use crate::package::packer;

/// What an MSI may weigh.
const MOST: u64 = 200 * 1024;

/// Runs the suite.
pub fn run(tally: &mut Tally) -> Result<()> {
    kit::build_driver(kit::Architecture::X64)?;
    let actions =
        kit::build_windows_dll(kit::Architecture::X64, "installer-action", "pvpanic_action")?;
    let target = kit::root().join("target");
    let signed = target.join("msi/signed");
    succeed(packer().arg("package").arg("--actions").arg(&actions))?;
    succeed(
        packer()
            .arg("package")
            .arg("--actions")
            .arg(&actions)
            .args(["--sign", "test", "--out"])
            .arg(&signed),
    )?;
    let name = format!("pvpanic-{}-x64.msi", env!("CARGO_PKG_VERSION"));
    tally.check("the package has an MSI of less than 200 KiB", {
        let path = target.join("dist").join(&name);
        fs::metadata(&path)
            .with_context(|| format!("there is no {}", path.display()))
            .and_then(|it| {
                ensure!(it.len() < MOST, "it has {} bytes", it.len());
                Ok(())
            })
    });
    tally.check(
        "osslsigncode accepts the signature of a signed MSI",
        succeed(
            Command::new("osslsigncode")
                .arg("verify")
                .arg("-CAfile")
                .arg(target.join("sign/test-root.pem"))
                .arg("-in")
                .arg(signed.join(&name)),
        ),
    );
    let mut command = Command::new("cargo");
    command
        .args([
            "run",
            "--quiet",
            "--locked",
            "--package",
            "installer",
            "--",
            "check",
        ])
        .env("CARGO_TARGET_DIR", &target)
        .current_dir(kit::root());
    nt::other_runner(&mut command, tally)
}
