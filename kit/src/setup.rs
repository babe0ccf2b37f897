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
}

const PACKAGES: [Package; 9] = [
    Package {
        name: "clang-19",
        file: "/usr/lib/llvm-19/bin/clang",
        reason: "compiles the driver's entry stub and the C test drivers",
    },
    Package {
        name: "lld-19",
        file: "/usr/lib/llvm-19/bin/lld-link",
        reason: "links drivers and the test kernel",
    },
    Package {
        name: "llvm-19",
        file: "/usr/lib/llvm-19/bin/llvm-lib",
        reason: "import libraries and the version resource",
    },
    Package {
        name: "libclang-19-dev",
        file: "/usr/lib/llvm-19/lib/libclang.so",
        reason: "reads the headers for the Rust bindings",
    },
    Package {
        name: "mingw-w64-common",
        file: "/usr/share/mingw-w64/include/ddk/ntddk.h",
        reason: "the Windows kernel's headers",
    },
    Package {
        name: "gcc",
        file: "/usr/bin/cc",
        reason: "links the build scripts of the crates",
    },
    Package {
        name: "libc6-dev",
        file: "/usr/include/stdlib.h",
        reason: "links the build scripts of the crates",
    },
    Package {
        name: "qemu-system-x86",
        file: "/usr/bin/qemu-system-x86_64",
        reason: "the machine that the tests run on",
    },
    Package {
        name: "seabios",
        file: "/usr/share/seabios/bios.bin",
        reason: "that machine's firmware",
    },
];

/// What is installed, in the order of installation.
#[must_use]
pub const fn packages() -> &'static [Package] {
    &PACKAGES
}

/// Installs what is missing, after saying so. Does nothing, at once, when
/// nothing is missing.
///
/// # Errors
///
/// If something is missing that can't be installed: without apt, without
/// rights, without a network. The message has the command to run.
pub fn setup() -> Result<()> {
    if cfg!(windows) {
        return Ok(());
    }
    let exists = |file: &str| Path::new(file).exists();
    let missing = missing(exists);
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
    refresh_unless_known(&names)?;
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

/// Fetches apt's lists if a package is not in them. A user's sources are left
/// as they are.
pub fn refresh_unless_known(names: &[&str]) -> Result<()> {
    let known = names.iter().all(|name| {
        Command::new("apt-cache")
            .args(["show", name])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .is_ok_and(|status| status.success())
    });
    if known {
        return Ok(());
    }
    match privilege() {
        Some(prefix) => apt(prefix, &["update"]).context("apt's lists could not be fetched"),
        None => bail!(
            "apt does not know all of {}. Run as root:\n  apt-get update",
            names.join(" ")
        ),
    }
}

fn missing(exists: impl Fn(&str) -> bool) -> Vec<Package> {
    PACKAGES
        .into_iter()
        .filter(|package| !exists(package.file))
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

/// Runs apt-get without questions; its output goes to standard error.
fn apt(prefix: &[&str], arguments: &[&str]) -> Result<()> {
    let words: Vec<_> = prefix
        .iter()
        .chain(&["env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-q"])
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
    use super::{PACKAGES, list, missing};

    #[test]
    fn nothing_is_missing_where_every_file_is_there() {
        assert!(missing(|_| true).is_empty());
    }

    #[test]
    fn what_is_missing_is_named_with_its_reason() {
        let missing = missing(|file| !file.ends_with("ntddk.h"));
        assert_eq!(
            list(&missing),
            "  mingw-w64-common   the Windows kernel's headers\n"
        );
    }

    #[test]
    fn every_package_stands_once() {
        let mut names: Vec<_> = PACKAGES.iter().map(|package| package.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), PACKAGES.len());
    }
}
