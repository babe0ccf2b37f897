//! From `pvpanic.inx` to `pvpanic.inf`: what `StampInf` of the Windows Driver
//! Kit does, on any host.

use anyhow::{Result, bail};

use crate::commit::Date;
use crate::image::{Architecture, Version};

/// What is stamped into the INF.
#[derive(Clone, Copy, Debug)]
pub struct Stamp {
    /// The architecture of the `.sys`.
    pub architecture: Architecture,
    /// Date of the commit, in UTC.
    pub date: Date,
    /// Version of the workspace, which the `.sys` has as its version resource.
    pub version: Version,
    /// The framework that the `.sys` binds to, such as `1.15`.
    pub framework: Framework,
}

/// A version of the kernel-mode driver framework.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Framework {
    /// Major version.
    pub major: u32,
    /// Minor version.
    pub minor: u32,
}

/// Stamps `source` and gives it Windows' line ends.
///
/// # Errors
/// `source` has not exactly one `DriverVer`, or has a placeholder that is not
/// known.
pub fn stamp(source: &str, stamp: Stamp) -> Result<String> {
    let Stamp {
        architecture,
        date,
        version,
        framework,
    } = stamp;
    let mut stamped = 0;
    let mut output = String::new();
    for line in source.lines() {
        let line = if line
            .trim_start()
            .to_ascii_lowercase()
            .starts_with("driverver")
        {
            stamped += 1;
            let (key, _) = line.split_once('=').unwrap_or((line, ""));
            format!(
                "{key}= {:02}/{:02}/{:04},{version}",
                date.month, date.day, date.year
            )
        } else if line.trim_start().starts_with(';') {
            line.to_owned()
        } else {
            line.replace("$ARCH$", architecture.inf_name()).replace(
                "$KMDFVERSION$",
                &format!("{}.{}", framework.major, framework.minor),
            )
        };
        output.push_str(&line);
        output.push_str("\r\n");
    }
    if stamped != 1 {
        bail!("the .inx has {stamped} lines with DriverVer, and needs exactly one");
    }
    Ok(output)
}
