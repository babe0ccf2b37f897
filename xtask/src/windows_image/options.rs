//! The options of `windows-image`.

use std::{path::PathBuf, time::Duration};

use anyhow::{Context, Result, bail, ensure};
use e2e::windows::Firmware;
use lexopt::{
    Arg::{Long, Value},
    Parser, ValueExt,
};

use crate::options::one_of;

/// A release of Windows.
#[derive(Debug)]
pub struct Release {
    /// As `--release` names it.
    pub name: &'static str,
    /// Its folder in virtio-win's layout, and in ours.
    pub folder: &'static str,
    /// The image that is installed unless `--edition` names another.
    edition: &'static str,
}

impl Release {
    /// Whether Setup refuses a machine without TPM and Secure Boot.
    pub fn checks_machine(&self) -> bool {
        self.name == "11"
    }
}

/// The releases, with the names that the images on Microsoft's media have.
const RELEASES: &[Release] = &[
    Release {
        name: "2016",
        folder: "2k16",
        edition: "Windows Server 2016 SERVERSTANDARD",
    },
    Release {
        name: "2019",
        folder: "2k19",
        edition: "Windows Server 2019 SERVERSTANDARD",
    },
    Release {
        name: "2022",
        folder: "2k22",
        edition: "Windows Server 2022 SERVERSTANDARD",
    },
    Release {
        name: "2025",
        folder: "2k25",
        edition: "Windows Server 2025 SERVERSTANDARD",
    },
    Release {
        name: "10",
        folder: "w10",
        edition: "Windows 10 Pro",
    },
    Release {
        name: "11",
        folder: "w11",
        edition: "Windows 11 Pro",
    },
];

/// Which memory dump Windows writes: the name, and `CrashDumpEnabled` and
/// `FilterPages` of `CrashControl` (Microsoft, "Overview of memory dump file options
/// for Windows" and "Active Memory Dump").
pub type Dump = (&'static str, u32, Option<u32>);

const DUMPS: &[Dump] = &[
    ("none", 0, None),
    ("complete", 1, None),
    ("kernel", 2, None),
    ("small", 3, None),
    ("automatic", 7, None),
    ("active", 1, Some(1)),
];

/// What to install, and how.
#[derive(Debug)]
pub struct Options {
    /// `--iso`.
    pub iso: PathBuf,
    /// `--out`.
    pub out: PathBuf,
    /// `--release`.
    pub release: &'static Release,
    /// `--edition`, the name of an image on the medium.
    pub edition: String,
    /// `--product-key`.
    pub product_key: Option<String>,
    /// `--language`.
    pub language: String,
    /// `--password`, the administrator's.
    pub password: String,
    /// `--firmware`.
    pub firmware: Firmware,
    /// `--virtio-win`, the medium with the guest agent.
    pub virtio_win: Option<PathBuf>,
    /// `--script`, to be run at the end.
    pub script: Option<PathBuf>,
    /// `--dump`.
    pub dump: Option<&'static Dump>,
    /// `--report-dump-end`.
    pub report_dump_end: Option<u32>,
    /// `--size`, of the disk in GiB.
    pub size: u32,
    /// `--accel`.
    pub accelerator: String,
    /// `--timeout`, of the whole.
    pub timeout: Duration,
    /// `--stuck`: how long nothing may change.
    pub stuck: Duration,
}

impl Options {
    /// Parses the rest of the command line.
    ///
    /// # Errors
    ///
    /// For an option that the command does not know or a value that it does not
    /// take, and if something that it needs is missing.
    pub fn parse(parser: &mut Parser) -> Result<Self> {
        let mut iso = None;
        let mut out = None;
        let mut release = None;
        let mut edition = None;
        let mut firmware = None;
        let mut product_key = None;
        let mut language = "en-US".to_owned();
        let mut password = "Change-Me-1".to_owned();
        let mut virtio_win = None;
        let mut script = None;
        let mut dump = None;
        let mut report_dump_end = None;
        let mut size = 40;
        let mut accelerator = "tcg".to_owned();
        let mut timeout = 6 * 60 * 60;
        let mut stuck = 45 * 60;
        while let Some(argument) = parser.next()? {
            match argument {
                Long("iso") => iso = Some(PathBuf::from(parser.value()?)),
                Long("out") => out = Some(PathBuf::from(parser.value()?)),
                Long("release") => {
                    let names: Vec<&str> = RELEASES.iter().map(|it| it.name).collect();
                    let name = one_of(parser, "--release", &names)?;
                    release = RELEASES.iter().find(|it| it.name == name);
                }
                Long("edition") => edition = Some(parser.value()?.string()?),
                Long("product-key") => product_key = Some(parser.value()?.string()?),
                Long("language") => language = parser.value()?.string()?,
                Long("password") => password = parser.value()?.string()?,
                Long("firmware") => {
                    firmware = Some(match &*one_of(parser, "--firmware", &["bios", "uefi"])? {
                        "uefi" => Firmware::Uefi,
                        _ => Firmware::Bios,
                    });
                }
                Long("virtio-win") => virtio_win = Some(PathBuf::from(parser.value()?)),
                Long("script") => script = Some(PathBuf::from(parser.value()?)),
                Long("dump") => {
                    let names: Vec<&str> = DUMPS.iter().map(|(name, ..)| *name).collect();
                    let name = one_of(parser, "--dump", &names)?;
                    dump = DUMPS.iter().find(|(known, ..)| *known == name);
                }
                Long("report-dump-end") => {
                    let value = one_of(parser, "--report-dump-end", &["0", "1", "2"])?;
                    report_dump_end = Some(value.parse()?);
                }
                Long("size") => size = number(parser, "--size")?,
                Long("accel") => accelerator = one_of(parser, "--accel", &["tcg", "kvm"])?,
                Long("timeout") => timeout = number(parser, "--timeout")?,
                Long("stuck") => stuck = number(parser, "--stuck")?,
                Value(value) => bail!("{} is one argument too many", value.to_string_lossy()),
                argument => return Err(argument.unexpected().into()),
            }
        }
        let release: &'static Release =
            release.context("windows-image needs --release 2016, 2019, 2022, 2025, 10 or 11")?;
        let firmware = firmware.unwrap_or(Firmware::Uefi);
        ensure!(
            !(release.checks_machine() && firmware == Firmware::Bios),
            "Windows 11 starts with UEFI only: leave --firmware bios out"
        );
        // What it takes at least (Microsoft, "Windows 11 requirements").
        ensure!(size >= 32, "--size takes at least 32 (GiB), not {size}");
        Ok(Self {
            iso: iso.context("windows-image needs --iso WINDOWS.iso")?,
            out: out.context("windows-image needs --out FILE.qcow2")?,
            release,
            edition: edition.unwrap_or_else(|| release.edition.to_owned()),
            product_key,
            language,
            password,
            firmware,
            virtio_win,
            script,
            dump,
            report_dump_end,
            size,
            accelerator,
            timeout: Duration::from_secs(timeout.into()),
            stuck: Duration::from_secs(stuck.into()),
        })
    }
}

fn number(parser: &mut Parser, option: &str) -> Result<u32> {
    let value = parser.value()?.string()?;
    value
        .parse()
        .ok()
        .filter(|&number| number > 0)
        .with_context(|| format!("{option} takes a whole number above 0, not {value}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(arguments: &[&str]) -> Result<Options> {
        let needed = ["--iso", "w.iso", "--out", "x.qcow2"];
        Options::parse(&mut Parser::from_args(needed.iter().chain(arguments)))
    }

    #[test]
    fn a_medium_a_release_and_a_name_are_all_it_takes() {
        let options = parse(&["--release", "2022"]).expect("that is enough");
        assert_eq!(options.edition, "Windows Server 2022 SERVERSTANDARD");
        assert_eq!(options.firmware, Firmware::Uefi);
        assert!(Options::parse(&mut Parser::from_args(["--release", "2022"])).is_err());
    }

    #[test]
    fn what_does_not_fit_is_an_error() {
        for bad in [
            &[][..],
            &["--release", "2012"],
            &["--release", "11", "--firmware", "bios"],
            &["--release", "10", "--size", "10"],
            &["--release", "10", "--dump", "big"],
            &["--release", "10", "--report-dump-end", "3"],
            &["--release", "10", "--stuck", "0"],
            &["--release", "10", "more"],
        ] {
            assert!(parse(bad).is_err(), "{bad:?}");
        }
    }
}
