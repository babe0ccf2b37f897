//! The tools of the Windows Driver Kit, where they are there.
//!
//! `Inf2Cat` makes the catalogue, `InfVerif` has the last word on the INF, and
//! `SignTool` signs. They are looked for below `WDKContentRoot`, or where the
//! kit is installed by default.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use crate::image::Architecture;
use crate::tool::Tool;

/// The tools that were found.
#[derive(Clone, Debug, Default)]
pub struct Kit {
    infverif: Option<PathBuf>,
    inf2cat: Option<PathBuf>,
    pub(crate) signtool: Option<PathBuf>,
}

/// Looks for the newest version of each tool.
#[must_use]
pub fn find() -> Kit {
    let root = std::env::var_os("WDKContentRoot").map_or_else(
        || {
            let programs = std::env::var_os("ProgramFiles(x86)")?;
            Some(Path::new(&programs).join(r"Windows Kits\10"))
        },
        |root| Some(PathBuf::from(root)),
    );
    let Some(root) = root else {
        return Kit::default();
    };
    Kit {
        infverif: newest(&root.join("Tools"), &["x64", "infverif.exe"]),
        inf2cat: newest(&root.join("bin"), &["x86", "Inf2Cat.exe"]),
        signtool: [
            // With the kit from NuGet, the SDK is in a folder of its own.
            std::env::var_os("WindowsSdkBinPath").map(PathBuf::from),
            Some(root.join("bin")),
        ]
        .into_iter()
        .flatten()
        .find_map(|within| newest(&within, &["x64", "signtool.exe"])),
    }
}

/// The file at `path` below the folder in `within` with the highest version.
fn newest(within: &Path, path: &[&str]) -> Option<PathBuf> {
    fs::read_dir(within)
        .ok()?
        .filter_map(Result::ok)
        .filter_map(|entry| {
            let file = path
                .iter()
                .fold(entry.path(), |folder, part| folder.join(part));
            let name = entry.file_name();
            let version: Vec<u32> = name
                .to_str()?
                .split('.')
                .map(|part| part.parse().ok())
                .collect::<Option<_>>()?;
            file.is_file().then_some((version, file))
        })
        .max()
        .map(|(_, file)| file)
}

impl Kit {
    /// Lets `InfVerif` judge the INF, if it is there: as a Windows Driver, and
    /// by what WHQL asks for.
    ///
    /// # Errors
    /// `InfVerif` found errors: its output is in the error.
    pub fn verify_inf(&self, inf: &Path) -> Result<()> {
        let Some(infverif) = &self.infverif else {
            return Ok(());
        };
        for mode in ["/w", "/h"] {
            Tool::at(infverif)
                .args(["/v", mode])
                .arg(inf)
                .run()
                .with_context(|| format!("InfVerif {mode} refuses the INF"))?;
        }
        Ok(())
    }

    /// Lets `Inf2Cat` write the catalogue of the package in `folder`. Returns
    /// whether it is there.
    ///
    /// # Errors
    /// `Inf2Cat` refuses the package.
    pub fn make_catalogue(&self, folder: &Path, architecture: Architecture) -> Result<bool> {
        let Some(inf2cat) = &self.inf2cat else {
            return Ok(false);
        };
        let mut driver = OsString::from("/driver:");
        driver.push(folder);
        let systems = match architecture {
            Architecture::X64 => "/os:10_X64,Server2016_X64",
            Architecture::Arm64 => "/os:10_RS3_ARM64",
        };
        Tool::at(inf2cat)
            .arg(driver)
            .args([systems, "/uselocaltime"])
            .run()
            .context("Inf2Cat refuses the package")?;
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::newest;

    #[test]
    fn a_folder_without_versions_has_no_tool() {
        assert_eq!(
            newest(std::path::Path::new("/proc/self"), &["x64", "a.exe"]),
            None
        );
    }
}
