//! The command line, parsed whole before any of it runs.

use std::{ffi::OsString, path::PathBuf};

use anyhow::{Result, bail};
use kit::Architecture;
use lexopt::{
    Arg::{Long, Short, Value},
    Parser, ValueExt,
};

use crate::{
    options::{Driver, Options},
    sizes,
    test::{self, Suite},
    windows, windows_image,
};

/// What `--help` prints.
pub const USAGE: &str = "\
usage: cargo xtask COMMAND

  setup    install what is missing, with apt
  build    build pvpanic.sys from the real crates, on Linux
             --arch x64|arm64            for which processor (x64)
  demo     build, boot, start, bug check, and what the host saw
             --arch x64|arm64            for which processor (x64)
             --machine pc|q35|virt       the machine (pc; virt is ARM64's)
             --qemu-device ARGS|none     a panic device, QEMU's -device; repeatable (pvpanic;
                                         on ARM64 pvpanic-pci)
             --dump on|off               whether the guest writes a crash dump (off)
             --json                      one JSON object on standard output
  run      the same for any driver, whatever it does
             --driver FILE.sys           the driver
             --panic-action A            none, pause, shutdown or exit-failure (none)
             --expect EVENT[,EVENT]      compare the whole list of events; or none
             and the options of demo
  windows  a disk image with Windows in it: boot, crash from outside, and what the host saw
             --image FILE                qcow2 or raw; only read
             --firmware bios|uefi        what the image is made for (bios)
             --device isa|pci|both       the panic devices (isa)
             --crash nmi|keyboard        an NMI, or right Ctrl with Scroll Lock twice (nmi)
             --expect any|EVENT[,EVENT]  any event, or the whole list of events; or none (any)
             --boot-timeout SECONDS      how long it may take to come up (900)
             --still SECONDS             so long without a change, a screen is up (45)
             --event-timeout SECONDS     how long events may take after the crash (300)
             --machine q35|pc            the machine (q35)
             --disk ide|virtio|scsi|nvme the disk's controller (ide: AHCI on q35)
             --agent virtio|isa|none     where the guest agent is (virtio)
             --accel tcg|kvm             QEMU's accelerator (tcg)
             --out DIR                   for screenshots and the serial log (target/windows/IMAGE)
             --junit FILE, --json        a report for machines
             -- ARGUMENTS                for QEMU, behind all others
  windows-image  install Windows and the driver, unattended, on a new disk image
             --iso FILE, --out FILE      Microsoft's medium; the qcow2 image to make
             --release R                 2016, 2019, 2022, 2025, 10 or 11
             --edition NAME              the image on the medium (Standard, or Pro)
             --product-key KEY           where the medium wants one
             --language TAG              of the medium (en-US)
             --password P                of the account Administrator (Change-Me-1)
             --firmware bios|uefi        without Secure Boot (uefi)
             --virtio-win FILE           virtio-win's ISO: installs the guest agent from it
             --dump KIND                 none, complete, kernel, small, automatic or active
             --report-dump-end 0|1|2     the driver's ReportDumpEnd
             --script FILE.ps1           runs at the end, in the guest
             --size GIB                  of the disk (40)
             --accel tcg|kvm             QEMU's accelerator (tcg)
             --timeout S, --stuck S      for the whole (21600); without any change (2700)
  package  the driver package, its media and signatures, under target/dist
             --sign none|test|pfx:FILE|pkcs11:URI, --timestamp URL, --out DIR, --json
             --pkcs11-module FILE, --certificates FILE    for a key in a token
  test     all tests, or one suite: format, lint, unit, image, nt, same, qemu, crash,
           nt-arm64, same-arm64, qemu-arm64, crash-arm64, faults, libvirt, errors,
           windows, windows-image, workflows, package or msi
             --arch x64|arm64            for nt, same, qemu and crash: which (x64)
  mutants  the driver with one fault in it, again and again
  coverage the driver's lines that run in the test kernel, and why others don't
  bench    sizes and times
  sizes    the structures' sizes as this host's kit has them
             --against FILE              compare with what another host printed
";

/// What is asked for.
#[derive(Debug)]
pub enum Command {
    /// No command, or `--help` anywhere.
    Help,
    /// `setup`.
    Setup,
    /// `build`, for an architecture.
    Build(Architecture),
    /// `demo`.
    Demo(Options),
    /// `run`.
    Run(Options),
    /// `windows`.
    Windows(windows::Options),
    /// `windows-image`.
    WindowsImage(windows_image::Options),
    /// `package`, with the packer's options.
    Package(Vec<OsString>),
    /// `test`, with the one suite that is named.
    Test(Option<&'static Suite>),
    /// `mutants`.
    Mutants,
    /// `coverage`.
    Coverage,
    /// `bench`.
    Bench,
    /// `sizes`, with the list to compare with.
    Sizes(Option<PathBuf>),
}

/// Parses what follows a command's name.
type Parse = fn(&mut Parser) -> Result<Command>;

/// Every command: its name and the parser of its options.
pub const COMMANDS: &[(&str, Parse)] = &[
    ("setup", |parser| alone(parser, Command::Setup)),
    ("build", |parser| {
        let mut architecture = Architecture::X64;
        while let Some(argument) = parser.next()? {
            match argument {
                Long("arch") => architecture = parser.value()?.string()?.parse()?,
                argument => return Err(argument.unexpected().into()),
            }
        }
        Ok(Command::Build(architecture))
    }),
    ("demo", |parser| {
        Options::parse(Driver::Built, parser).map(Command::Demo)
    }),
    ("run", |parser| {
        Options::parse(Driver::Given, parser).map(Command::Run)
    }),
    ("windows", |parser| {
        windows::Options::parse(parser).map(Command::Windows)
    }),
    ("windows-image", |parser| {
        windows_image::Options::parse(parser).map(Command::WindowsImage)
    }),
    ("package", |parser| {
        Ok(Command::Package(parser.raw_args()?.collect()))
    }),
    ("test", |parser| {
        let mut architecture = None;
        let mut suite = None;
        while let Some(argument) = parser.next()? {
            match argument {
                Long("arch") => architecture = Some(parser.value()?.string()?.parse()?),
                Value(name) if suite.is_none() => suite = Some(name.string()?),
                argument => return Err(argument.unexpected().into()),
            }
        }
        test::suite(suite.as_deref(), architecture).map(Command::Test)
    }),
    ("mutants", |parser| alone(parser, Command::Mutants)),
    ("coverage", |parser| alone(parser, Command::Coverage)),
    ("bench", |parser| alone(parser, Command::Bench)),
    ("sizes", |parser| sizes::parse(parser).map(Command::Sizes)),
];

impl Command {
    /// Parses the command line, without the program's name.
    ///
    /// # Errors
    ///
    /// For a command that does not exist, and for what a command does not take.
    pub fn parse(parser: &mut Parser) -> Result<Self> {
        let name = match parser.next()? {
            Some(Value(name)) => name.to_string_lossy().into_owned(),
            None | Some(Long("help") | Short('h')) => return Ok(Self::Help),
            Some(argument) => return Err(argument.unexpected().into()),
        };
        let mut options = parser.clone();
        if options
            .raw_args()?
            .take_while(|it| it != "--")
            .any(|it| it == "--help" || it == "-h")
        {
            return Ok(Self::Help);
        }
        match COMMANDS.iter().find(|(known, _)| *known == name) {
            Some((_, parse)) => parse(parser),
            None => bail!("no command {name}\n\n{USAGE}"),
        }
    }
}

/// The end of the command line, or an error.
fn alone(parser: &mut Parser, command: Command) -> Result<Command> {
    parser
        .next()?
        .map_or(Ok(command), |argument| Err(argument.unexpected().into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_has_help() {
        for (name, _) in COMMANDS {
            let help = Command::parse(&mut Parser::from_args([*name, "--help"]));
            assert!(matches!(help, Ok(Command::Help)), "{name}: {help:?}");
        }
    }

    #[test]
    fn help_for_qemu_is_left_to_qemu() {
        let line = ["windows", "--image", "Cargo.toml", "--", "-h"];
        let command = Command::parse(&mut Parser::from_args(line));
        assert!(!matches!(command, Ok(Command::Help)), "{command:?}");
    }
}
