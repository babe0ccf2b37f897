//! The MSI: its database, its custom actions, its signature, and what it does in
//! Wine.

use std::{fs, path::Path, process::Command};

use anyhow::{Context, Result, ensure};
use kit::Architecture;

use super::{Tally, nt, unit::succeed};
use crate::package::packing;

/// What an MSI may weigh.
const MOST: u64 = 200 * 1024;

/// Runs the suite.
pub fn run(tally: &mut Tally) -> Result<()> {
    let target = kit::root().join("target");
    let signed = target.join("msi/signed");
    succeed(&mut packing()?)?;
    succeed(packing()?.args(["--sign", "test", "--out"]).arg(&signed))?;
    for architecture in Architecture::ALL {
        let name = format!("pvpanic-{}-{architecture}.msi", env!("CARGO_PKG_VERSION"));
        look_at(tally, &target, &signed, &name);
    }
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

/// Looks at the MSI of one architecture.
fn look_at(tally: &mut Tally, target: &Path, signed: &Path, name: &str) {
    tally.check(&format!("{name} has less than 200 KiB"), {
        let path = target.join("dist").join(name);
        fs::metadata(&path)
            .with_context(|| format!("there is no {}", path.display()))
            .and_then(|it| {
                ensure!(it.len() < MOST, "it has {} bytes", it.len());
                Ok(())
            })
    });
    tally.check(
        &format!("osslsigncode accepts the signature of a signed {name}"),
        succeed(
            Command::new("osslsigncode")
                .arg("verify")
                .arg("-CAfile")
                .arg(target.join("sign/test-root.pem"))
                .arg("-in")
                .arg(signed.join(name)),
        ),
    );
}
