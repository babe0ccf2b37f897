//! `host run`: takes a driver image through a scenario in this process and prints
//! the report and what was written to the devices. `host suite`: runs the checks
//! that need driver images; `host check` those of the shipped driver alone.
//! `host sins` prints the sins that a driver for ARM64 commits, as JSON lines.
//! `host cover`: prints the offsets of all instructions
//! of an image that run in them.

use std::{path::PathBuf, process::ExitCode};

use host::{
    Device, Life, Outcome, Paths, Results, SCENARIO, SINS, SINS_ON_ARM64, check, cover, live, suite,
};

const USAGE: &str = "usage: host run --driver FILE [--device isa|pci[,capability=N…]]… --scenario FILE\n       \
                     host suite --driver FILE --plain FILE… --order FILE --calls FILE --sinner FILE [--seed N]\n       \
                     host check --driver FILE\n       \
                     host cover --driver FILE [--seed N]\n       \
                     host sins";

/// Failures that are printed; one mistake often makes hundreds.
const MOST_SHOWN: usize = 20;

/// The values of each option, in order.
struct Options(Vec<(String, String)>);

impl Options {
    fn read(words: impl Iterator<Item = String>, known: &[&str]) -> Result<Self, String> {
        let mut words = words;
        let mut options = Vec::new();
        while let Some(name) = words.next() {
            if !known.contains(&name.as_str()) {
                return Err(format!("{name} is not known\n{USAGE}"));
            }
            let value = words
                .next()
                .ok_or_else(|| format!("{name} needs a value\n{USAGE}"))?;
            options.push((name, value));
        }
        Ok(Self(options))
    }

    fn all(&self, name: &str) -> impl Iterator<Item = &str> {
        self.0
            .iter()
            .filter(move |option| option.0 == name)
            .map(|option| option.1.as_str())
    }

    fn one(&self, name: &str) -> Result<&str, String> {
        self.all(name)
            .last()
            .ok_or_else(|| format!("{name} is needed\n{USAGE}"))
    }

    fn seed(&self) -> Result<u64, String> {
        self.one("--seed")
            .map_or(Ok(1), str::parse)
            .map_err(|_| format!("--seed needs a number\n{USAGE}"))
    }
}

fn print(life: &Life) {
    for line in &life.report {
        println!("{line}");
    }
    for write in &life.writes {
        println!(
            "{{\"written\":{{\"device\":{:?},\"width\":{},\"value\":\"0x{:x}\"}}}}",
            write.device, write.width, write.value
        );
    }
}

fn run(words: impl Iterator<Item = String>) -> Result<bool, String> {
    let options = Options::read(words, &["--driver", "--device", "--scenario"])?;
    let driver = options.one("--driver")?;
    let scenario = options.one("--scenario")?;
    let image = std::fs::read(driver).map_err(|error| format!("{driver}: {error}"))?;
    let text = std::fs::read_to_string(scenario).map_err(|error| format!("{scenario}: {error}"))?;
    let devices: Vec<Device> = options
        .all("--device")
        .map(|word| word.parse().map_err(|error| format!("{error}")))
        .collect::<Result<_, _>>()?;
    let life = live(&image, &devices, &text);
    print(&life);
    Ok(life.outcome == Outcome::Complete)
}

fn run_suite(words: impl Iterator<Item = String>) -> Result<bool, String> {
    let options = Options::read(
        words,
        &[
            "--driver", "--plain", "--order", "--calls", "--sinner", "--seed",
        ],
    )?;
    let paths = Paths {
        driver: options.one("--driver")?.into(),
        plain: options.all("--plain").map(PathBuf::from).collect(),
        order: options.one("--order")?.into(),
        calls: options.one("--calls")?.into(),
        sinner: options.one("--sinner")?.into(),
    };
    let seed = options.seed()?;
    let results = suite(&paths, seed).map_err(|error| format!("an image: {error}"))?;
    Ok(print_results(&results))
}

fn run_check(words: impl Iterator<Item = String>) -> Result<bool, String> {
    let options = Options::read(words, &["--driver"])?;
    let driver = options.one("--driver")?;
    let image = std::fs::read(driver).map_err(|error| format!("{driver}: {error}"))?;
    Ok(print_results(&check(&image)))
}

fn print_results(results: &Results) -> bool {
    for failure in results.failed.iter().take(MOST_SHOWN) {
        println!("failed: {failure}");
    }
    for line in &results.summary {
        println!("{line}");
    }
    println!("{} passed, {} failed", results.passed, results.failed.len());
    results.failed.is_empty()
}

fn run_cover(words: impl Iterator<Item = String>) -> Result<bool, String> {
    let options = Options::read(words, &["--driver", "--seed"])?;
    let driver = options.one("--driver")?;
    let image = std::fs::read(driver).map_err(|error| format!("{driver}: {error}"))?;
    for offset in cover(&image, options.seed()?) {
        println!("{offset}");
    }
    Ok(true)
}

fn print_sins() {
    for (sin, rule) in SINS.iter().chain(SINS_ON_ARM64) {
        let scenario = format!("set Sin {sin}\n{SCENARIO}");
        println!("{{\"sin\":{sin},\"rule\":{rule:?},\"scenario\":{scenario:?}}}");
    }
}

fn main() -> ExitCode {
    let mut words = std::env::args().skip(1);
    let done = match words.next().as_deref() {
        Some("run") => run(words),
        Some("suite") => run_suite(words),
        Some("check") => run_check(words),
        Some("cover") => run_cover(words),
        Some("sins") => {
            print_sins();
            Ok(true)
        }
        _ => Err(USAGE.into()),
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::from(2)
        }
    }
}
