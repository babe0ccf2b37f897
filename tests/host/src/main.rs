//! `host --driver FILE [--device DEVICE]… --scenario FILE`: runs a driver image
//! in this process and prints the report and what was written to the devices.

use std::{process::ExitCode, time::Instant};

use host::{Device, Life, Outcome, live};

const USAGE: &str = "usage: host --driver FILE [--device isa|pci[,capability=N…]]… \
                     --scenario FILE [--lives N]";

struct Options {
    image: Vec<u8>,
    scenario: String,
    devices: Vec<Device>,
    lives: u32,
}

fn options() -> Result<Options, String> {
    let mut words = std::env::args().skip(1);
    let (mut driver, mut scenario, mut devices, mut lives) = (None, None, Vec::new(), 1);
    while let Some(word) = words.next() {
        let mut value = || {
            words
                .next()
                .ok_or_else(|| format!("{word} needs a value\n{USAGE}"))
        };
        match word.as_str() {
            "--driver" => driver = Some(value()?),
            "--scenario" => scenario = Some(value()?),
            "--device" => devices.push(value()?.parse().map_err(|e| format!("{e}"))?),
            "--lives" => {
                lives = value()?
                    .parse()
                    .map_err(|_| format!("--lives needs a number\n{USAGE}"))?;
            }
            _ => return Err(format!("{word} is not known\n{USAGE}")),
        }
    }
    let driver = driver.ok_or_else(|| USAGE.to_owned())?;
    let scenario = scenario.ok_or_else(|| USAGE.to_owned())?;
    Ok(Options {
        image: std::fs::read(&driver).map_err(|error| format!("{driver}: {error}"))?,
        scenario: std::fs::read_to_string(&scenario)
            .map_err(|error| format!("{scenario}: {error}"))?,
        devices,
        lives,
    })
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

fn main() -> ExitCode {
    let options = match options() {
        Ok(options) => options,
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::from(2);
        }
    };
    let begun = Instant::now();
    let mut life = live(&options.image, &options.devices, &options.scenario);
    for _ in 1..options.lives {
        life = live(&options.image, &options.devices, &options.scenario);
    }
    print(&life);
    if options.lives > 1 {
        let rate = f64::from(options.lives) / begun.elapsed().as_secs_f64();
        eprintln!("{rate:.0} lives a second");
    }
    if life.outcome == Outcome::Complete {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}
