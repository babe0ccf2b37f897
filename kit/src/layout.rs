//! Lays the kit out under `target/kit` as the Microsoft kit is laid out.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result};

use crate::{
    architecture::Architecture,
    functions::{released_versions, version_header},
    llvm,
    workspace::{create_folder, fingerprint, read, write_if_changed},
};

/// The kit's version: the oldest Windows that is supported.
const VERSION: &str = "10.0.14393.0";

/// Libraries that the crates name and that hold nothing a driver here uses.
const EMPTY_LIBRARIES: [&str; 5] = [
    "hal",
    "wmilib",
    "BufferOverflowFastFailK",
    "rpcrt4",
    "arm64rt",
];

/// A kit that is laid out.
pub struct Kit {
    root: PathBuf,
}

impl Kit {
    /// Lays the kit out, if anything of it changed.
    pub fn lay_out(workspace: &Path) -> Result<Self> {
        let source = workspace.join("kit");
        let kit = Self {
            root: workspace.join("target/kit"),
        };
        let inputs = Inputs::read(&source)?;
        let stamp = kit.root.join("fingerprint");
        if fs::read_to_string(&stamp).is_ok_and(|present| present == inputs.fingerprint()) {
            return Ok(kit);
        }
        // Left standing, it would vouch for a kit that was laid out in part.
        if stamp.exists() {
            fs::remove_file(&stamp).with_context(|| format!("can't remove {}", stamp.display()))?;
        }
        kit.write_headers(&inputs)?;
        for architecture in Architecture::ALL {
            kit.make_import_libraries(&source, architecture)?;
            for minor in released_versions() {
                kit.compile_stub(&source, architecture, minor)?;
            }
        }
        write_if_changed(&stamp, inputs.fingerprint().as_bytes())?;
        Ok(kit)
    }

    /// The folder that `WDKContentRoot` names.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The folder of `ntddk.h`.
    pub fn kernel_headers(&self) -> PathBuf {
        self.root.join("Include").join(VERSION).join("km")
    }

    /// The folder of `wdf.h` for a KMDF version.
    pub fn framework_headers(&self, minor: u8) -> PathBuf {
        self.root.join(format!("Include/wdf/kmdf/1.{minor}"))
    }

    /// The folder of `ntoskrnl.lib`.
    pub fn kernel_libraries(&self, architecture: Architecture) -> PathBuf {
        self.root
            .join("Lib")
            .join(VERSION)
            .join("km")
            .join(architecture.kit_folder())
    }

    /// The folder of `WdfDriverEntry.lib` for a KMDF version.
    pub fn framework_libraries(&self, architecture: Architecture, minor: u8) -> PathBuf {
        self.root
            .join("Lib/wdf/kmdf")
            .join(architecture.kit_folder())
            .join(format!("1.{minor}"))
    }

    fn write_headers(&self, inputs: &Inputs) -> Result<()> {
        let kernel = self.kernel_headers();
        for folder in ["crt", "ufx/1.1"] {
            create_folder(&kernel.join(folder))?;
        }
        create_folder(&kernel.with_file_name("shared"))?;
        for (name, text) in &inputs.kernel_headers {
            write_if_changed(&kernel.join(name), text.as_bytes())?;
        }
        for minor in released_versions() {
            let folder = self.framework_headers(minor);
            for (name, text) in &inputs.framework_headers {
                write_if_changed(&folder.join(name), text.as_bytes())?;
            }
            write_if_changed(
                &folder.join("wdfversion.h"),
                version_header(minor)?.as_bytes(),
            )?;
        }
        Ok(())
    }

    fn make_import_libraries(&self, source: &Path, architecture: Architecture) -> Result<()> {
        let kernel = self.kernel_libraries(architecture);
        create_folder(&kernel)?;
        import_library(
            architecture,
            &source.join("imports/ntoskrnl.def"),
            &kernel.join("ntoskrnl.lib"),
        )?;
        for name in EMPTY_LIBRARIES {
            llvm::run(
                Command::new(llvm::tool("llvm-lib"))
                    .arg(format!("/machine:{architecture}"))
                    .arg("/llvmlibempty")
                    .arg(format!(
                        "/out:{}",
                        kernel.join(format!("{name}.lib")).display()
                    )),
            )?;
        }
        for minor in released_versions() {
            let folder = self.framework_libraries(architecture, minor);
            create_folder(&folder)?;
            import_library(
                architecture,
                &source.join("imports/wdfldr.def"),
                &folder.join("WdfLdr.lib"),
            )?;
        }
        Ok(())
    }

    fn compile_stub(&self, source: &Path, architecture: Architecture, minor: u8) -> Result<()> {
        let folder = self.framework_libraries(architecture, minor);
        let object = folder.join("FxDriverEntry.obj");
        llvm::run(
            Command::new(llvm::tool("clang"))
                .args(llvm::compiler_arguments(architecture))
                .arg("-I")
                .arg(self.kernel_headers())
                .arg("-I")
                .arg(self.framework_headers(minor))
                // The name alone: the object then is the same in every folder.
                .current_dir(source.join("stub"))
                .args(["-c", "FxDriverEntry.c", "-o"])
                .arg(&object),
        )
        .with_context(|| {
            format!("the entry stub for KMDF 1.{minor} did not compile for {architecture}")
        })?;
        llvm::run(
            Command::new(llvm::tool("llvm-lib"))
                .arg(format!(
                    "/out:{}",
                    folder.join("WdfDriverEntry.lib").display()
                ))
                .arg(&object),
        )
    }
}

/// Makes an import library from a module definition file.
fn import_library(architecture: Architecture, definition: &Path, library: &Path) -> Result<()> {
    llvm::run(
        Command::new(llvm::tool("llvm-dlltool"))
            .args(["-m", architecture.dlltool_machine(), "-d"])
            .arg(definition)
            .arg("-l")
            .arg(library),
    )
}

/// What the kit is made from.
struct Inputs {
    kernel_headers: Vec<(String, String)>,
    framework_headers: Vec<(String, String)>,
    others: Vec<(String, String)>,
}

impl Inputs {
    fn read(source: &Path) -> Result<Self> {
        let mut others = folder(&source.join("imports"))?;
        others.extend(folder(&source.join("stub"))?);
        for architecture in Architecture::ALL {
            others.push((
                architecture.to_string(),
                llvm::compiler_arguments(architecture).join("\n"),
            ));
        }
        for minor in released_versions() {
            others.push((minor.to_string(), version_header(minor)?));
        }
        Ok(Self {
            kernel_headers: folder(&source.join("include/km"))?,
            framework_headers: folder(&source.join("include/wdf"))?,
            others,
        })
    }

    fn fingerprint(&self) -> String {
        fingerprint(
            [&self.kernel_headers, &self.framework_headers, &self.others]
                .into_iter()
                .flatten()
                .flat_map(|(name, text)| [name, text]),
        )
    }
}

/// The files of a folder, by name.
fn folder(path: &Path) -> Result<Vec<(String, String)>> {
    let mut files = Vec::new();
    let entries = fs::read_dir(path).with_context(|| format!("can't read {}", path.display()))?;
    for entry in entries {
        let path = entry
            .with_context(|| format!("can't read {}", path.display()))?
            .path();
        let name = path
            .file_name()
            .map_or_else(String::new, |name| name.to_string_lossy().into_owned());
        files.push((name, read(&path)?));
    }
    files.sort();
    Ok(files)
}
