//! Which life calls each modelled function: what is measured here is what the
//! list of functions in `tests/nt/README.md` has to say.

use std::collections::BTreeMap;

use nt_model::Outcome;

use crate::{
    live,
    report::{kind, text},
    sins::SCENARIO,
    suite::{Results, both, violation},
};

const README: &str = include_str!("../../nt/README.md");

/// A life of one of the drivers, as the list names it.
struct Told<'a> {
    name: &'a str,
    image: &'a [u8],
    scenario: String,
    outcome: Outcome,
}

fn told<'a>(name: &'a str, image: &'a [u8], scenario: &str) -> Told<'a> {
    Told {
        name,
        image,
        scenario: format!("trace\n{scenario}"),
        outcome: Outcome::Complete,
    }
}

fn sin<'a>(name: &'a str, image: &'a [u8], number: u32) -> Told<'a> {
    Told {
        outcome: Outcome::Violation,
        ..told(name, image, &format!("set Sin {number}\n{SCENARIO}"))
    }
}

/// Each modelled function is called, by the life that the README names: the first
/// of these that does.
pub fn calls(results: &mut Results, driver: &[u8], caller: &[u8], sinner: &[u8]) {
    const START: &str = "load\nstart\nunload\n";
    let with_pool2 = with_pool2(caller);
    let lives = [
        told("pvpanic.sys", driver, SCENARIO),
        told("calls.c", caller, START),
        told("calls.c, Last 1", caller, "set Last 1\nload\nstart\n"),
        told("calls.c, Last 2", caller, "set Last 2\nload\nstart\n"),
        // POOL_FLAG_NON_PAGED.
        told(
            "calls.c, ExAllocatePool2",
            &with_pool2,
            &format!("set Flags 0x40\n{START}"),
        ),
        told("sinner.c", sinner, SCENARIO),
        sin("sinner.c, sin 135", sinner, 135),
        sin("sinner.c, sin 136", sinner, 136),
        sin("sinner.c, sin 137", sinner, 137),
    ];
    let mut covered: BTreeMap<String, &str> = BTreeMap::new();
    for told in &lives {
        let life = live(told.image, &both(), &told.scenario);
        results.check(
            life.outcome == told.outcome && started(&life.report),
            || format!("{}: {}", told.name, violation(&life)),
        );
        let traced = life.report.iter().filter(|line| kind(line) == "call");
        for name in traced.filter_map(|line| text(line, "name")) {
            covered.entry(name.to_owned()).or_insert(told.name);
        }
    }
    let (mut all, mut tried) = (0, 0);
    for name in nt_model::functions() {
        all += 1;
        let by = covered.get(name).copied();
        tried += u32::from(by.is_some());
        let begin = format!("| {name} | ");
        let row = README.lines().find(|line| line.starts_with(&begin));
        let says = row.and_then(|row| row.strip_suffix(" |")?.rsplit(" | ").next());
        results.check(by.is_some() && by == says, || {
            format!(
                "{name} is called by {}, README.md says {}",
                by.unwrap_or("no life"),
                says.unwrap_or("nothing")
            )
        });
    }
    results
        .summary
        .push(format!("{tried} of {all} functions are called"));
}

/// A driver that `REQUIRE`s in vain does not load or start.
fn started(report: &[String]) -> bool {
    let refused = |line: &String| {
        matches!(kind(line), "loaded" | "started")
            && text(line, "status").is_some_and(|status| status != "0x00000000")
    };
    !report.iter().any(refused)
}

/// `calls.c` with another import in place of one: the kit's import library has
/// what the oldest Windows has, and so no `ExAllocatePool2`.
fn with_pool2(image: &[u8]) -> Vec<u8> {
    const OLD: &[u8; 22] = b"ExAllocatePoolWithTag\0";
    const NEW: &[u8; 22] = b"ExAllocatePool2\0\0\0\0\0\0\0";
    let mut image = image.to_vec();
    let at = image.windows(OLD.len()).position(|bytes| bytes == OLD);
    if let Some(bytes) = at.and_then(|at| image.get_mut(at..at + OLD.len())) {
        bytes.copy_from_slice(NEW);
    }
    // The file's checksum is that of the old name; 0 stands for none.
    let header = image.get(0x3C..0x40).and_then(|at| at.try_into().ok());
    let sum = u32::from_le_bytes(header.unwrap_or_default()) as usize + 0x58;
    if let Some(bytes) = image.get_mut(sum..sum + 4) {
        bytes.fill(0);
    }
    image
}
