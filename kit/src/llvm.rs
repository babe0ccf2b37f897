//! LLVM's tools and how they are told to read mingw-w64's headers as MSVC would
//! read Microsoft's.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, bail};

use crate::architecture::Architecture;

/// The release whose tools are used: Debian 12 and later have it, and one
/// release everywhere keeps the image the same everywhere.
const RELEASE: u32 = 19;

/// Debian's headers for Windows.
const MINGW: &str = "/usr/share/mingw-w64/include";

/// Where a tool of LLVM is.
pub fn tool(name: &str) -> PathBuf {
    Path::new("/usr/lib")
        .join(format!("llvm-{RELEASE}"))
        .join("bin")
        .join(name)
}

/// Where libclang is.
pub fn libraries() -> PathBuf {
    Path::new("/usr/lib")
        .join(format!("llvm-{RELEASE}"))
        .join("lib")
}

/// The clang arguments for kernel headers, without the folders of the kit.
pub fn header_arguments() -> Vec<String> {
    let clang = libraries().join("clang").join(RELEASE.to_string());
    vec![
        // libclang, reached through a symbolic link, looks in the wrong place.
        "-resource-dir".to_owned(),
        clang.display().to_string(),
        // A kernel has no setjmp, and mingw-w64's contradicts clang's.
        "-ffreestanding".to_owned(),
        // mingw-w64's headers test for a version of GCC.
        "-fgnuc-version=4.2.1".to_owned(),
        // x64's vector intrinsics: a third of all declarations, no use here, and
        // bindgen gets the layout of the AMX tile type wrong.
        "-D__X86INTRIN_H".to_owned(),
        "-D__IMMINTRIN_H".to_owned(),
        // Only a warning that it is empty.
        "-D_MM3DNOW_H_INCLUDED".to_owned(),
        "-isystem".to_owned(),
        format!("{MINGW}/ddk"),
        "-isystem".to_owned(),
        MINGW.to_owned(),
    ]
}

/// The clang arguments with which a C source is compiled for the kernel.
pub fn compiler_arguments(architecture: Architecture) -> Vec<String> {
    let mut arguments = [
        "-target",
        architecture.windows_target(),
        "-std=c17",
        "-Os",
        // Of the inline functions in headers only what is called is linked.
        "-ffunction-sections",
        "-fms-compatibility",
        "-fms-extensions",
        "-fno-stack-protector",
        "-Wall",
        "-Wextra",
        "-Werror",
        "-Wno-unused-parameter",
        "-D_KERNEL_MODE",
        "-DKMDF_VERSION_MAJOR=1",
    ]
    .map(str::to_owned)
    .to_vec();
    arguments.extend(architecture.definitions().iter().map(ToString::to_string));
    arguments.extend(header_arguments());
    arguments
}

/// Runs a tool; what it printed is the error when it fails.
pub fn run(command: &mut Command) -> Result<()> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = command.output().with_context(|| {
        format!("can't run {program}: `cargo xtask setup` installs what is missing")
    })?;
    if !output.status.success() {
        bail!(
            "{program} failed ({}):\n{}{}",
            output.status,
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
    }
    Ok(())
}
