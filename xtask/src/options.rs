//! The options that `demo` and `run` share.

use std::path::PathBuf;

use anyhow::{Result, anyhow, bail};
use kit::Architecture;
use lexopt::{
    Arg::{Long, Value},
    Parser, ValueExt,
};

/// What to run, and how.
#[derive(Debug)]
pub struct Options {
    /// `--arch`.
    pub architecture: Architecture,
    /// `--driver`: somebody's driver instead of the one built here.
    pub driver: Option<PathBuf>,
    /// `--machine`.
    pub machine: String,
    /// `--qemu-device`, without `none`.
    pub devices: Vec<String>,
    /// `--dump`.
    pub dump: bool,
    /// `--panic-action`.
    pub panic_action: String,
    /// `--expect`: the whole list of events.
    pub expect: Option<Vec<String>>,
    /// `--json`.
    pub json: bool,
}

/// Whose driver runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Driver {
    /// The one that is built here: `demo`.
    Built,
    /// Anybody's: `run`, with its further options.
    Given,
}

impl Options {
    /// Parses the rest of the command line.
    ///
    /// # Errors
    ///
    /// For an option that the command does not know or a value that it does not
    /// take.
    pub fn parse(driver: Driver, parser: &mut Parser) -> Result<Self> {
        let mut options = Self {
            architecture: Architecture::X64,
            driver: None,
            machine: String::new(),
            devices: Vec::new(),
            dump: false,
            panic_action: "none".to_owned(),
            expect: None,
            json: false,
        };
        let mut named = false;
        while let Some(argument) = parser.next()? {
            match argument {
                Long("arch") => options.architecture = parser.value()?.string()?.parse()?,
                Long("machine") => {
                    options.machine = one_of(parser, "--machine", &["pc", "q35", "virt"])?;
                }
                Long("qemu-device") => {
                    named = true;
                    let device = parser.value()?.string()?;
                    if device != "none" {
                        options.devices.push(panic_device(&device)?);
                    }
                }
                Long("dump") => options.dump = one_of(parser, "--dump", &["on", "off"])? == "on",
                Long("json") => options.json = true,
                Long("driver") if driver == Driver::Given => {
                    options.driver = Some(parser.value()?.into());
                }
                Long("panic-action") if driver == Driver::Given => {
                    options.panic_action = one_of(
                        parser,
                        "--panic-action",
                        &["none", "pause", "shutdown", "exit-failure"],
                    )?;
                }
                Long("expect") if driver == Driver::Given => {
                    options.expect = Some(events(&parser.value()?.string()?)?);
                }
                Value(value) => bail!("{} is one argument too many", value.to_string_lossy()),
                argument => return Err(argument.unexpected().into()),
            }
        }
        if driver == Driver::Given && options.driver.is_none() {
            bail!("run needs --driver FILE.sys (or try `cargo xtask demo`)");
        }
        options.complete(named)?;
        Ok(options)
    }

    /// Takes what the architecture has where no machine or device was `named`.
    fn complete(&mut self, named: bool) -> Result<()> {
        let (machines, device) = match self.architecture {
            Architecture::X64 => (&["pc", "q35"][..], "pvpanic"),
            Architecture::Arm64 => (&["virt"][..], "pvpanic-pci"),
        };
        if self.machine.is_empty() {
            machines[0].clone_into(&mut self.machine);
        } else if !machines.contains(&self.machine.as_str()) {
            bail!(
                "--arch {} takes --machine {}, not {}",
                self.architecture,
                machines.join(", "),
                self.machine
            );
        }
        if !named {
            self.devices.push(device.to_owned());
        }
        let model = |device: &String| device.split(',').next() == Some("pvpanic");
        if self.architecture == Architecture::Arm64 && self.devices.iter().any(model) {
            bail!("--arch arm64 has no ISA bus: --qemu-device takes pvpanic-pci or none");
        }
        Ok(())
    }
}

/// The value of `option`, which is one of a few words.
///
/// # Errors
///
/// For any other, with the words.
pub fn one_of(parser: &mut Parser, option: &str, allowed: &[&str]) -> Result<String> {
    let value = parser.value()?.string()?;
    if allowed.contains(&value.as_str()) {
        return Ok(value);
    }
    bail!("{option} takes {}, not {value}", allowed.join(", "))
}

/// A `-device` argument of QEMU's for a panic device. Its id is given here.
fn panic_device(argument: &str) -> Result<String> {
    let mut parts = argument.split(',');
    let model = parts.next().unwrap_or_default();
    if !["pvpanic", "pvpanic-pci"].contains(&model) {
        bail!(
            "--qemu-device takes pvpanic, pvpanic-pci (with QEMU's options) or none, not {argument}"
        );
    }
    if parts.any(|part| part.starts_with("id=")) {
        bail!("--qemu-device {argument}: leave the id out, it is given here");
    }
    Ok(argument.to_owned())
}

/// A list of panic events in order, or `none`. `GUEST_PANICKED`, `PANICKED` and
/// lower case name the same event.
///
/// # Errors
///
/// For what is no event, with the names of those there are.
pub fn events(list: &str) -> Result<Vec<String>> {
    if list == "none" {
        return Ok(Vec::new());
    }
    list.split(',')
        .map(|name| {
            let upper = name.trim().to_ascii_uppercase();
            match upper.strip_prefix("GUEST_").unwrap_or(&upper) {
                "PANICKED" => Ok("GUEST_PANICKED".to_owned()),
                "CRASHLOADED" | "CRASH_LOADED" => Ok("GUEST_CRASHLOADED".to_owned()),
                "PVSHUTDOWN" => Ok("GUEST_PVSHUTDOWN".to_owned()),
                _ => Err(anyhow!(
                    "--expect takes GUEST_PANICKED, GUEST_CRASHLOADED, GUEST_PVSHUTDOWN in order, \
                     with commas between, or none; not {name}"
                )),
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(driver: Driver, arguments: &[&str]) -> Result<Options> {
        Options::parse(driver, &mut Parser::from_args(arguments))
    }

    #[test]
    fn the_defaults_are_pc_one_isa_device_and_no_dump() {
        let options = parse(Driver::Built, &[]).expect("no arguments are fine");
        assert_eq!(options.machine, "pc");
        assert_eq!(options.devices, ["pvpanic"]);
        assert!(!options.dump);
    }

    #[test]
    fn none_is_no_device() {
        let options = parse(Driver::Built, &["--qemu-device", "none"]).expect("none is fine");
        assert!(options.devices.is_empty());
    }

    #[test]
    fn what_a_command_does_not_take_is_an_error() {
        for (driver, arguments) in [
            (Driver::Built, vec!["--driver", "x.sys"]),
            (Driver::Built, vec!["--machine", "virt"]),
            (Driver::Built, vec!["--qemu-device", "e1000"]),
            (Driver::Built, vec!["--qemu-device", "pvpanic,id=x"]),
            (Driver::Built, vec!["--dump", "maybe"]),
            (Driver::Built, vec!["more"]),
            (Driver::Given, vec![]),
            (
                Driver::Given,
                vec!["--driver", "x.sys", "--expect", "PANIC"],
            ),
            (
                Driver::Given,
                vec!["--driver", "x.sys", "--panic-action", "explode"],
            ),
        ] {
            assert!(parse(driver, &arguments).is_err(), "{arguments:?}");
        }
    }

    #[test]
    fn events_are_expected_in_order_by_any_spelling() {
        let options = parse(
            Driver::Given,
            &[
                "--driver",
                "x.sys",
                "--expect",
                "crash_loaded,GUEST_PANICKED",
            ],
        )
        .expect("both are events");
        assert_eq!(
            options.expect.as_deref(),
            Some(["GUEST_CRASHLOADED".to_owned(), "GUEST_PANICKED".to_owned()].as_slice())
        );
    }
}
