//! `mutants`: the driver with one fault in it, again and again. What the tests
//! do not notice is a hole in them.

use std::{
    fs,
    path::Path,
    process::{Command, ExitCode},
};

use anyhow::{Context, Result};

use crate::{
    elsewhere::Elsewhere,
    test::{qemu, same},
};

/// A deliberate fault.
#[derive(Clone, Copy, Debug)]
pub struct Fault {
    /// What it is.
    pub name: &'static str,
    /// The file.
    pub file: &'static str,
    /// What is there.
    pub find: &'static str,
    /// What stands there instead.
    pub replace: &'static str,
}

const fn fault(
    name: &'static str,
    file: &'static str,
    find: &'static str,
    replace: &'static str,
) -> Fault {
    Fault {
        name,
        file,
        find,
        replace,
    }
}

/// The callback that reports a bug check without a dump is never registered.
pub const NOT_REGISTERED: Fault = fault(
    "the bug-check callback is never registered",
    "driver/src/arm.rs",
    "if capability.offers(Event::Panicked) {\n        // SAFETY: record,",
    "if false {\n        // SAFETY: record,",
);

/// Another bit than the one that says `PANICKED`.
pub const WRONG_BYTE: Fault = fault(
    "the byte for PANICKED is another",
    "driver/protocol/src/capability.rs",
    "Panicked = 1 << 0",
    "Panicked = 1 << 3",
);

/// A structure that says it is shorter than it is.
pub const WRONG_SIZE: Fault = fault(
    "a KMDF structure has the wrong size",
    "driver/src/device.rs",
    "Size: size::<WDF_PNPPOWER_EVENT_CALLBACKS>()",
    "Size: size::<WDF_PNPPOWER_EVENT_CALLBACKS>() - 8",
);

/// All faults of the command.
const FAULTS: &[Fault] = &[
    NOT_REGISTERED,
    WRONG_BYTE,
    WRONG_SIZE,
    fault(
        "the byte for CRASH_LOADED is another",
        "driver/protocol/src/capability.rs",
        "CrashLoaded = 1 << 1",
        "CrashLoaded = 1 << 3",
    ),
    fault(
        "0xFF is taken for a capability",
        "driver/protocol/src/capability.rs",
        "if byte == Self::NO_DEVICE {",
        "if byte == 0 {",
    ),
    fault(
        "a device without a known event is taken",
        "driver/protocol/src/capability.rs",
        "match byte & Self::KNOWN {\n            0 =>",
        "match byte & Self::KNOWN {\n            0xF0 =>",
    ),
    fault(
        "unknown bits count as events",
        "driver/protocol/src/capability.rs",
        "const KNOWN: u8 = Event::Panicked as u8 | Event::CrashLoaded as u8;",
        "const KNOWN: u8 = 0x7F;",
    ),
    fault(
        "CRASH_LOADED is not latched",
        "driver/protocol/src/report.rs",
        "self.stage.store(Stage::Dumping as u8, Relaxed);",
        "",
    ),
    fault(
        "CRASH_LOADED is never due",
        "driver/protocol/src/report.rs",
        "        first\n    }",
        "        false\n    }",
    ),
    fault(
        "PANICKED is not latched",
        "driver/protocol/src/report.rs",
        "self.stage.store(Stage::Panicked as u8, Relaxed);",
        "",
    ),
    fault(
        "PANICKED is due after every dump",
        "driver/protocol/src/report.rs",
        "Self::Never => Stage::Armed as u8,",
        "Self::Never => Stage::Armed as u8 | Stage::Dumped as u8,",
    ),
    fault(
        "a broken dump is not told from a whole one",
        "driver/protocol/src/report.rs",
        "self.stage.store(Stage::Dumped as u8, Relaxed);",
        "",
    ),
    fault(
        "ReportDumpEnd 1 counts as 2",
        "driver/protocol/src/report.rs",
        "1 => Some(Self::IfBroken),",
        "1 => Some(Self::Always),",
    ),
    fault(
        "ReportDumpEnd 2 counts as 1",
        "driver/protocol/src/report.rs",
        "2 => Some(Self::Always),",
        "2 => Some(Self::IfBroken),",
    ),
    fault(
        "ReportDumpEnd 3 counts as 2",
        "driver/protocol/src/report.rs",
        "_ => None,\n        }\n    }\n\n    /// Every",
        "_ => Some(Self::Always),\n        }\n    }\n\n    /// Every",
    ),
    fault(
        "RDPT is asked by another number",
        "driver/protocol/src/acpi.rs",
        "0x0032_C004",
        "0x0032_C000",
    ),
    fault(
        "RDPT is asked by another name",
        "driver/protocol/src/acpi.rs",
        "pub const RDPT: [u8; 4] = *b\"RDPT\";",
        "pub const RDPT: [u8; 4] = *b\"RDPX\";",
    ),
    fault(
        "WRPT is looked for by another name",
        "driver/protocol/src/acpi.rs",
        "pub const WRPT: [u8; 4] = *b\"WRPT\";",
        "pub const WRPT: [u8; 4] = *b\"WRPX\";",
    ),
    fault(
        "WRPT is evaluated",
        "driver/src/acpi.rs",
        "&mut acpi::eval_input(acpi::RDPT)",
        "&mut acpi::eval_input(acpi::WRPT)",
    ),
    fault(
        "the dump callback is never registered",
        "driver/src/arm.rs",
        "if capability.offers(Event::CrashLoaded) {\n        // SAFETY: as above (",
        "if false {\n        // SAFETY: as above (",
    ),
    fault(
        "the callbacks stay registered",
        "driver/src/device.rs",
        "unsafe { disarm(reporter, armed) };",
        "",
    ),
    fault(
        "the dump callback stays registered",
        "driver/src/arm.rs",
        "if armed.offers(Event::CrashLoaded) {",
        "if false {",
    ),
    fault(
        "the register stays mapped",
        "driver/src/device.rs",
        "unsafe { hardware.release() };",
        "let _ = hardware;",
    ),
    fault(
        "a failed start leaves the register mapped",
        "driver/src/device.rs",
        "    state.hardware = Some(hardware);\n    // SAFETY: Windows assigned",
        "    // SAFETY: Windows assigned",
    ),
    fault(
        "a lasting refusal is tried again",
        "driver/src/refusal.rs",
        "!matches!(self, Self::NotMapped)",
        "false",
    ),
    fault(
        "refusals have the same status",
        "driver/src/refusal.rs",
        "Self::NoDevice => STATUS_NO_SUCH_DEVICE,",
        "Self::NoDevice => STATUS_DEVICE_CONFIGURATION_ERROR,",
    ),
    fault(
        "programs may open the device",
        "driver/src/device.rs",
        "WdfRequestComplete, request, STATUS_ACCESS_DENIED",
        "WdfRequestComplete, request, STATUS_SUCCESS",
    ),
    fault(
        "the device can't be disabled",
        "driver/src/device.rs",
        "NotDisableable: WdfFalse",
        "NotDisableable: 1",
    ),
    fault(
        "two bytes of registers are mapped",
        "driver/src/resources.rs",
        "const LENGTH: u64 = 1;",
        "const LENGTH: u64 = 0x2000;",
    ),
    fault(
        "the trace provider stays registered",
        "driver/src/lib.rs",
        "unsafe extern \"C\" fn evt_driver_cleanup(_driver: WDFOBJECT) {\n    trace::unregister();",
        "unsafe extern \"C\" fn evt_driver_cleanup(_driver: WDFOBJECT) {",
    ),
    fault(
        "the driver object's name for a parameter is another",
        "driver/src/settings.rs",
        "utf16(b\"ReportDumpEnd\")",
        "utf16(b\"ReportDumpEnf\")",
    ),
    fault(
        "the properties of an older start stay",
        "driver/src/properties.rs",
        "for key in CAPABILITY..=REPORT_DUMP_END {",
        "for key in REFUSAL..=REPORT_DUMP_END {",
    ),
];

/// Builds the driver with each fault; runs the unit tests of its protocol, if they
/// notice nothing the test kernel in a process, and then the QEMU suite.
///
/// # Errors
///
/// If a fault can't be put into the source.
pub fn run() -> Result<ExitCode> {
    kit::setup(kit::Purpose::Run)?;
    let kernel = kit::build_guest(kit::Architecture::X64)?;
    let host = same::build_host()?;
    let elsewhere = Elsewhere::new()?;
    let mut survivors = Vec::new();
    for fault in FAULTS {
        let driver = elsewhere.build_with(fault)?;
        let noticed = match elsewhere.unit_tests_with(fault)? {
            None => in_process(&host, &driver)?.or_else(|| qemu::first_failure(&driver, &kernel)),
            noticed => noticed,
        };
        if let Some(reason) = noticed {
            println!("  caught    {:<48} {reason}", fault.name);
        } else {
            println!("  SURVIVED  {}", fault.name);
            survivors.push(fault.name);
        }
    }
    println!(
        "\n{} faults, {} caught, {} survived",
        FAULTS.len(),
        FAULTS.len() - survivors.len(),
        survivors.len()
    );
    Ok(if survivors.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// What the test kernel in a process notices first, if anything.
fn in_process(host: &Path, driver: &[u8]) -> Result<Option<String>> {
    let image = kit::root().join("target/mutant.sys");
    fs::write(&image, driver).with_context(|| format!("can't write {}", image.display()))?;
    let output = Command::new(host)
        .args(["check", "--driver"])
        .arg(&image)
        .output()
        .with_context(|| format!("can't run {}", host.display()))?;
    let text = String::from_utf8_lossy(&output.stdout);
    let failed = text.lines().find_map(|line| line.strip_prefix("failed: "));
    Ok((!output.status.success()).then(|| {
        failed.map_or_else(
            || format!("the process ended with {}", output.status),
            |failure| format!("process: {failure}"),
        )
    }))
}
