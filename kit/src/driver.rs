//! Builds `pvpanic.sys`.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result};

use crate::{
    architecture::Architecture,
    cargo,
    layout::Kit,
    llvm,
    progress::Progress,
    reproducible, resource,
    toolchain::Toolchain,
    vendor::Vendor,
    workspace::{self, create_folder, write_if_changed},
};

/// Builds the driver of this workspace and answers with the path of
/// `pvpanic.sys` in `target/driver/<architecture>`; `pvpanic.pdb` and
/// `pvpanic.map` are beside it.
///
/// # Errors
///
/// If something is missing that `setup` would install, or does not compile.
pub fn build_driver(architecture: Architecture) -> Result<PathBuf> {
    build_driver_in(&workspace::root(), architecture)
}

/// The same for the workspace in another folder.
///
/// # Errors
///
/// As [`build_driver`].
pub fn build_driver_in(workspace: &Path, architecture: Architecture) -> Result<PathBuf> {
    let mut progress = Progress::new(format!("Building pvpanic.sys for {architecture}"));
    let target = if cfg!(windows) {
        build_with_microsofts_kit(workspace, architecture, &mut progress)?
    } else {
        let build = Build::prepare(workspace, architecture, &mut progress)?;
        let mut command = build.cargo("build");
        command.args(["--package", "pvpanic", "--profile", "driver"]);
        cargo::run(command, &workspace.join("target/driver.log"), &mut progress)?;
        cargo::target_folder(workspace)
    };
    collect(
        &target.join(architecture.windows_target()).join("driver"),
        &folder(workspace, architecture),
    )
}

/// On Windows the real kit and the unmodified crates do it. Not run by this
/// project's own tests, which have no Windows.
fn build_with_microsofts_kit(
    workspace: &Path,
    architecture: Architecture,
    progress: &mut Progress,
) -> Result<PathBuf> {
    let target = cargo::target_folder(workspace);
    resource::compile(workspace)?;
    let mut command = cargo::command(workspace, &Toolchain::Installed);
    command
        .env("CARGO_ENCODED_RUSTFLAGS", FLAGS.join("\x1f"))
        .args(["build", "--locked", "--package", "pvpanic"])
        .args(["--profile", "driver"])
        .args(["--target", architecture.windows_target()])
        .arg("--target-dir")
        .arg(&target);
    cargo::run(command, &workspace.join("target/driver.log"), progress)?;
    Ok(target)
}

/// Everything that a build for the Windows kernel needs.
pub struct Build<'a> {
    workspace: &'a Path,
    architecture: Architecture,
    toolchain: Toolchain,
    kit: Kit,
    vendor: Vendor,
    /// Held while this exists: two builds would write the same files.
    _lock: File,
}

impl<'a> Build<'a> {
    pub fn prepare(
        workspace: &'a Path,
        architecture: Architecture,
        progress: &mut Progress,
    ) -> Result<Self> {
        let lock = lock(workspace)?;
        let toolchain = Toolchain::find(workspace, architecture, progress)?;
        let kit = Kit::lay_out(workspace)?;
        resource::compile(workspace)?;
        let vendor = Vendor::prepare(workspace, &toolchain, progress)?;
        Ok(Self {
            workspace,
            architecture,
            toolchain,
            kit,
            vendor,
            _lock: lock,
        })
    }

    /// The compiler.
    pub const fn toolchain(&self) -> &Toolchain {
        &self.toolchain
    }

    /// The crates' sources.
    pub const fn vendor(&self) -> &Vendor {
        &self.vendor
    }

    /// Cargo for the Windows kernel. Every use passes the same flags, so that
    /// the library and the bindings are built once.
    pub fn cargo(&self, subcommand: &str) -> Command {
        let mut command = cargo::command(self.workspace, &self.toolchain);
        let target = self.architecture.windows_target();
        let (variable, linker) = Toolchain::linker(target);
        let suffix = target.replace('-', "_");
        let headers = llvm::header_arguments().join(" ");
        command
            .env(variable, linker)
            .env("CARGO_ENCODED_RUSTFLAGS", FLAGS.join("\x1f"))
            .env("WDKContentRoot", self.kit.root())
            .env_remove("Version_Number")
            .env("LIBCLANG_PATH", llvm::libraries())
            .env(format!("BINDGEN_EXTRA_CLANG_ARGS_{suffix}"), &headers)
            .env(format!("CC_{suffix}"), llvm::tool("clang"))
            .env(format!("AR_{suffix}"), llvm::tool("llvm-lib"))
            .env(format!("CFLAGS_{suffix}"), &headers)
            .args([subcommand, "--locked"])
            .args(self.toolchain.arguments(target))
            .args(self.vendor.arguments())
            .arg("--target-dir")
            .arg(cargo::target_folder(self.workspace));
        command
    }
}

/// Paths are relative, and rustc links in the workspace's folder: no flag says
/// where the workspace is, so the image does not depend on it.
const FLAGS: [&str; 4] = [
    "-Ctarget-feature=+crt-static",
    // No time of day in the image.
    "-Clink-arg=/Brepro",
    // No folder of this machine in the image.
    "-Clink-arg=/PDBALTPATH:pvpanic.pdb",
    resource::LINK_ARGUMENT,
];

/// Holds off other builds of the same workspace.
pub fn lock(workspace: &Path) -> Result<File> {
    let target = workspace.join("target");
    create_folder(&target)?;
    let path = target.join("kit.lock");
    let file = File::create(&path).with_context(|| format!("can't write {}", path.display()))?;
    file.lock()
        .with_context(|| format!("can't lock {}", path.display()))?;
    Ok(file)
}

/// Where what was built for an architecture is looked for.
pub fn folder(workspace: &Path, architecture: Architecture) -> PathBuf {
    workspace.join("target/driver").join(architecture.name())
}

/// Copies what cargo built to where it is looked for.
fn collect(built: &Path, into: &Path) -> Result<PathBuf> {
    let read = |path: PathBuf| {
        fs::read(&path).with_context(|| format!("the build left no {}", path.display()))
    };
    let mut image = read(built.join("pvpanic.dll"))?;
    let mut symbols = read(built.join("pvpanic.pdb"))?;
    let map = read(built.join("deps/pvpanic.map"))?;
    if !cfg!(windows) {
        reproducible::stamp(&mut image, Some(&mut symbols))?;
    }
    let driver = into.join("pvpanic.sys");
    write_if_changed(&driver, &image)?;
    write_if_changed(&into.join("pvpanic.pdb"), &symbols)?;
    write_if_changed(&into.join("pvpanic.map"), &map)?;
    Ok(driver)
}
