//! What differs between the guest and the process is only the machine: the same
//! scenario gives the same report on both, line by line.
//!
//! The process gets the devices that the guest has found, with their addresses.
//! These may differ, and are made equal before: what a device's instance and its
//! ACPI node are called, and addresses in the memory of the kernel.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, bail, ensure};
use e2e::{
    matrix::{ISA, PCI, matching},
    qemu::Config,
    run::{self, End, Outcome},
};
use kit::Architecture;
use serde_json::{Value, json};

use super::{Tally, parallel};

/// What happens to an ISA and a PCI device, device 0 and 1, after the driver was
/// loaded and both were started.
const LIVES: &[&str] = &[
    "bugcheck 0xE2 dump",
    "bugcheck 0xE2 no-dump",
    "bugcheck 0xE2 dump-fails=1",
    "bugcheck 0xE2 dump-fails=2",
    "bugcheck 0xE2 dump-fails=3",
    "bugcheck 0xE2 dump-fails=4",
    "bugcheck 0xE2 dump-fails=5",
    "other; bugcheck 0xE2 dump",
    "other corrupt; bugcheck 0xE2 dump",
    "unload",
    "stop 0; stop 1; unload",
    "stop 1; bugcheck 0xE2 no-dump",
    "restart 0; restart 1; bugcheck 0xE2 dump",
    "disable 0; enable 0; bugcheck 0xE2 no-dump",
    "disable 1; bugcheck 0xE2 no-dump",
    "suspend; bugcheck 0x9F dump",
    "suspend decode-off; bugcheck 0x9F no-dump",
    "suspend; resume; bugcheck 0xE2 dump",
    "surprise-remove 0; bugcheck 0xE2 no-dump",
    "surprise-remove 1; bugcheck 0xE2 dump",
    "remove 0; unload",
    "open 0; open 1; bugcheck 0xE2 no-dump",
    "rescan; bugcheck 0xE2 no-dump",
    "unload; load; start; bugcheck 0xE2 dump",
    "unload; bugcheck 0xE2 dump",
];

/// What is set before the driver is loaded.
const SETTINGS: &[&str] = &[
    "set ReportDumpEnd 1",
    "set ReportDumpEnd 2",
    "set ReportDumpEnd 3",
    "set build 14393",
    "set build 17763",
    "set build 20348",
    "observe",
    "other corrupt",
];

/// The crash after each of [`SETTINGS`] and each fault.
const CRASHES: &[&str] = &["bugcheck 0xE2 dump", "bugcheck 0xE2 dump-fails=2"];

/// Functions whose result is an address of the kernel's memory, or null.
const ADDRESSES: &[&str] = &[
    "WdfObjectGetTypedContextWorker",
    "WdfCmResourceListGetDescriptor",
    "WdfDeviceGetIoTarget",
    "MmMapIoSpaceEx",
];

/// Lines that tell of a driver's code: not what it does, but how.
const CODE: &[&str] = &["image", "stack", "observed"];

/// Where the images and programs are.
struct Images {
    /// The guest's architecture.
    architecture: Architecture,
    /// The driver for the process.
    driver: PathBuf,
    /// The driver for the guest.
    guest_driver: PathBuf,
    kernel: PathBuf,
    host: PathBuf,
}

/// Runs the suite with a guest on x64.
pub fn run(tally: &mut Tally) -> Result<()> {
    run_on(Architecture::X64, tally)
}

/// Runs the suite with a guest on ARM64, with the driver for ARM64: what both do is
/// the same but for their code.
pub fn run_on_arm64(tally: &mut Tally) -> Result<()> {
    run_on(Architecture::Arm64, tally)
}

fn run_on(architecture: Architecture, tally: &mut Tally) -> Result<()> {
    let images = Images {
        architecture,
        driver: kit::build_driver(Architecture::X64)?,
        guest_driver: kit::build_driver(architecture)?,
        kernel: kit::build_guest(architecture)?,
        host: build_host()?,
    };
    let scenarios: Vec<(usize, String)> = scenarios(&images)?.into_iter().enumerate().collect();
    let mut lines = 0;
    parallel::in_order(
        parallel::BUSY,
        &scenarios,
        |(index, scenario)| compare(&images, scenario, *index),
        |(_, scenario), result| {
            lines += result.as_ref().map_or(0, |count| *count);
            tally.check(&scenario.trim_end().replace('\n', "; "), result.map(drop));
        },
    );
    println!("  {lines} lines of the report are the same");
    Ok(())
}

/// All scenarios: every life, every setting, and every call that can fail.
fn scenarios(images: &Images) -> Result<Vec<String>> {
    let text =
        |before: &str, steps: &str| format!("{before}load\nstart\n{}\n", steps.replace("; ", "\n"));
    let mut all: Vec<String> = LIVES.iter().map(|steps| text("trace\n", steps)).collect();
    for crash in CRASHES {
        for setting in SETTINGS {
            all.push(text(&format!("trace\n{setting}\n"), crash));
        }
    }
    let file = folder()?.join("count");
    fs::write(&file, text("", CRASHES[0])).context("can't write a scenario")?;
    let report = in_process(
        images,
        &file,
        &images.models().map(|it| it + ",capability=3"),
    )?;
    let calls = report
        .iter()
        .find_map(|line| line["calls"]["can_fail"].as_u64())
        .context("the process counted no calls")?;
    ensure!(calls > 0, "no call can fail");
    for call in 1..=calls {
        all.push(text(&format!("trace\nfail call {call}\n"), CRASHES[0]));
    }
    Ok(all)
}

fn folder() -> Result<PathBuf> {
    let folder = kit::root().join("target/same");
    fs::create_dir_all(&folder).with_context(|| format!("can't create {}", folder.display()))?;
    Ok(folder)
}

/// Builds `tests/host` and answers where it is.
pub fn build_host() -> Result<PathBuf> {
    let output = Command::new("cargo")
        .args(["build", "--quiet", "--locked", "--release"])
        .args(["--package", "host", "--bin", "host"])
        .args(["--message-format", "json"])
        .current_dir(kit::root())
        .output()
        .context("can't run cargo")?;
    ensure!(
        output.status.success(),
        "tests/host does not build: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8_lossy(&output.stdout)
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .find_map(|line| line["executable"].as_str().map(PathBuf::from))
        .context("cargo built no program of tests/host")
}

/// Runs a scenario on both; the result is how many lines were compared.
fn compare(images: &Images, scenario: &str, index: usize) -> Result<usize> {
    let guest = in_guest(images, scenario)?;
    let file = folder()?.join(format!("{}-{index}", images.architecture));
    fs::write(&file, scenario).context("can't write a scenario")?;
    let mut process = in_process(images, &file, &images.devices(&guest)?)?;
    let written: Vec<&str> = process
        .iter()
        .filter_map(|line| line.get("written"))
        // Where no device decodes the address, nothing sees the write.
        .filter(|it| it["device"] != "")
        .filter_map(|it| match it["value"].as_str() {
            Some("0x1") => Some("GUEST_PANICKED"),
            Some("0x2") => Some("GUEST_CRASHLOADED"),
            _ => None,
        })
        .collect();
    let seen = guest.panic_events();
    if written != seen {
        bail!("in the guest QEMU saw {seen:?}, in the process {written:?} was written");
    }
    process.retain(|line| line.get("written").is_none());
    let guest: Vec<Value> = guest
        .report
        .lines
        .iter()
        .map(|line| json!({ &line.kind: line.content }))
        .collect();
    let (guest, process) = (images.equalise(guest), images.equalise(process));
    for (at, (left, right)) in guest.iter().zip(&process).enumerate() {
        ensure!(
            left == right,
            "line {}:\n  in the guest   {left}\n  in the process {right}",
            at + 1
        );
    }
    ensure!(
        guest.len() == process.len() && !guest.is_empty(),
        "{} lines in the guest, {} in the process",
        guest.len(),
        process.len()
    );
    Ok(guest.len())
}

fn in_guest(images: &Images, scenario: &str) -> Result<Outcome> {
    let scenario = matching() + scenario;
    let driver = fs::read(&images.guest_driver).context("can't read the driver")?;
    let (mut config, models) = match images.architecture {
        Architecture::X64 => (Config::new(&images.kernel, driver, &scenario), [ISA, PCI]),
        Architecture::Arm64 => (Config::virt(&images.kernel, driver, &scenario), [PCI, PCI]),
    };
    config.devices = models.map(|model| format!("{model},events=3")).to_vec();
    let outcome = run::run(&config)?;
    ensure!(
        outcome.end == End::Complete,
        "the guest ended as {:?}",
        outcome.end
    );
    Ok(outcome)
}

fn in_process(images: &Images, scenario: &Path, devices: &[String]) -> Result<Vec<Value>> {
    let mut command = Command::new(&images.host);
    command.args(["run", "--driver"]).arg(&images.driver);
    for device in devices {
        command.args(["--device", device]);
    }
    let output = command
        .arg("--scenario")
        .arg(scenario)
        .output()
        .context("can't run tests/host")?;
    String::from_utf8_lossy(&output.stdout)
        .lines()
        .map(|line| serde_json::from_str(line).with_context(|| format!("{line} is no JSON")))
        .collect()
}

impl Images {
    /// The devices, as the process calls them.
    fn models(&self) -> [String; 2] {
        match self.architecture {
            Architecture::X64 => ["isa", "pci"],
            Architecture::Arm64 => ["pci,slot=1", "pci,slot=2"],
        }
        .map(str::to_owned)
    }

    /// The devices that the guest found, for the process: PCI ones with the addresses
    /// that they have there.
    fn devices(&self, guest: &Outcome) -> Result<[String; 2]> {
        let ids: Vec<&str> = guest
            .report
            .all("device")
            .filter_map(|it| it["id"].as_str())
            .collect();
        ensure!(ids.len() == 2, "the guest found {ids:?}");
        let mut devices = self.models().map(|model| model + ",capability=3");
        let mut number = 0;
        for line in &guest.report.lines {
            // One starts after the other. Where nothing was mapped, the address is not
            // in the report either.
            if line.kind == "started" {
                number += 1;
            } else if line.kind == "mapped"
                && let Some(address) = line.content["physical"].as_str()
                && let Some(device) = devices.get_mut(number)
            {
                device.push_str(",address=");
                device.push_str(address);
            }
        }
        Ok(devices)
    }

    /// Takes out what may differ.
    fn equalise(&self, mut lines: Vec<Value>) -> Vec<Value> {
        let other_code = self.architecture != Architecture::X64;
        if other_code {
            lines.retain(|line| CODE.iter().all(|kind| line.get(kind).is_none()));
        }
        let ids: Vec<Value> = lines
            .iter()
            .filter_map(|line| line.get("device"))
            .map(|it| it["id"].clone())
            .collect();
        for line in &mut lines {
            let Some((kind, content)) = line.as_object_mut().and_then(|it| it.iter_mut().next())
            else {
                continue;
            };
            if let Some(index) = ids.iter().position(|id| *id == content["id"]) {
                content["id"] = json!(index);
            }
            if kind == "acpi_children"
                && let Some(paths) = content["found"].as_array_mut()
            {
                for path in paths {
                    let name = path.as_str().and_then(|path| path.rsplit('.').next());
                    *path = json!(name);
                }
            }
            if kind == "call" && other_code {
                content["at"] = Value::Null;
            }
            let name = content["name"].as_str().unwrap_or_default();
            if kind == "call" && ADDRESSES.contains(&name) {
                content["result"] = json!(content["result"] != "0x0");
            }
        }
        lines
    }
}
