//! The kit's tools are used where they are there. Programs of ours stand in
//! for them here: what is tested is that they are called and obeyed.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Result, ensure};

use super::{Place, Tally, refusals};
use crate::tool::Tool;

pub(super) fn run(place: &Place, work: &Path, tally: &mut Tally) {
    tally.take(
        "InfVerif's errors stop the packaging, and nothing is left behind",
        errors_stop(place, &work.join("kit-strict")),
    );
    tally.take(
        "InfVerif, Inf2Cat and SignTool are used where they are there",
        tools_are_used(place, &work.join("kit")),
    );
}

/// A kit of scripts that write down how they were called.
fn kit(folder: &Path, infverif: &str, inf2cat: &str) -> Result<PathBuf> {
    let root = folder.join("root");
    let log = folder.join("log");
    for (path, does) in [
        ("Tools/10.0.9.0/x64/infverif.exe", "exit 9"),
        ("Tools/10.0.26100.0/x64/infverif.exe", infverif),
        ("bin/10.0.26100.0/x86/Inf2Cat.exe", inf2cat),
        ("bin/10.0.26100.0/x64/signtool.exe", "true"),
        (
            "path/powershell",
            "cat >/dev/null; echo 0123456789012345678901234567890123456789",
        ),
    ] {
        let file = root.join(path);
        fs::create_dir_all(file.parent().unwrap_or(&root))?;
        fs::write(
            &file,
            format!(
                "#!/bin/sh\nprintf '%s\\n' \"${{0##*/}} $*\" >>{}\n{does}\n",
                log.display()
            ),
        )?;
        Tool::new("chmod").arg("+x").arg(&file).run()?;
    }
    Ok(root)
}

fn pack(place: &Place, folder: &Path, root: &Path, signer: &str) -> Result<std::process::Output> {
    let path = std::env::var("PATH").unwrap_or_default();
    Ok(refusals::command(place, &folder.join("dist"), Some(""))?
        .env("WDKContentRoot", root)
        .env("PATH", format!("{}:{path}", root.join("path").display()))
        .arg("--driver")
        .arg(&place.driver)
        .arg("--pdb")
        .arg(&place.symbols)
        .args(["--sign", signer])
        .output()?)
}

fn errors_stop(place: &Place, folder: &Path) -> Result<()> {
    let root = kit(
        folder,
        "echo 'ERROR(1205): Section x not found'; exit 87",
        "exit 0",
    )?;
    let output = pack(place, folder, &root, "none")?;
    let error = String::from_utf8_lossy(&output.stderr);
    ensure!(!output.status.success(), "it was accepted");
    ensure!(error.contains("InfVerif /w refuses the INF"), "{error}");
    ensure!(
        error.contains("ERROR(1205)"),
        "InfVerif's own words are lost: {error}"
    );
    let left = fs::read_dir(folder.join("dist"))?.count();
    ensure!(left == 0, "{left} files are left behind");
    Ok(())
}

fn tools_are_used(place: &Place, folder: &Path) -> Result<()> {
    // Inf2Cat's stand-in writes what is no catalogue: the packaging must say so.
    let root = kit(
        folder,
        "exit 0",
        "echo nonsense >\"${1#/driver:}/pvpanic.cat\"",
    )?;
    let pfx = folder.join("key.pfx");
    fs::write(&pfx, "")?;
    let output = pack(place, folder, &root, &format!("pfx:{}", pfx.display()))?;
    let error = String::from_utf8_lossy(&output.stderr);
    ensure!(error.contains("not a PKCS#7 message"), "{error}");
    let log = fs::read_to_string(folder.join("log"))?;
    for call in [
        "infverif.exe /v /w ",
        "infverif.exe /v /h ",
        "Inf2Cat.exe /driver:",
        "/os:10_X64,Server2016_X64",
        "signtool.exe sign /fd SHA256 /sha1 0123456789012345678901234567890123456789 ",
        "Remove-Item -DeleteKey Cert:\\CurrentUser\\My\\0123456789012345678901234567890123456789",
    ] {
        ensure!(log.contains(call), "no {call:?} in:\n{log}");
    }
    Ok(())
}
