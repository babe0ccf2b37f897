//! Installs what the host lacks, through apt.

use std::{
    path::Path,
    process::{Command, Stdio},
};

use anyhow::{Context, Result, bail};

/// A package of Debian's, and what it is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Package {
    /// Its name.
    pub name: &'static str,
    /// A file that is there when it is installed.
    pub file: &'static str,
    /// What it is needed for.
    pub reason: &'static str,
    /// Who needs it.
    pub purpose: Purpose,
}

/// What somebody wants to do, from the least to the most.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Purpose {
    /// Boot somebody's disk image.
    Boot,
    /// Build the driver and run it.
    Run,
    /// Make the driver package.
    Pack,
    /// Test everything.
    Test,
}

const fn package(
    purpose: Purpose,
    name: &'static str,
    file: &'static str,
    reason: &'static str,
) -> Package {
    Package {
        name,
        file,
        reason,
        purpose,
    }
}

const PACKAGES: &[Package] = &[
    package(
        Purpose::Run,
        "clang-19",
        "/usr/lib/llvm-19/bin/clang",
        "compiles the driver's entry stub and the C test drivers",
    ),
    package(
        Purpose::Run,
        "lld-19",
        "/usr/lib/llvm-19/bin/lld-link",
        "links drivers and the test kernel",
    ),
    package(
        Purpose::Run,
        "llvm-19",
        "/usr/lib/llvm-19/bin/llvm-lib",
        "import libraries and the version resource",
    ),
    package(
        Purpose::Run,
        "libclang-19-dev",
        "/usr/lib/llvm-19/lib/libclang.so",
        "reads the headers for the Rust bindings",
    ),
    package(
        Purpose::Run,
        "mingw-w64-common",
        "/usr/share/mingw-w64/include/ddk/ntddk.h",
        "the Windows kernel's headers",
    ),
    package(
        Purpose::Run,
        "gcc",
        "/usr/bin/cc",
        "links the build scripts of the crates",
    ),
    package(
        Purpose::Run,
        "libc6-dev",
        "/usr/include/stdlib.h",
        "links the build scripts of the crates",
    ),
    package(
        Purpose::Run,
        "qemu-system-arm",
        "/usr/bin/qemu-system-aarch64",
        "the ARM64 machine that the tests run on",
    ),
    package(
        Purpose::Boot,
        "qemu-utils",
        "/usr/bin/qemu-img",
        "makes disk images",
    ),
    package(
        Purpose::Boot,
        "qemu-system-x86",
        "/usr/bin/qemu-system-x86_64",
        "the machine that the tests run on",
    ),
    package(
        Purpose::Boot,
        "seabios",
        "/usr/share/seabios/bios.bin",
        "that machine's firmware",
    ),
    package(
        Purpose::Boot,
        "ovmf",
        "/usr/share/OVMF/OVMF_CODE_4M.fd",
        "UEFI firmware for disk images that are made for it",
    ),
    package(
        Purpose::Pack,
        "osslsigncode",
        "/usr/bin/osslsigncode",
        "signs the driver, the catalogue and the installer",
    ),
    package(
        Purpose::Pack,
        "openssl",
        "/usr/bin/openssl",
        "makes the test certificates",
    ),
    package(
        Purpose::Pack,
        "xorriso",
        "/usr/bin/xorriso",
        "writes the CD image",
    ),
    package(
        Purpose::Test,
        "genisoimage",
        "/usr/bin/isoinfo",
        "reads the CD image a second time",
    ),
    package(
        Purpose::Test,
        "cabextract",
        "/usr/bin/cabextract",
        "reads the cabinet a second time",
    ),
    package(
        Purpose::Test,
        "unzip",
        "/usr/bin/unzip",
        "reads the zip a second time",
    ),
    package(
        Purpose::Test,
        "ca-certificates",
        "/etc/ssl/certs/ca-certificates.crt",
        "lets npm check whom it fetches from",
    ),
    package(
        Purpose::Test,
        "python3",
        "/usr/bin/python3",
        "runs the second reader of catalogues",
    ),
    package(
        Purpose::Test,
        "python3-asn1crypto",
        "/usr/lib/python3/dist-packages/asn1crypto/cms.py",
        "reads the catalogue a second time",
    ),
    package(
        Purpose::Test,
        "python3-pip",
        "/usr/bin/pip3",
        "fetches what checks the workflows",
    ),
    package(
        Purpose::Test,
        "wine",
        "/usr/bin/wine",
        "installs the package as Have Disk does",
    ),
    package(
        Purpose::Test,
        "wine64",
        "/usr/lib/wine/wine64",
        "the 64-bit part of Wine",
    ),
    package(
        Purpose::Test,
        "softhsm2",
        "/usr/bin/softhsm2-util",
        "a token to sign with",
    ),
    package(
        Purpose::Test,
        "libengine-pkcs11-openssl",
        "/usr/lib/x86_64-linux-gnu/engines-3/pkcs11.so",
        "lets signing tools use a token",
    ),
    package(
        Purpose::Test,
        "grub-common",
        "/usr/bin/grub-mkrescue",
        "makes disk images that boot the test kernel",
    ),
    package(
        Purpose::Test,
        "grub-pc-bin",
        "/usr/lib/grub/i386-pc/multiboot2.mod",
        "the loader on those images, for BIOS",
    ),
    package(
        Purpose::Test,
        "grub-efi-amd64-bin",
        "/usr/lib/grub/x86_64-efi/multiboot2.mod",
        "the loader on those images, for UEFI",
    ),
    package(
        Purpose::Test,
        "mtools",
        "/usr/bin/mformat",
        "makes the EFI system partition of those images",
    ),
];

/// What is installed, in the order of installation.
#[must_use]
pub const fn packages() -> &'static [Package] {
    PACKAGES
}

/// Installs what is missing for `purpose`, after saying so. Does nothing, at once, when
/// nothing is missing.
///
/// # Errors
///
/// If something is missing that can't be installed: without apt, without
/// rights, without a network. The message has the command to run.
pub fn setup(purpose: Purpose) -> Result<()> {
    if cfg!(windows) {
        return Ok(());
    }
    let exists = |file: &str| Path::new(file).exists();
    let missing = missing(purpose, exists);
    if missing.is_empty() {
        return Ok(());
    }
    let names: Vec<_> = missing.iter().map(|package| package.name).collect();
    let by_hand = format!(
        "apt-get install --no-install-recommends {}",
        names.join(" ")
    );
    if !has_program("apt-get") {
        bail!(
            "these are missing, and there is no apt-get to install them:\n{}Install what provides \
             them on this system; on Debian 12 and later that is\n  {by_hand}",
            list(&missing)
        );
    }
    let Some(prefix) = privilege() else {
        bail!(
            "these are missing, and installing them takes root's rights:\n{}Run as root:\n  \
             {by_hand}",
            list(&missing)
        );
    };
    eprintln!("Installing with apt-get:\n{}", list(&missing));
    refresh(&names)?;
    apt(
        prefix,
        &[&["install", "--yes", "--no-install-recommends"], &names[..]].concat(),
    )
    .with_context(|| format!("the packages could not be installed. By hand:\n  {by_hand}"))?;
    for package in missing {
        if !exists(package.file) {
            bail!(
                "{} is installed, and {} still is not there. Reinstall it:\n  apt-get install \
                 --reinstall {}",
                package.name,
                package.file,
                package.name
            );
        }
    }
    Ok(())
}

/// Fetches apt's lists, before anything is fetched by them: old lists name
/// packages that are gone, or older ones than there are. A user's sources are
/// left as they are. Who may not do that goes on with the lists there are, if
/// they have the packages.
pub fn refresh(names: &[&str]) -> Result<()> {
    if let Some(prefix) = privilege() {
        return apt(prefix, &["update"]).context("apt's lists could not be fetched");
    }
    let known = names.iter().all(|name| {
        Command::new("apt-cache")
            .args(["show", name])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .is_ok_and(|status| status.success())
    });
    if !known {
        bail!(
            "apt does not know all of {}. Run as root:\n  apt-get update",
            names.join(" ")
        );
    }
    Ok(())
}

fn missing(purpose: Purpose, exists: impl Fn(&str) -> bool) -> Vec<Package> {
    PACKAGES
        .iter()
        .filter(|package| package.purpose <= purpose && !exists(package.file))
        .copied()
        .collect()
}

fn list(packages: &[Package]) -> String {
    use std::fmt::Write;

    packages.iter().fold(String::new(), |mut text, package| {
        // Writing to a string can't fail.
        let _ = writeln!(text, "  {:18} {}", package.name, package.reason);
        text
    })
}

/// What goes before a command to run it as root.
fn privilege() -> Option<&'static [&'static str]> {
    let output = |program: &str, argument: &str| {
        Command::new(program)
            .args(argument.split_whitespace())
            .stderr(Stdio::null())
            .output()
            .ok()
            .filter(|output| output.status.success())
    };
    if output("id", "-u").is_some_and(|output| output.stdout.trim_ascii() == b"0") {
        return Some(&[]);
    }
    // -n: never asks for a password, which would hang where nobody answers.
    output("sudo", "-n true").map(|_| &["sudo", "-n"][..])
}

fn has_program(name: &str) -> bool {
    std::env::var_os("PATH")
        .is_some_and(|path| std::env::split_paths(&path).any(|folder| folder.join(name).exists()))
}

/// What tells apt to do without its own user, whom it drops to while it
/// fetches, where that user may not write temporary files: without them it
/// checks no signature, keeps the old lists and calls that a success.
fn sandbox() -> &'static [&'static str] {
    if everybody_writes(&std::env::temp_dir()) {
        &[]
    } else {
        &["-o", "APT::Sandbox::User=root"]
    }
}

#[cfg(unix)]
fn everybody_writes(folder: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;

    std::fs::metadata(folder).is_ok_and(|folder| folder.permissions().mode() & 0o002 != 0)
}

#[cfg(not(unix))]
const fn everybody_writes(_folder: &Path) -> bool {
    true
}

/// Runs apt-get without questions; its output goes to standard error.
fn apt(prefix: &[&str], arguments: &[&str]) -> Result<()> {
    let words: Vec<_> = prefix
        .iter()
        .chain(&["env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-q"])
        .chain(sandbox())
        .chain(arguments)
        .copied()
        .collect();
    let (program, rest) = words.split_first().context("no command")?;
    eprintln!("$ {}", words.join(" "));
    let status = Command::new(program)
        .args(rest)
        .stdin(Stdio::null())
        .stdout(std::io::stderr())
        .status()
        .with_context(|| format!("can't run {program}"))?;
    if !status.success() {
        bail!("`{}` failed ({status})", words.join(" "));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{PACKAGES, Purpose, list, missing};

    #[test]
    fn nothing_is_missing_where_every_file_is_there() {
        assert!(missing(Purpose::Test, |_| true).is_empty());
    }

    #[test]
    fn what_is_missing_is_named_with_its_reason() {
        let missing = missing(Purpose::Run, |file| !file.ends_with("ntddk.h"));
        assert_eq!(
            list(&missing),
            "  mingw-w64-common   the Windows kernel's headers\n"
        );
    }

    #[test]
    fn only_what_a_purpose_needs_is_installed_for_it() {
        let needed = |purpose| missing(purpose, |_| false);
        assert!(needed(Purpose::Run).len() < needed(Purpose::Pack).len());
        assert_eq!(needed(Purpose::Test).len(), PACKAGES.len());
    }

    #[test]
    fn a_disk_image_is_booted_without_the_arm64_machine() {
        let needed = |purpose| {
            missing(purpose, |_| false)
                .iter()
                .any(|package| package.name == "qemu-system-arm")
        };
        assert!(!needed(Purpose::Boot));
        assert!(needed(Purpose::Run));
    }

    #[test]
    fn every_package_stands_once() {
        let mut names: Vec<_> = PACKAGES.iter().map(|package| package.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), PACKAGES.len());
    }
}
