//! A Rust compiler with the library for the targets that are built here.
//!
//! Where rustup has installed the targets, the user's own compiler is used and
//! nothing unstable is needed. Where it has not and can't, there is Debian's
//! compiler with the library's source. Its packages conflict with Debian's
//! rustc and rustup, so they are unpacked under `target/toolchain` and the
//! library is built along with the crates.

use std::{
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, bail};

use crate::{
    architecture::Architecture,
    debian, llvm,
    progress::Progress,
    setup,
    workspace::{create_folder, write_if_changed},
};

/// What is unpacked; the rest follows from what these depend on.
const PACKAGES: [&str; 4] = [
    "rustc-web",
    "libstd-rust-web-dev",
    "rust-web-src",
    "rust-web-clippy",
];

/// Dependencies that are unpacked too. All others are ordinary libraries that
/// the tools of LLVM need as well.
const DEPENDENCIES: [&str; 2] = ["libstd-rust-web-", "libllvm"];

/// A compiler that builds for the targets.
pub enum Toolchain {
    /// The user's own, with the targets' libraries.
    Installed,
    /// Debian's, unpacked in this folder, which builds the library itself.
    Unpacked(PathBuf),
}

impl Toolchain {
    /// Finds a compiler, or unpacks Debian's.
    pub fn find(
        workspace: &Path,
        architecture: Architecture,
        progress: &mut Progress,
    ) -> Result<Self> {
        // There is nothing to unpack on Windows.
        if cfg!(windows) || has_targets(architecture) {
            return Ok(Self::Installed);
        }
        let folder = workspace.join("target/toolchain");
        let root = folder.join("root");
        let stamp = folder.join("complete");
        if !stamp.exists() {
            unpack(&folder, &root, progress).with_context(|| {
                format!(
                    "no Rust compiler for Windows drivers. Where rustup can fetch, `rustup target \
                     add {} {}` is all that is needed; otherwise Debian's rustc-web is unpacked, \
                     and that failed",
                    architecture.windows_target(),
                    architecture.bare_target()
                )
            })?;
            write_if_changed(&stamp, b"")?;
        }
        Ok(Self::Unpacked(root))
    }

    /// Makes cargo use this compiler.
    pub fn apply(&self, command: &mut Command) {
        if let Self::Unpacked(root) = self {
            let libraries = root.join("usr/lib");
            command
                .env("RUSTC", root.join("usr/bin/rustc"))
                .env("RUSTDOC", root.join("usr/bin/rustdoc"))
                .env(
                    "LD_LIBRARY_PATH",
                    joined(&[libraries.join("x86_64-linux-gnu"), libraries]),
                )
                // Building the library along is unstable in cargo.
                .env("RUSTC_BOOTSTRAP", "1");
        }
    }

    /// What cargo needs to be told to have the library.
    pub fn arguments(&self, target: &str) -> Vec<String> {
        let mut arguments = vec!["--target".to_owned(), target.to_owned()];
        if matches!(self, Self::Unpacked(_)) {
            arguments.push("-Zbuild-std=core,alloc,compiler_builtins".to_owned());
            // On Windows memcpy and the like are the kernel's; a bare machine
            // has none.
            if is_bare(target) {
                arguments.push("-Zbuild-std-features=compiler-builtins-mem".to_owned());
            }
        }
        arguments
    }

    /// The same for programs, which have the whole library.
    pub fn program_arguments(&self, target: &str) -> Vec<String> {
        let mut arguments = vec!["--target".to_owned(), target.to_owned()];
        if matches!(self, Self::Unpacked(_)) {
            arguments.push("-Zbuild-std=std,panic_unwind".to_owned());
        }
        arguments
    }

    /// The manifest of the library, where it is built along.
    pub fn library_manifest(&self) -> Option<PathBuf> {
        let Self::Unpacked(root) = self else {
            return None;
        };
        // What rustlib/src/rust is a link to.
        let link = root.join("usr/lib/rustlib/src/rust/library/Cargo.toml");
        Some(fs::canonicalize(&link).unwrap_or(link))
    }

    /// The lints' compiler that matches this one.
    pub fn clippy(&self) -> PathBuf {
        match self {
            Self::Installed => "clippy-driver".into(),
            Self::Unpacked(root) => root.join("usr/bin/clippy-driver"),
        }
    }

    /// The linker for a target, as an environment variable for cargo.
    pub fn linker(target: &str) -> (String, PathBuf) {
        let tool = if is_bare(target) {
            "ld.lld"
        } else {
            "lld-link"
        };
        (
            format!(
                "CARGO_TARGET_{}_LINKER",
                target.to_uppercase().replace('-', "_")
            ),
            llvm::tool(tool),
        )
    }
}

/// True for a target without an operating system.
fn is_bare(target: &str) -> bool {
    Architecture::ALL
        .iter()
        .any(|architecture| architecture.bare_target() == target)
}

/// True if the user's own compiler has the libraries of an architecture's
/// targets.
fn has_targets(architecture: Architecture) -> bool {
    let Ok(output) = Command::new("rustc").args(["--print", "sysroot"]).output() else {
        return false;
    };
    let sysroot = PathBuf::from(String::from_utf8_lossy(&output.stdout).trim());
    [architecture.windows_target(), architecture.bare_target()]
        .iter()
        .all(|target| {
            sysroot
                .join("lib/rustlib")
                .join(target)
                .join("lib")
                .is_dir()
        })
}

/// Downloads the packages that are not there yet and unpacks them all.
fn unpack(folder: &Path, root: &Path, progress: &mut Progress) -> Result<()> {
    let packages = folder.join("debs");
    create_folder(&packages)?;
    setup::refresh(&PACKAGES)?;
    check_version(&candidate(PACKAGES[0])?)?;
    for name in with_dependencies()? {
        if !has_package(&packages, &name)? {
            progress.step(&format!("downloading {name}"));
            llvm::run(
                Command::new("apt-get")
                    .args(["download", &name])
                    .current_dir(&packages),
            )?;
        }
    }
    debian::unpack(&packages, root, progress)?;
    if !root.join("usr/bin/rustc").exists() {
        bail!(
            "{} has no usr/bin/rustc after unpacking the packages in {}",
            root.display(),
            packages.display()
        );
    }
    Ok(())
}

/// The version of a package that apt would fetch.
fn candidate(name: &str) -> Result<String> {
    let record = record(name)?;
    record
        .lines()
        .find_map(|line| line.strip_prefix("Version: "))
        .map(str::to_owned)
        .with_context(|| format!("apt does not say which version of {name} it has"))
}

/// The compiler must be one that the crates build with.
fn check_version(found: &str) -> Result<()> {
    let number = |text: &str| -> Option<(u32, u32)> {
        let mut parts = text.split(['.', '+', '-']);
        Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
    };
    if number(found) < number(env!("CARGO_PKG_RUST_VERSION")) {
        bail!(
            "apt's rustc-web is {found}, and {} is needed. Debian 12 has it in bookworm-security: \
             is that among apt's sources?",
            env!("CARGO_PKG_RUST_VERSION")
        );
    }
    Ok(())
}

/// What apt says of a package.
fn record(name: &str) -> Result<String> {
    let output = Command::new("apt-cache")
        .args(["show", "--no-all-versions", name])
        .output()
        .context("can't run apt-cache")?;
    let record = String::from_utf8_lossy(&output.stdout).into_owned();
    if !output.status.success() || record.is_empty() {
        bail!("apt has no package {name}. Debian 12 has it in bookworm-security");
    }
    Ok(record)
}

/// The packages and what they depend on, by apt's own data.
fn with_dependencies() -> Result<Vec<String>> {
    let mut names: Vec<String> = PACKAGES.map(str::to_owned).to_vec();
    let mut next = 0;
    while let Some(name) = names.get(next).cloned() {
        for dependency in dependencies(&record(&name)?) {
            if !names.contains(&dependency) {
                names.push(dependency);
            }
        }
        next += 1;
    }
    Ok(names)
}

/// Those dependencies of a package's record that are unpacked too.
fn dependencies(record: &str) -> Vec<String> {
    record
        .lines()
        .filter_map(|line| line.strip_prefix("Depends:"))
        .flat_map(|list| list.split(','))
        .filter_map(|item| item.split_whitespace().next())
        .filter(|name| DEPENDENCIES.iter().any(|prefix| name.starts_with(prefix)))
        .map(str::to_owned)
        .collect()
}

fn has_package(folder: &Path, name: &str) -> Result<bool> {
    let prefix = OsString::from(format!("{name}_"));
    Ok(debian::package_files(folder)?.iter().any(|path| {
        path.file_name().is_some_and(|file| {
            file.as_encoded_bytes()
                .starts_with(prefix.as_encoded_bytes())
        })
    }))
}

fn joined(folders: &[PathBuf]) -> OsString {
    std::env::join_paths(folders).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::{check_version, dependencies};

    #[test]
    fn a_compiler_that_is_too_old_is_refused_before_it_is_fetched() {
        assert!(check_version("1.96.0+dfsg1-1~deb12u2").is_ok());
        assert!(check_version("1.85.0+dfsg3-1~deb12u3").is_err());
        assert!(check_version("nonsense").is_err());
    }

    #[test]
    fn the_compilers_libraries_are_found_by_what_it_depends_on() {
        let record = "Package: libstd-rust-web-1.96\n\
                      Depends: libc6 (>= 2.34), libllvm22 (>= 1:22), libstd-rust-web-9 (= 9)\n";
        assert_eq!(dependencies(record), ["libllvm22", "libstd-rust-web-9"]);
    }
}
