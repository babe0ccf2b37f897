//! The version resource: what Explorer and `driverquery` show of the file.

use std::{path::Path, process::Command};

use anyhow::Result;

use crate::{llvm, workspace};

/// Relative to the workspace, where rustc links.
pub const LINK_ARGUMENT: &str = "-Clink-arg=target/kit/pvpanic.res";

/// Compiles the resource to where [`LINK_ARGUMENT`] says.
pub fn compile(workspace: &Path) -> Result<()> {
    let folder = workspace.join("target/kit");
    let source = folder.join("pvpanic.rc");
    let compiled = folder.join("pvpanic.res");
    let text = script(workspace::version());
    if compiled.exists() && std::fs::read_to_string(&source).is_ok_and(|present| present == text) {
        return Ok(());
    }
    workspace::write_if_changed(&source, text.as_bytes())?;
    let mut tool = if cfg!(windows) {
        // Of the Windows SDK.
        Command::new("rc")
    } else {
        let mut tool = Command::new(llvm::tool("llvm-rc"));
        tool.arg("/no-preprocess");
        tool
    };
    // Names alone: a path like /ci/... reads as the option /C.
    llvm::run(
        tool.current_dir(&folder)
            .args(["/fo", "pvpanic.res", "pvpanic.rc"]),
    )
}

/// The resource script. The numbers are `VS_FIXEDFILEINFO`'s: file flags mask
/// 0x3F, `VOS_NT_WINDOWS32`, `VFT_DRV`, `VFT2_DRV_SYSTEM`; language 0x0409 is
/// English (United States), code page 0x04B0 is Unicode.
fn script(version: [u16; 4]) -> String {
    let [major, minor, patch, build] = version;
    format!(
        r#"1 VERSIONINFO
FILEVERSION {major},{minor},{patch},{build}
PRODUCTVERSION {major},{minor},{patch},{build}
FILEFLAGSMASK 0x3F
FILEFLAGS 0
FILEOS 0x40004
FILETYPE 3
FILESUBTYPE 7
BEGIN
  BLOCK "StringFileInfo"
  BEGIN
    BLOCK "040904B0"
    BEGIN
      VALUE "CompanyName", "The pvpanic for Windows project"
      VALUE "FileDescription", "QEMU PVPanic Device driver"
      VALUE "FileVersion", "{major}.{minor}.{patch}.{build}"
      VALUE "InternalName", "pvpanic.sys"
      VALUE "LegalCopyright", "MIT OR Apache-2.0"
      VALUE "OriginalFilename", "pvpanic.sys"
      VALUE "ProductName", "QEMU PVPanic Device"
      VALUE "ProductVersion", "{major}.{minor}.{patch}.{build}"
    END
  END
  BLOCK "VarFileInfo"
  BEGIN
    VALUE "Translation", 0x0409, 0x04B0
  END
END
"#
    )
}
