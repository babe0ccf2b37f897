//! The options of `windows`.

use std::{env, path::PathBuf, time::Duration};

use anyhow::{Context, Result, bail, ensure};
use e2e::{
    matrix::{ISA, PCI},
    windows::{Channel, Config, Crash, Firmware},
};
use lexopt::{
    Arg::{Long, Value},
    Parser, ValueExt,
};

use crate::options::{events, one_of};

/// What to boot, how to crash it, and what to write down.
#[derive(Debug)]
pub struct Options {
    /// What is run; without `--out` the folder is below `target/`.
    pub config: Config,
    /// `--disk`.
    pub disk: &'static str,
    /// `--json`.
    pub json: bool,
    /// `--junit`.
    pub junit: Option<PathBuf>,
}

/// A disk controller: its name, and QEMU's `-device` arguments.
pub type Disk = (&'static str, &'static [&'static str]);

/// Where Windows expects the disk that it was installed on.
const DISKS: &[Disk] = &[
    ("ide", &["ide-hd,drive=disk,bootindex=1"]),
    ("virtio", &["virtio-blk-pci,drive=disk,bootindex=1"]),
    (
        "scsi",
        &["virtio-scsi-pci", "scsi-hd,drive=disk,bootindex=1"],
    ),
    ("nvme", &["nvme,drive=disk,serial=disk,bootindex=1"]),
];

impl Default for Options {
    fn default() -> Self {
        Self {
            config: Config {
                image: PathBuf::new(),
                machine: "q35".to_owned(),
                firmware: Firmware::Bios,
                disk: DISKS[0].1.to_vec(),
                accelerator: "tcg".to_owned(),
                devices: vec![ISA.to_owned()],
                agent: Channel::Virtio,
                crash: Crash::Nmi,
                expect: None,
                boot_timeout: Duration::from_mins(15),
                still: Duration::from_secs(45),
                event_timeout: Duration::from_mins(5),
                out: PathBuf::new(),
                arguments: Vec::new(),
            },
            disk: DISKS[0].0,
            json: false,
            junit: None,
        }
    }
}

impl Options {
    /// Parses the rest of the command line.
    ///
    /// # Errors
    ///
    /// For an option that the command does not know or a value that it does not
    /// take, and without an image.
    pub fn parse(parser: &mut Parser) -> Result<Self> {
        let (mut image, mut out) = (None, None);
        let mut options = Self::default();
        let config = &mut options.config;
        loop {
            if let Some(mut raw) = parser.try_raw_args()
                && raw.peek().is_some_and(|argument| argument == "--")
            {
                raw.next();
                config.arguments = raw.collect();
                break;
            }
            let Some(argument) = parser.next()? else {
                break;
            };
            match argument {
                Long("image") => image = Some(parser.value()?.into()),
                Long("firmware") => {
                    config.firmware = match &*one_of(parser, "--firmware", &["bios", "uefi"])? {
                        "uefi" => Firmware::Uefi,
                        _ => Firmware::Bios,
                    }
                }
                Long("machine") => config.machine = one_of(parser, "--machine", &["q35", "pc"])?,
                Long("disk") => {
                    let names: Vec<&str> = DISKS.iter().map(|(name, _)| *name).collect();
                    let name = one_of(parser, "--disk", &names)?;
                    let disk = DISKS.iter().find(|(known, _)| *known == name);
                    let (name, devices) = disk.context("a disk of the list")?;
                    options.disk = name;
                    config.disk = devices.to_vec();
                }
                Long("accel") => {
                    config.accelerator = one_of(parser, "--accel", &["tcg", "kvm"])?;
                }
                Long("device") => {
                    let devices = match &*one_of(parser, "--device", &["isa", "pci", "both"])? {
                        "isa" => &[ISA][..],
                        "pci" => &[PCI],
                        _ => &[ISA, PCI],
                    };
                    config.devices = devices.iter().map(|&device| device.to_owned()).collect();
                }
                Long("agent") => {
                    config.agent = match &*one_of(parser, "--agent", &["virtio", "isa", "none"])? {
                        "virtio" => Channel::Virtio,
                        "isa" => Channel::Isa,
                        _ => Channel::None,
                    }
                }
                Long("crash") => {
                    config.crash = match &*one_of(parser, "--crash", &["nmi", "keyboard"])? {
                        "keyboard" => Crash::Keyboard,
                        _ => Crash::Nmi,
                    }
                }
                Long("expect") => {
                    let value = parser.value()?.string()?;
                    config.expect = (value != "any").then(|| events(&value)).transpose()?;
                }
                Long("boot-timeout") => config.boot_timeout = seconds(parser, "--boot-timeout")?,
                Long("still") => config.still = seconds(parser, "--still")?,
                Long("event-timeout") => {
                    config.event_timeout = seconds(parser, "--event-timeout")?;
                }
                Long("out") => out = Some(parser.value()?.into()),
                Long("json") => options.json = true,
                Long("junit") => options.junit = Some(parser.value()?.into()),
                Value(value) => bail!(
                    "{} is one argument too many (QEMU's own go behind --)",
                    value.to_string_lossy()
                ),
                argument => return Err(argument.unexpected().into()),
            }
        }
        config.image = image.context("windows needs --image FILE.qcow2")?;
        let out = out.unwrap_or_else(|| {
            let name = config.image.file_stem().unwrap_or_default();
            kit::root().join("target/windows").join(name)
        });
        config.out = env::current_dir()?.join(out);
        Ok(options)
    }
}

fn seconds(parser: &mut Parser, option: &str) -> Result<Duration> {
    let value = parser.value()?.string()?;
    let seconds: u32 = value
        .parse()
        .with_context(|| format!("{option} takes whole seconds, not {value}"))?;
    ensure!(seconds > 0, "{option} takes at least 1 second");
    Ok(Duration::from_secs(seconds.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(arguments: &[&str]) -> Result<Options> {
        Options::parse(&mut Parser::from_args(arguments))
    }

    #[test]
    fn an_image_is_all_it_takes() {
        let options = parse(&["--image", "x.qcow2"]).expect("an image is enough");
        assert_eq!(options.config.image, PathBuf::from("x.qcow2"));
        assert_eq!(options.config.devices, ["pvpanic"]);
        assert_eq!(options.config.expect, None);
        assert_eq!(options.config.accelerator, "tcg");
        assert!(parse(&[]).is_err());
    }

    #[test]
    fn any_event_is_another_thing_than_none() {
        let expect = |value| {
            let options = parse(&["--image", "x", "--expect", value]);
            options.expect("a list of events").config.expect
        };
        assert_eq!(expect("any"), None);
        assert_eq!(expect("none"), Some(Vec::new()));
        assert_eq!(
            expect("crash_loaded"),
            Some(vec!["GUEST_CRASHLOADED".to_owned()])
        );
    }

    #[test]
    fn what_stands_behind_two_dashes_is_for_qemu() {
        let options = parse(&["--image", "x", "--json", "--", "-m", "8G", "--json"]);
        let options = options.expect("anything may stand there");
        assert_eq!(options.config.arguments, ["-m", "8G", "--json"]);
        assert!(options.json);
    }

    #[test]
    fn what_it_does_not_take_is_an_error() {
        for arguments in [
            &["--firmware", "efi"][..],
            &["--machine", "virt"],
            &["--disk", "floppy"],
            &["--accel", "hvf"],
            &["--device", "none"],
            &["--agent", "usb"],
            &["--crash", "power"],
            &["--expect", "panic"],
            &["--boot-timeout", "0"],
            &["--boot-timeout", "1.5"],
            &["--still", "-1"],
            &["--event-timeout", "soon"],
            &["more"],
            &["-m", "8G"],
        ] {
            let all = [&["--image", "x"], arguments].concat();
            assert!(parse(&all).is_err(), "{arguments:?}");
        }
    }
}
