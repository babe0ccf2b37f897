//! The checks that need driver images: the shipped one, and those of the
//! project's own in C.

use std::{
    collections::BTreeSet,
    fs, io,
    path::{Path, PathBuf},
    time::Instant,
};

use nt_model::{AcpiValue, Outcome, RULES, Resource};

use crate::{
    Life,
    calls::calls,
    device::{Acpi, Device},
    faults::faults,
    live,
    order::ORDERS,
    report::text,
    sins::{SCENARIO, SINS, SINS_ON_X64},
};

/// Where the images are.
#[derive(Clone, Debug)]
pub struct Paths {
    /// The shipped driver.
    pub driver: PathBuf,
    /// `tests/nt/drivers/plain.c`, once for each KMDF version it was built for.
    pub plain: Vec<PathBuf>,
    /// `tests/nt/drivers/order.c`.
    pub order: PathBuf,
    /// `tests/nt/drivers/calls.c`.
    pub calls: PathBuf,
    /// `tests/nt/drivers/sinner.c`.
    pub sinner: PathBuf,
}

/// What came of the checks.
#[derive(Clone, Debug, Default)]
pub struct Results {
    /// How many passed.
    pub passed: u32,
    /// What failed, a sentence each.
    pub failed: Vec<String>,
    /// The summary, a line each.
    pub summary: Vec<String>,
}

impl Results {
    /// Counts a check.
    pub fn check(&mut self, passed: bool, failure: impl FnOnce() -> String) {
        if passed {
            self.passed += 1;
        } else {
            self.failed.push(failure());
        }
    }
}

/// Random numbers (xorshift64*) that a seed brings back.
pub struct Random(u64);

impl Random {
    /// Those of `seed`.
    pub fn new(seed: u64) -> Self {
        // Zero would stay zero.
        Self(seed.max(1))
    }

    const fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    const fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }
}

/// Runs all checks.
///
/// # Errors
///
/// Where an image can't be read.
pub fn suite(paths: &Paths, seed: u64) -> io::Result<Results> {
    let mut results = Results::default();
    let driver = fs::read(&paths.driver)?;
    for path in &paths.plain {
        let image = fs::read(path)?;
        plain(&mut results, path, &image);
        surroundings(&mut results, path, &image);
        framework_versions(&mut results, path, &image);
    }
    let order_image = fs::read(&paths.order)?;
    let calls_image = fs::read(&paths.calls)?;
    let sinner_image = fs::read(&paths.sinner)?;
    order(&mut results, &order_image);
    sinner(&mut results, &sinner_image);
    calls(&mut results, &driver, &calls_image, &sinner_image);
    contract(&mut results, &driver);
    resource_kinds(&mut results, &driver);
    faults(&mut results, &driver);
    results.summary.push(format!("seed {seed}"));
    broken_images(&mut results, &driver, seed);
    machines(&mut results, &driver, seed, 20_000);
    lives_per_second(&mut results, &driver);
    Ok(results)
}

/// The checks of the shipped driver alone, with fewer random machines: seconds.
#[must_use]
pub fn check(driver: &[u8]) -> Results {
    let mut results = Results::default();
    contract(&mut results, driver);
    resource_kinds(&mut results, driver);
    faults(&mut results, driver);
    machines(&mut results, driver, 1, 1_000);
    results
}

pub fn both() -> [Device; 2] {
    [Device::isa(0x505, 3), Device::pci(4, 0xFEBF_1000, 3)]
}

/// What the model found wrong with a life.
pub fn violation(life: &Life) -> &str {
    life.line("violation")
        .or_else(|| life.line("refused"))
        .unwrap_or("nothing was reported")
}

/// A KMDF driver that the model has never heard of runs, whatever its version.
fn plain(results: &mut Results, path: &Path, image: &[u8]) {
    let life = live(image, &both(), SCENARIO);
    // Five writes of the dump and its completion, told by both devices.
    results.check(
        life.outcome == Outcome::Complete && life.values() == [6, 6],
        || format!("{}: {}", path.display(), violation(&life)),
    );
}

/// Other drivers' records, a device that is ejected, a framework that is too old.
fn surroundings(results: &mut Results, path: &Path, image: &[u8]) {
    const CASES: [(&str, &[u64]); 7] = [
        ("other\nload\nstart\nother\nbugcheck 0xE2", &[6, 6]),
        ("load\nstart\nother corrupt\nbugcheck 0xE2", &[6, 6]),
        // The walk ends before it comes to the driver.
        ("other corrupt\nload\nstart\nbugcheck 0xE2", &[]),
        ("load\nstart\neject 1\nrescan\nbugcheck 0xE2", &[6]),
        ("load\nstart\nbugcheck 0xE2 no-dump", &[0, 0]),
        ("load\nstart\nbugcheck 0xE2 dump-fails=2", &[2, 2]),
        // With its memory decode off the PCI device does not see it.
        ("load\nstart\nsuspend decode-off\nbugcheck 0xE2", &[6]),
    ];
    for (scenario, expected) in CASES {
        let life = live(image, &both(), scenario);
        let seen: Vec<u64> = life
            .writes
            .iter()
            .filter(|write| !write.device.is_empty())
            .map(|write| write.value)
            .collect();
        results.check(
            life.outcome == Outcome::Complete && seen == expected,
            || {
                format!(
                    "{}: {scenario:?}: expected {expected:?}, seen {seen:?}; {}",
                    path.display(),
                    violation(&life)
                )
            },
        );
    }
}

/// A driver that needs a newer framework than a Windows build has does not load
/// there; each build has its own.
fn framework_versions(results: &mut Results, path: &Path, image: &[u8]) {
    const BUILDS: [(u32, u32); 4] = [(14393, 19), (17763, 27), (20348, 33), (26100, 33)];
    for (build, has) in BUILDS {
        let life = live(
            image,
            &both(),
            &format!("set build {build}\nload\nunload\n"),
        );
        let bound = life.line("bound").and_then(|line| text(line, "kmdf"));
        let needs = bound.and_then(|version| version.strip_prefix("1.")?.parse::<u32>().ok());
        let loaded = life.line("loaded").and_then(|line| text(line, "status"));
        let right = needs.map_or_else(
            || loaded == Some("0xc0000059"),
            |needs| needs <= has && loaded == Some("0x00000000"),
        );
        results.check(right && life.outcome == Outcome::Complete, || {
            format!(
                "{} on build {build}: bound {bound:?}, loaded {loaded:?}; {}",
                path.display(),
                violation(&life)
            )
        });
    }
}

/// The framework's own order of callbacks.
fn order(results: &mut Results, image: &[u8]) {
    let device = [Device::isa(0x505, 3)];
    for order in ORDERS {
        let life = live(image, &device, &format!("trace\n{}", order.scenario));
        let entered = life
            .report
            .iter()
            .filter(|line| line.starts_with("{\"enter\":"));
        let seen: Vec<&str> = entered
            .filter_map(|line| text(line, "callback"))
            .map(|name| {
                let name = name.strip_prefix("Evt").unwrap_or(name);
                name.strip_prefix("Device").unwrap_or(name)
            })
            .collect();
        let expected: Vec<&str> = order.callbacks.split_whitespace().collect();
        results.check(
            seen == expected && life.outcome == Outcome::Complete,
            || {
                format!(
                    "{}: seen {}; {}",
                    order.name,
                    seen.join(" "),
                    violation(&life)
                )
            },
        );
    }
    results
        .summary
        .push(format!("{} orders of callbacks", ORDERS.len()));
}

/// Each sin stops with its rule and no other; without one the sinner runs clean.
fn sinner(results: &mut Results, image: &[u8]) {
    let clean = live(image, &both(), SCENARIO);
    results.check(clean.outcome == Outcome::Complete, || {
        format!("the sinner without a sin: {}", violation(&clean))
    });
    let mut caught = BTreeSet::new();
    let watched = |rule| rule != "avx-touched" || is_x86_feature_detected!("avx");
    let sins = SINS.iter().chain(SINS_ON_X64);
    let sins: Vec<_> = sins.filter(|(_, rule)| watched(*rule)).collect();
    for (sin, rule) in &sins {
        let life = live(image, &both(), &format!("set Sin {sin}\n{SCENARIO}"));
        let named = format!("{{\"violation\":{{\"rule\":\"{rule}\",");
        let right = life
            .line("violation")
            .is_some_and(|line| line.starts_with(&named));
        results.check(right && life.outcome == Outcome::Violation, || {
            format!("sin {sin} should break {rule}: {}", violation(&life))
        });
        if right {
            caught.insert(*rule);
        }
    }
    let without: Vec<&str> = RULES
        .iter()
        .map(|rule| rule.name)
        .filter(|rule| !caught.contains(rule))
        .collect();
    results.summary.push(format!(
        "{} sins, {} of {} rules seen broken; without a sin: {}",
        sins.len(),
        caught.len(),
        RULES.len(),
        without.join(", ")
    ));
}

/// Capabilities: each event alone, both, none, all of QEMU's, no device.
pub const CONTRACT_CAPABILITIES: [u8; 6] = [1, 2, 3, 4, 7, 0xFF];

/// What the host must see of the shipped driver: by capability, with and without
/// a dump, at the default settings.
fn contract(results: &mut Results, image: &[u8]) {
    const SEEN: [(&[u64], &[u64]); 6] = [
        (&[1], &[1]),
        (&[2], &[]),
        (&[2], &[1]),
        (&[], &[]),
        (&[2], &[1]),
        (&[], &[]),
    ];
    for (capability, (with_dump, without)) in CONTRACT_CAPABILITIES.into_iter().zip(SEEN) {
        let machines = [
            Device::isa(0x505, capability),
            Device::pci(4, 0xFEBF_1000, capability),
        ];
        for device in machines {
            for (dump, expected) in [("dump", with_dump), ("no-dump", without)] {
                let scenario = format!("observe\nload\nstart\nbugcheck 0xE2 {dump}\n");
                let life = live(image, std::slice::from_ref(&device), &scenario);
                results.check(
                    life.outcome == Outcome::Complete && life.values() == expected,
                    || {
                        format!(
                            "{} with capability {capability}, {dump}: expected {expected:?}, \
                             seen {:?}; {}",
                            device.id,
                            life.values(),
                            violation(&life)
                        )
                    },
                );
            }
        }
    }
}

/// A device behind an interrupt and a port that a bridge has put into memory space.
pub fn mapped_port() -> Device {
    let start = 0xFEBF_1000;
    let port = Resource::MappedPort { start, length: 1 };
    Device {
        resources: Some(vec![Resource::Interrupt { vector: 9 }, port]),
        ..Device::pci(4, start, 3)
    }
}

/// The register is found among other resources.
fn resource_kinds(results: &mut Results, image: &[u8]) {
    let life = live(
        image,
        &[mapped_port()],
        "load\nstart\nbugcheck 0xE2 no-dump\n",
    );
    results.check(
        life.outcome == Outcome::Complete && life.values() == [1],
        || {
            format!(
                "a mapped port: seen {:?}; {}",
                life.values(),
                violation(&life)
            )
        },
    );
}

/// Damaged images are laid out or refused, but never crash the loader.
fn broken_images(results: &mut Results, image: &[u8], seed: u64) {
    const CASES: u32 = 80_000;
    let mut random = Random::new(seed);
    let (mut refused, mut accepted) = (0, 0);
    for _ in 0..CASES {
        let mut damaged = image.to_vec();
        for _ in 0..=random.below(4) {
            // Mostly in the headers, where damage tells.
            let limit = if random.below(2) == 0 {
                0x400
            } else {
                damaged.len() as u64
            };
            let at = usize::try_from(random.below(limit)).unwrap_or(0);
            if let Some(byte) = damaged.get_mut(at) {
                *byte = random.next().to_le_bytes()[0];
            }
        }
        if random.below(8) == 0 {
            let length = usize::try_from(random.below(damaged.len() as u64)).unwrap_or(0);
            damaged.truncate(length);
        }
        // The checksum would hide everything behind it.
        if let Some(offset) = damaged
            .get(0x3C..0x40)
            .and_then(|bytes| bytes.try_into().ok())
        {
            let at = (u32::from_le_bytes(offset) as usize).saturating_add(0x58);
            if let Some(sum) = damaged.get_mut(at..at.saturating_add(4)) {
                sum.fill(0);
            }
        }
        if nt_model::lay_out(&damaged).is_err() {
            refused += 1;
        } else {
            accepted += 1;
        }
    }
    results.check(refused + accepted == CASES && refused > 0, || {
        "no damaged image was refused".into()
    });
    results.summary.push(format!(
        "{CASES} damaged images: {refused} refused, {accepted} laid out"
    ));
}

/// Random resources, ACPI answers and orders of events: never a broken rule, and
/// never a write to a place that is not the device's.
fn machines(results: &mut Results, image: &[u8], seed: u64, cases: u32) {
    let mut random = Random::new(seed);
    for case in 0..cases {
        let (devices, scenario) = machine(&mut random);
        let life = live(image, &devices, &scenario);
        let sound = life.outcome == Outcome::Complete
            && life.writes.iter().all(|write| {
                !write.device.is_empty() && write.width == 1 && matches!(write.value, 1 | 2)
            });
        results.check(sound, || {
            format!(
                "case {case} of seed {seed}: {devices:?}, {scenario:?}: {:?}; {}",
                life.writes,
                violation(&life)
            )
        });
    }
    results
        .summary
        .push(format!("{cases} random machines and orders of events"));
}

/// A random machine, and what happens to it.
pub fn machine(random: &mut Random) -> (Vec<Device>, String) {
    const EVENTS: [&str; 11] = [
        "start",
        "restart 0",
        "restart 1",
        "disable 0",
        "enable 0",
        "disable 1",
        "enable 1",
        "suspend\nresume",
        "open 0",
        "surprise-remove 1",
        "unload\nload\nstart",
    ];
    let mut isa = Device::isa(0x505, random.next().to_le_bytes()[0]);
    isa.wrpt = random.below(2) == 0;
    isa.rdpt = acpi_answer(random);
    if random.below(4) == 0 {
        isa.resources = Some(resources(random));
    }
    let mut pci = Device::pci(4, 0xFEBF_1000, random.next().to_le_bytes()[0]);
    pci.length = 1 + u32::try_from(random.below(64)).unwrap_or(0);
    let mut scenario = String::from("load\nstart\n");
    for _ in 0..random.below(6) {
        let event = usize::try_from(random.below(EVENTS.len() as u64)).unwrap_or(0);
        scenario += EVENTS[event];
        scenario.push('\n');
    }
    let dump = ["dump", "no-dump", "dump-fails=1", "dump-fails=5"];
    let dump = dump[usize::try_from(random.below(4)).unwrap_or(0)];
    scenario += "bugcheck 0xE2 ";
    scenario += dump;
    (vec![isa, pci], scenario)
}

/// None, many, empty, unaligned, above 4 GiB, at the end of the address space.
fn resources(random: &mut Random) -> Vec<Resource> {
    const STARTS: [u64; 7] = [
        0,
        0x505,
        0xFFFF,
        0xFEBF_1001,
        0x12_3456_7000,
        0xF_FFFF_FFFF_FFFF,
        u64::MAX,
    ];
    const LENGTHS: [u32; 6] = [0, 1, 2, 4096, 0x1_0001, u32::MAX];
    (0..random.below(4))
        .map(|_| {
            let start = STARTS[usize::try_from(random.below(7)).unwrap_or(0)];
            let length = LENGTHS[usize::try_from(random.below(6)).unwrap_or(0)];
            match random.below(5) {
                0 => Resource::Interrupt { vector: length },
                1 => Resource::MappedPort { start, length },
                2 => Resource::Memory { start, length },
                _ => Resource::Port { start, length },
            }
        })
        .collect()
}

fn acpi_answer(random: &mut Random) -> Acpi {
    match random.below(7) {
        0 => Acpi::Missing,
        1 => Acpi::Fails,
        2 => Acpi::Gives(AcpiValue::String(
            "x".repeat(usize::try_from(random.below(100)).unwrap_or(0)),
        )),
        3 => Acpi::Gives(AcpiValue::Buffer(vec![
            0xA5;
            usize::try_from(random.below(300))
                .unwrap_or(0)
        ])),
        4 => Acpi::Gives(AcpiValue::Package(vec![
            AcpiValue::Integer(1);
            usize::try_from(random.below(20))
                .unwrap_or(0)
        ])),
        _ => Acpi::Gives(AcpiValue::Integer(random.next())),
    }
}

fn lives_per_second(results: &mut Results, image: &[u8]) {
    const LIVES: u32 = 2_000;
    let begun = Instant::now();
    let device = [Device::isa(0x505, 3)];
    for _ in 0..LIVES {
        let life = live(image, &device, "load\nstart\nbugcheck 0xE2 dump\n");
        if life.outcome != Outcome::Complete {
            results.failed.push(format!("a life: {}", violation(&life)));
            return;
        }
    }
    let rate = f64::from(LIVES) / begun.elapsed().as_secs_f64();
    results
        .summary
        .push(format!("{rate:.0} complete lives a second"));
}
