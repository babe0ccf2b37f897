//! The driver CD: the answer file, the package, its certificates, and the program
//! that installs them at the first logon.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, bail};
use e2e::install::{FAILED, INSTALLED, PREFIX};

use super::{Options, answers};

/// The files of the package.
pub const PACKAGE: [&str; 3] = ["pvpanic.cat", "pvpanic.inf", "pvpanic.sys"];

/// The test certificates and the stores that they go to.
pub const CERTIFICATES: [(&str, &str); 2] = [
    ("test-root.pem", "Root"),
    ("test-leaf.pem", "TrustedPublisher"),
];

/// A step of the program: what it is called on the host, and its lines. A step
/// jumps to `failed` or falls through.
type Step = (&'static str, Vec<String>);

/// Writes the CD's files into the folder `tree`, and the CD to `iso`.
///
/// # Errors
///
/// If a file can't be read or written, the answer file breaks a rule, or xorriso
/// fails.
pub fn make(
    options: &Options,
    package: &Path,
    certificates: &Path,
    tree: &Path,
    iso: &Path,
) -> Result<()> {
    let drivers = tree
        .join("pvpanic")
        .join(options.release.folder)
        .join("amd64");
    fs::create_dir_all(&drivers).with_context(|| format!("can't create {}", drivers.display()))?;
    for name in PACKAGE {
        copy(&package.join(name), &drivers.join(name))?;
    }
    for (name, _) in CERTIFICATES {
        copy(&certificates.join(name), &tree.join(name))?;
    }
    if let Some(script) = &options.script {
        copy(script, &tree.join("script.ps1"))?;
    }
    let write = |name: &str, text: String| {
        let path = tree.join(name);
        fs::write(&path, text).with_context(|| format!("can't write {}", path.display()))
    };
    write("autounattend.xml", answers::answer_file(options)?)?;
    write("pvpanic-image.cmd", program(options).replace('\n', "\r\n"))?;
    let output = Command::new("xorriso")
        .args(["-as", "mkisofs", "-quiet", "-V", "PVPANIC"])
        .args(["-J", "-joliet-long", "-r", "-o"])
        .arg(iso)
        .arg(tree)
        .output()
        .context("can't run xorriso: `cargo xtask setup` installs it")?;
    if !output.status.success() {
        bail!("xorriso: {}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(())
}

fn copy(from: &Path, to: &PathBuf) -> Result<()> {
    fs::copy(from, to)
        .map(drop)
        .with_context(|| format!("can't copy {} to {}", from.display(), to.display()))
}

/// What runs at the first logon. It tells the host each step through COM1, and at
/// the end switches the machine off.
pub fn program(options: &Options) -> String {
    let steps: Vec<String> = steps(options)
        .iter()
        .map(|(name, lines)| {
            format!(
                "\nset STEP={name}\necho {PREFIX}%STEP%>\\\\.\\COM1\n{}\n",
                lines.join("\n")
            )
        })
        .collect();
    format!(
        "\
@echo off
set HERE=%~dp0
set LOG=%SystemDrive%\\pvpanic-image.log
{}
echo {PREFIX}{INSTALLED}>\\\\.\\COM1
goto off
:failed
echo {PREFIX}{FAILED}%STEP%>\\\\.\\COM1
:off
shutdown /s /t 5 /f
",
        steps.concat()
    )
}

fn steps(options: &Options) -> Vec<Step> {
    let folder = options.release.folder;
    let certificates = CERTIFICATES
        .iter()
        .map(|(file, store)| must(&format!("certutil -addstore {store} \"%HERE%{file}\"")))
        .collect();
    let mut steps = vec![
        ("certificates", certificates),
        ("test signing", vec![must("bcdedit /set testsigning on")]),
    ];
    if options.virtio_win.is_some() {
        steps.push(("guest agent", agent(folder)));
    }
    steps.push((
        "driver",
        may(&format!(
            "pnputil /add-driver \"%HERE%pvpanic\\{folder}\\amd64\\pvpanic.inf\" /install"
        )),
    ));
    let mut values = vec![value(
        "i8042prt\\Parameters",
        "CrashOnCtrlScroll",
        1,
        "Services",
    )];
    if let Some((_, enabled, filter)) = options.dump {
        values.push(value(
            "CrashControl",
            "CrashDumpEnabled",
            *enabled,
            "Control",
        ));
        values.extend(filter.map(|filter| value("CrashControl", "FilterPages", filter, "Control")));
    }
    values.extend(
        options
            .report_dump_end
            .map(|end| value("pvpanic\\Parameters", "ReportDumpEnd", end, "Services")),
    );
    steps.push(("crash settings", values));
    if options.script.is_some() {
        let run = "powershell -NoProfile -ExecutionPolicy Bypass -File \"%HERE%script.ps1\"";
        steps.push(("script", vec![must(run)]));
    }
    steps
}

/// The guest agent and the driver of its port, from virtio-win's medium.
fn agent(folder: &str) -> Vec<String> {
    let port = format!("vioserial\\{folder}\\amd64\\vioser.inf");
    let mut lines = vec![
        "set VIRTIO=".to_owned(),
        format!("for %%d in (D E F G H I) do if exist %%d:\\{port} set VIRTIO=%%d:"),
        "if not defined VIRTIO goto failed".to_owned(),
    ];
    lines.extend(may(&format!(
        "pnputil /add-driver %VIRTIO%\\{port} /install"
    )));
    lines.extend(may(
        "start /wait msiexec /i %VIRTIO%\\guest-agent\\qemu-ga-x86_64.msi /qn /norestart",
    ));
    lines
}

/// A command that must succeed.
fn must(command: &str) -> String {
    format!("{command} >>%LOG% 2>&1 || goto failed")
}

/// A command that may find nothing to do (259) or ask for a restart (3010), which
/// comes anyway.
fn may(command: &str) -> Vec<String> {
    vec![
        format!("{command} >>%LOG% 2>&1"),
        "if not %ERRORLEVEL%==0 if not %ERRORLEVEL%==259 if not %ERRORLEVEL%==3010 goto failed"
            .to_owned(),
    ]
}

/// A number in the registry, below `Services` or `Control`.
fn value(key: &str, name: &str, number: u32, below: &str) -> String {
    must(&format!(
        "reg add HKLM\\SYSTEM\\CurrentControlSet\\{below}\\{key} /v {name} /t REG_DWORD /d {number} /f"
    ))
}
