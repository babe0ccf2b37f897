//! Builds small C drivers against the same kit: the tests' drivers, which show
//! that the test kernel knows nothing of this one.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result};

use crate::{
    architecture::Architecture,
    driver::lock,
    layout::Kit,
    llvm, reproducible,
    workspace::{self, create_folder},
};

/// Compiles and links a KMDF driver and answers with the path of its image,
/// `target/c-drivers/<architecture>/<name>.sys`; its map is beside it.
///
/// # Errors
///
/// If LLVM is missing, a source does not compile, or KMDF 1.`kmdf_minor` is not
/// one of [`crate::released_versions`].
pub fn build_c_driver(
    architecture: Architecture,
    sources: &[&Path],
    name: &str,
    kmdf_minor: u8,
) -> Result<PathBuf> {
    let workspace = workspace::root();
    let _lock = lock(&workspace)?;
    let kit = Kit::lay_out(&workspace)?;
    // An error that names the versions, before clang's about a missing header.
    crate::functions::functions(kmdf_minor)?;
    let folder = workspace.join("target/c-drivers").join(architecture.name());
    create_folder(&folder)?;

    let mut objects = Vec::new();
    for (index, source) in sources.iter().enumerate() {
        let object = folder.join(format!("{name}.{index}.obj"));
        llvm::run(
            Command::new(llvm::tool("clang"))
                .args(llvm::compiler_arguments(architecture))
                .arg("-I")
                .arg(kit.kernel_headers())
                .arg("-I")
                .arg(kit.framework_headers(kmdf_minor))
                .arg("-c")
                .arg(source)
                .arg("-o")
                .arg(&object),
        )?;
        objects.push(object);
    }

    let driver = folder.join(format!("{name}.sys"));
    llvm::run(
        Command::new(llvm::tool("lld-link"))
            .args([
                "/driver",
                "/subsystem:native",
                "/entry:FxDriverEntry",
                "/nodefaultlib",
                "/nxcompat",
                "/dynamicbase",
                "/highentropyva",
                "/integritycheck",
                "/opt:ref,icf",
                "/manifest:no",
                "/map",
                "/Brepro",
            ])
            .arg(format!(
                "/libpath:{}",
                kit.kernel_libraries(architecture).display()
            ))
            .arg(format!(
                "/libpath:{}",
                kit.framework_libraries(architecture, kmdf_minor).display()
            ))
            .args(["ntoskrnl.lib", "WdfLdr.lib", "WdfDriverEntry.lib"])
            .args(&objects)
            .arg(format!("/out:{}", driver.display())),
    )?;
    let mut image =
        fs::read(&driver).with_context(|| format!("can't read {}", driver.display()))?;
    reproducible::stamp(&mut image, None)?;
    fs::write(&driver, &image).with_context(|| format!("can't write {}", driver.display()))?;
    Ok(driver)
}
