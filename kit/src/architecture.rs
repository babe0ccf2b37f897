//! The processors that Windows drivers are built for.

use std::{fmt, str::FromStr};

use anyhow::{Result, bail};
use object::pe::{IMAGE_FILE_MACHINE_AMD64, IMAGE_FILE_MACHINE_ARM64};

/// A processor architecture, with what each tool calls it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Architecture {
    /// AMD64, x86-64.
    X64,
    /// ARM64, `AArch64`.
    Arm64,
}

impl Architecture {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::X64, Self::Arm64];

    /// The name here, of options, files and folders; `llvm-lib` takes it too.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::X64 => "x64",
            Self::Arm64 => "arm64",
        }
    }

    /// What runs in Windows, in kernel mode or in user mode, as rustc and clang
    /// call it.
    #[must_use]
    pub const fn windows_target(self) -> &'static str {
        match self {
            Self::X64 => "x86_64-pc-windows-msvc",
            Self::Arm64 => "aarch64-pc-windows-msvc",
        }
    }

    /// What runs on a bare machine: the test kernel's program. It leaves vector
    /// registers alone, which are the driver's.
    #[must_use]
    pub const fn bare_target(self) -> &'static str {
        match self {
            Self::X64 => "x86_64-unknown-none",
            Self::Arm64 => "aarch64-unknown-none-softfloat",
        }
    }

    /// As INF decorations have it, after `NT`.
    #[must_use]
    pub const fn inf_name(self) -> &'static str {
        match self {
            Self::X64 => "amd64",
            Self::Arm64 => "arm64",
        }
    }

    /// As Windows Installer has it ("Template Summary property").
    #[must_use]
    pub const fn installer_platform(self) -> &'static str {
        match self {
            Self::X64 => "x64",
            Self::Arm64 => "Arm64",
        }
    }

    /// The value of `Machine` in an image's header.
    #[must_use]
    pub const fn image_machine(self) -> u16 {
        match self {
            Self::X64 => IMAGE_FILE_MACHINE_AMD64,
            Self::Arm64 => IMAGE_FILE_MACHINE_ARM64,
        }
    }

    /// The folder of the libraries in a kit. File systems of Windows know no
    /// case, and `wdk-build` asks for this one.
    pub(crate) const fn kit_folder(self) -> &'static str {
        match self {
            Self::X64 => "x64",
            Self::Arm64 => "ARM64",
        }
    }

    /// As `llvm-dlltool` calls it.
    pub(crate) const fn dlltool_machine(self) -> &'static str {
        match self {
            Self::X64 => "i386:x86-64",
            Self::Arm64 => "arm64",
        }
    }

    /// What Microsoft's build defines for headers.
    pub(crate) const fn definitions(self) -> &'static [&'static str] {
        match self {
            Self::X64 => &["-D_WIN64", "-D_AMD64_", "-DAMD64"],
            Self::Arm64 => &["-D_WIN64", "-D_ARM64_", "-DARM64"],
        }
    }
}

impl fmt::Display for Architecture {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

impl FromStr for Architecture {
    type Err = anyhow::Error;

    fn from_str(name: &str) -> Result<Self> {
        let found = Self::ALL.into_iter().find(|it| it.name() == name);
        let Some(architecture) = found else {
            bail!("drivers are built for x64 and arm64, not for {name}");
        };
        Ok(architecture)
    }
}

#[cfg(test)]
mod tests {
    use super::Architecture;

    #[test]
    fn an_architecture_is_known_by_the_name_it_is_printed_with() {
        for architecture in Architecture::ALL {
            let read = architecture.to_string().parse::<Architecture>();
            assert_eq!(read.ok(), Some(architecture));
        }
        let message = "x86".parse::<Architecture>().err().map(|it| it.to_string());
        assert!(message.is_some_and(|text| text.contains("x64 and arm64, not for x86")));
    }
}
