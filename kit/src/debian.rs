//! Debian's packages, unpacked below `target/` and not installed.
//!
//! The tests run QEMU and libvirt of a release that the system does not have, and
//! those packages would displace the system's own. So apt gets a state of its own,
//! in which nothing is installed: it fetches all that a package needs, down to the C
//! library, and `dpkg -x` unpacks it. No maintainer script runs, and no rights are
//! needed.

use std::{
    fs::{self, File},
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context, Result, anyhow, bail};

use crate::{
    llvm,
    progress::Progress,
    setup,
    workspace::{self, create_folder, fingerprint, read, write_if_changed},
};

/// The release whose packages are unpacked.
const RELEASE: &str = "bookworm";

/// A folder of unpacked packages.
struct Selection {
    /// What it is, for who waits for it.
    title: &'static str,
    /// Its name below `target/`.
    folder: &'static str,
    /// Whether packages are taken from the backports where those have them.
    backports: bool,
    /// What is unpacked, with all that it needs.
    packages: &'static [&'static str],
}

/// QEMU 10, libvirt 11 and a Linux guest for them.
const BACKPORTS: Selection = Selection {
    title: "QEMU 10 and libvirt",
    folder: "debian-backports",
    backports: true,
    packages: &[
        "qemu-system-x86",
        "libvirt-daemon",
        "libvirt-daemon-driver-qemu",
        "libvirt-clients",
        // The Linux guest: the release's own kernel, not that of the backports.
        "linux-image-amd64/bookworm",
        "busybox-static",
        "kexec-tools",
    ],
};

/// QEMU 7, for a system that has a later one.
const STABLE: Selection = Selection {
    title: "QEMU 7",
    folder: "debian-stable",
    backports: false,
    packages: &["qemu-system-x86"],
};

/// Settings of apt's that would act on the system, and which packages' lists are
/// fetched at all.
const CONFIGURATION: &str = r#"#clear APT::Update::Post-Invoke;
#clear APT::Update::Post-Invoke-Success;
#clear DPkg::Pre-Install-Pkgs;
#clear DPkg::Post-Invoke;
Acquire::Languages "none";
APT::Architecture "amd64";
APT::Architectures { "amd64"; };
APT::Install-Recommends "false";
// The user's folder need not be open to the user that apt drops to.
APT::Sandbox::User "root";
Dir::Etc::sourceparts "/dev/null";
Dir::Etc::preferences "/dev/null";
Dir::Etc::preferencesparts "/dev/null";
"#;

/// Starts the unpacked QEMU with the C library that it was unpacked with, where the
/// system's may be older. QEMU's own folders are relative to where it is installed,
/// which it is not.
const LAUNCHER: &str = r#"#!/bin/sh
root="${0%/*}/root"
libraries="$root/lib/x86_64-linux-gnu:$root/usr/lib/x86_64-linux-gnu"
QEMU_MODULE_DIR="$root/usr/lib/x86_64-linux-gnu/qemu" \
exec "$root/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2" --library-path "$libraries" \
    "$root/usr/bin/qemu-system-x86_64" -L "$root/usr/share/qemu" -L "$root/usr/share/seabios" "$@"
"#;

/// What maintainer scripts would have made: folders to mount things on, and the
/// users that libvirt looks up.
const LAYOUT: [(&str, &str); 2] = [
    (
        "etc/passwd",
        "root:x:0:0::/root:/bin/sh\nlibvirt-qemu:x:64055:64055::/:/bin/sh\n",
    ),
    ("etc/group", "root:x:0:\nlibvirt-qemu:x:64055:\n"),
];
const FOLDERS: [&str; 7] = ["dev", "proc", "root", "run", "sys", "test", "tmp"];

fn lay_out(root: &Path) -> Result<()> {
    for folder in FOLDERS {
        create_folder(&root.join(folder))?;
    }
    for (name, content) in LAYOUT {
        write_if_changed(&root.join(name), content.as_bytes())?;
    }
    // /var/run is /run on every Debian.
    llvm::run(
        Command::new("ln")
            .args(["-s", "-f", "-n", "/run"])
            .arg(root.join("var/run")),
    )
}

/// The QEMU of major version 7 or 10: the system's, or an unpacked one.
///
/// # Errors
///
/// If it can't be fetched.
pub fn qemu(generation: u32) -> Result<PathBuf> {
    const SYSTEM: &str = "qemu-system-x86_64";
    if major_version(SYSTEM) == Some(generation) {
        return Ok(SYSTEM.into());
    }
    let selection = if generation == 7 { STABLE } else { BACKPORTS };
    let program = find(&selection)?.join(SYSTEM);
    if major_version(&program) == Some(generation) {
        return Ok(program);
    }
    bail!(
        "{} is no QEMU {generation}. Delete {} and try again",
        program.display(),
        workspace::root()
            .join("target")
            .join(selection.folder)
            .display()
    )
}

/// The root folder of a Debian with libvirt, QEMU 10 and the parts of a Linux guest.
///
/// # Errors
///
/// If it can't be fetched.
pub fn libvirt_root() -> Result<PathBuf> {
    Ok(find(&BACKPORTS)?.join("root"))
}

/// The major version that a QEMU says it has.
fn major_version(program: impl AsRef<Path>) -> Option<u32> {
    let output = Command::new(program.as_ref())
        .arg("--version")
        .output()
        .ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    let version = text.split_whitespace().nth(3)?;
    version.split('.').next()?.parse().ok()
}

/// The folder of a selection, which is filled if it is not complete.
fn find(selection: &Selection) -> Result<PathBuf> {
    let folder = workspace::root().join("target").join(selection.folder);
    create_folder(&folder)?;
    let _lock = lock(&folder.join("lock"))?;
    let stamp = folder.join("complete");
    let backports = selection.backports.to_string();
    let content = fingerprint(
        [RELEASE, &backports, CONFIGURATION, LAUNCHER]
            .iter()
            .chain(selection.packages)
            .chain(&FOLDERS)
            .chain(LAYOUT.iter().map(|(_, content)| content)),
    );
    if read(&stamp).is_ok_and(|present| present == content) {
        return Ok(folder);
    }
    let mut progress = Progress::new(format!("Fetching {}", selection.title));
    fill(&folder, selection, &mut progress).with_context(|| {
        format!(
            "{} can't be unpacked in {}",
            selection.title,
            folder.display()
        )
    })?;
    write_if_changed(&stamp, content.as_bytes())?;
    Ok(folder)
}

/// Holds off others who would fill the same folder.
fn lock(path: &Path) -> Result<File> {
    let file = File::create(path).with_context(|| format!("can't write {}", path.display()))?;
    file.lock()
        .with_context(|| format!("can't lock {}", path.display()))?;
    Ok(file)
}

fn fill(folder: &Path, selection: &Selection, progress: &mut Progress) -> Result<()> {
    let root = folder.join("root");
    let apt = folder.join("apt");
    // What is left of a root of other packages, or of half a one.
    for old in [&root, &folder.join("complete")] {
        remove(old)?;
    }
    for part in ["lists/partial", "cache/archives/partial"] {
        create_folder(&apt.join(part))?;
    }
    write_if_changed(&apt.join("status"), b"")?;
    write_if_changed(&apt.join("apt.conf"), CONFIGURATION.as_bytes())?;
    let sources = sources(&mirrors()?, selection.backports);
    write_if_changed(&apt.join("sources.list"), sources.as_bytes())?;
    run_apt(&apt, &["update"], progress)?;
    let release = format!("{RELEASE}-backports");
    let mut arguments = vec!["install", "--yes", "--download-only"];
    if selection.backports {
        arguments.extend(["--target-release", &release]);
    }
    arguments.extend(selection.packages);
    run_apt(&apt, &arguments, progress)?;
    unpack(&apt.join("cache/archives"), &root, progress)?;
    lay_out(&root)?;
    let launcher = folder.join("qemu-system-x86_64");
    write_if_changed(&launcher, LAUNCHER.as_bytes())?;
    llvm::run(Command::new("chmod").arg("+x").arg(&launcher))?;
    remove(&apt)
}

fn remove(path: &Path) -> Result<()> {
    let result = if path.is_dir() {
        fs::remove_dir_all(path)
    } else if path.exists() {
        fs::remove_file(path)
    } else {
        Ok(())
    };
    result.with_context(|| format!("can't delete {}", path.display()))
}

/// Unpacks every package of a folder.
pub fn unpack(packages: &Path, root: &Path, progress: &mut Progress) -> Result<()> {
    create_folder(root)?;
    let packages = package_files(packages)?;
    for (index, path) in packages.iter().enumerate() {
        progress.step(&format!("unpacking {} of {}", index + 1, packages.len()));
        llvm::run(Command::new("dpkg").arg("-x").arg(path).arg(root))?;
    }
    Ok(())
}

/// The packages that are in a folder.
pub fn package_files(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut paths = Vec::new();
    for entry in fs::read_dir(folder).with_context(|| format!("can't read {}", folder.display()))? {
        let path = entry
            .with_context(|| format!("can't read {}", folder.display()))?
            .path();
        if path.extension().is_some_and(|extension| extension == "deb") {
            paths.push(path);
        }
    }
    paths.sort();
    Ok(paths)
}

/// Runs apt-get in a state of its own.
fn run_apt(state: &Path, arguments: &[&str], progress: &mut Progress) -> Result<()> {
    let complaints = state.join("complaints");
    let log = File::create(&complaints)
        .with_context(|| format!("can't write {}", complaints.display()))?;
    let mut command = Command::new("apt-get");
    command
        .arg("-q")
        .arg(option("-c", &state.join("apt.conf")))
        .arg(option("-oDir::State", state))
        .arg(option("-oDir::State::status", &state.join("status")))
        .arg(option("-oDir::Cache", &state.join("cache")))
        .arg(option(
            "-oDir::Etc::sourcelist",
            &state.join("sources.list"),
        ))
        .args(arguments)
        .env("LC_ALL", "C")
        .env("DEBIAN_FRONTEND", "noninteractive")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(log);
    let mut child = command.spawn().context("can't run apt-get")?;
    if let Some(lines) = child.stdout.take() {
        for line in BufReader::new(lines).lines() {
            let line = line.context("can't read what apt-get prints")?;
            if let Some(number) = line.strip_prefix("Get:") {
                let words: Vec<&str> = number.split_whitespace().collect();
                progress.step(&format!("downloading {}", words[2..].join(" ")));
            }
        }
    }
    let status = child.wait().context("can't wait for apt-get")?;
    if !status.success() {
        bail!(
            "apt-get {} failed ({status}):\n{}",
            arguments[0],
            read(&complaints)?.trim_end()
        );
    }
    Ok(())
}

/// `NAME=PATH`.
fn option(name: &str, path: &Path) -> std::ffi::OsString {
    let mut option = std::ffi::OsString::from(name);
    option.push("=");
    option.push(path);
    option
}

/// Where the user's apt gets Debian from.
#[derive(Debug, PartialEq, Eq)]
struct Mirrors {
    main: String,
    security: Option<String>,
    /// The keyrings that the user's sources name; apt's own count too.
    keyrings: Vec<String>,
}

fn mirrors() -> Result<Mirrors> {
    let find = || mirrors_of(&index_targets()?, |path| read(Path::new(path)));
    find().or_else(|_| {
        // apt tells only of lists that it has.
        setup::refresh(&[])?;
        find()
    })
}

fn index_targets() -> Result<String> {
    let output = Command::new("apt-get")
        .args(["indextargets", "--format"])
        .arg("$(ORIGIN)|$(COMPONENT)|$(RELEASE)|$(SITE)|$(SOURCESENTRY)")
        .arg("Created-By: Packages")
        .env("LC_ALL", "C")
        .output()
        .context("can't run apt-get")?;
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Reads what `apt-get indextargets` prints.
fn mirrors_of(targets: &str, read: impl Fn(&str) -> Result<String>) -> Result<Mirrors> {
    let mut main = None;
    let mut security = None;
    let mut keyrings = Vec::new();
    for line in targets.lines() {
        let fields: Vec<&str> = line.split('|').collect();
        let ["Debian", "main", release, site, entry] = fields[..] else {
            continue;
        };
        let mirror = if release.ends_with("-security") {
            &mut security
        } else if release.contains('-') {
            continue;
        } else {
            &mut main
        };
        mirror.get_or_insert_with(|| site.to_owned());
        let file = entry.rsplit_once(':').map_or(entry, |(file, _)| file);
        for keyring in keyrings_of(&read(file)?) {
            if !keyrings.contains(&keyring) {
                keyrings.push(keyring);
            }
        }
    }
    Ok(Mirrors {
        main: main.ok_or_else(|| {
            anyhow!(
                "none of apt's sources is Debian's main archive. Add one to /etc/apt/sources.list.d"
            )
        })?,
        security,
        keyrings,
    })
}

/// The keyrings' paths in a file of sources, of either format.
fn keyrings_of(sources: &str) -> Vec<String> {
    const KEY: &str = "signed-by";
    sources
        .lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| {
            let at = line.to_ascii_lowercase().find(KEY)?;
            let value = line
                .get(at + KEY.len()..)?
                .trim_start_matches([':', '=', ' ']);
            let path = value.split([' ', ']', ',']).next()?;
            path.starts_with('/').then(|| path.to_owned())
        })
        .collect()
}

/// The release's sources, from the user's mirrors.
fn sources(mirrors: &Mirrors, backports: bool) -> String {
    let mut options = "target=Packages".to_owned();
    if !mirrors.keyrings.is_empty() {
        options = format!("{options} signed-by={}", mirrors.keyrings.join(","));
    }
    let main = Some(&mirrors.main);
    let mut suites = vec![
        (main, RELEASE.to_owned()),
        (main, format!("{RELEASE}-updates")),
        (mirrors.security.as_ref(), format!("{RELEASE}-security")),
    ];
    if backports {
        suites.push((main, format!("{RELEASE}-backports")));
    }
    suites
        .into_iter()
        .filter_map(|(mirror, suite)| Some(format!("deb [{options}] {} {suite} main\n", mirror?)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TARGETS: &str = "\
Other|main|nodistro|https://a.example/node|/etc/apt/sources.list.d/a.sources:1
Debian|main|bookworm-updates|http://b.example/debian|/etc/apt/sources.list.d/b.sources:1
Debian|main|bookworm|http://b.example/debian|/etc/apt/sources.list.d/b.sources:1
Debian|contrib|bookworm|http://c.example/debian|/etc/apt/sources.list.d/c.sources:1
Debian|main|bookworm-security|http://b.example/security|/etc/apt/sources.list:3
";

    fn file(path: &str) -> Result<String> {
        Ok(match path {
            "/etc/apt/sources.list" => "deb [arch=amd64 signed-by=/k/two] http://x y main\n",
            "/etc/apt/sources.list.d/b.sources" => {
                "Types: deb\n# Signed-By: /no\nSigned-By: /k/one\n"
            }
            _ => bail!("{path} is no file of Debian's"),
        }
        .to_owned())
    }

    #[test]
    fn the_users_mirrors_and_keyrings_are_taken() {
        let mirrors = mirrors_of(TARGETS, file).expect("there is a mirror");
        assert_eq!(mirrors.main, "http://b.example/debian");
        assert_eq!(
            mirrors.security.as_deref(),
            Some("http://b.example/security")
        );
        assert_eq!(mirrors.keyrings, ["/k/one", "/k/two"]);
        assert_eq!(
            sources(&mirrors, true),
            "deb [target=Packages signed-by=/k/one,/k/two] http://b.example/debian bookworm main\n\
             deb [target=Packages signed-by=/k/one,/k/two] http://b.example/debian bookworm-updates main\n\
             deb [target=Packages signed-by=/k/one,/k/two] http://b.example/security bookworm-security main\n\
             deb [target=Packages signed-by=/k/one,/k/two] http://b.example/debian bookworm-backports main\n"
        );
    }

    #[test]
    fn without_debians_archive_the_error_says_what_to_do() {
        let error = mirrors_of("Other|main|noble|http://u.example|/x:1\n", file);
        assert!(error.is_err_and(|error| error.to_string().contains("/etc/apt/sources.list.d")));
    }

    #[test]
    fn a_key_within_the_sources_is_no_keyring() {
        assert!(keyrings_of("Signed-By:\n -----BEGIN PGP PUBLIC KEY BLOCK-----\n").is_empty());
    }
}
