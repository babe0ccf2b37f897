//! One driver, one machine, one scenario.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail};
use serde_json::{Value, json};

use crate::{
    contract::PANICKED,
    guest::Report,
    qemu::{Config, HostAction, Qemu},
    qmp::Event,
};

/// How long a guest may say nothing. Far more than a busy machine needs.
const SILENCE: Duration = Duration::from_mins(3);

/// How long QEMU may take to delete a device that the guest has let go.
const REMOVAL: Duration = Duration::from_secs(30);

/// How a run ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// The guest came to the end of its scenario.
    Complete,
    /// QEMU paused the guest (run state in the string).
    Paused(String),
    /// QEMU ended by itself, with this exit status.
    Exited(Option<i32>),
}

/// What came of a run.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// QEMU's version.
    pub qemu: String,
    /// What each panic device offers, as QEMU says.
    pub capabilities: Vec<u8>,
    /// When the guest was let run.
    pub start: Instant,
    /// Every QMP event, in order.
    pub events: Vec<Event>,
    /// What the guest reported.
    pub report: Report,
    /// How it ended.
    pub end: End,
}

impl Outcome {
    /// The names of the panic events, in order of arrival.
    #[must_use]
    pub fn panic_events(&self) -> Vec<&str> {
        self.events
            .iter()
            .map(|event| event.name.as_str())
            .filter(|name| name.starts_with("GUEST_"))
            .collect()
    }

    /// The outcome, unless the test kernel could not take its task: a driver
    /// that is no driver, a scenario that is none.
    ///
    /// # Errors
    ///
    /// What it refused, and why.
    pub fn accepted(self) -> Result<Self> {
        for kind in ["refused", "stop"] {
            if let Some(reason) = self.report.first(kind).and_then(|it| it["reason"].as_str()) {
                bail!("{reason}");
            }
        }
        Ok(self)
    }

    /// What the test kernel found wrong with the driver or with its own task, in
    /// words.
    #[must_use]
    pub fn violations(&self) -> Vec<String> {
        let word = |it: &Value, key: &str| it[key].as_str().unwrap_or_default().to_owned();
        let broken = self
            .report
            .all("violation")
            .map(|it| format!("{}: {}", word(it, "rule"), word(it, "text")));
        let refused = self.report.all("refused").map(|it| word(it, "reason"));
        let stopped = self.report.all("stop").map(|it| word(it, "reason"));
        broken.chain(refused).chain(stopped).collect()
    }
}

/// Runs a machine to the end of its scenario, or to its own.
///
/// # Errors
///
/// If QEMU can't be started, dies without being asked to, or the guest says
/// nothing for minutes or nonsense.
pub fn run(config: &Config) -> Result<Outcome> {
    let mut qemu = Qemu::start(config)?;
    let version = qemu.version()?;
    let capabilities = (0..config.devices.len())
        .map(|index| qemu.capability(index))
        .collect::<Result<Vec<_>>>()
        .context("is one of the devices no pvpanic device?")?;
    let start = Instant::now();
    qemu.resume()?;
    let mut report = Report::default();
    let end = watch(&mut qemu, &mut report, config)?;
    // Without what QEMU says of its being told to quit.
    let events: Vec<Event> = qemu.qmp.events().iter().cloned().collect();
    let status = qemu.quit()?;
    for (line, at) in qemu.last_serial_lines() {
        report.take(&line, at)?;
    }
    let end = match end {
        Some(end) => end,
        None if status.code().is_some() && events.iter().any(|event| event.name == PANICKED) => {
            End::Exited(status.code())
        }
        None => bail!("QEMU died ({status}): {}", qemu.complaints().trim()),
    };
    Ok(Outcome {
        qemu: version,
        capabilities,
        start,
        events,
        report,
        end,
    })
}

/// Watches until the guest ends, is paused ([`Some`]), or QEMU is gone.
fn watch(qemu: &mut Qemu, report: &mut Report, config: &Config) -> Result<Option<End>> {
    let mut heard = Instant::now();
    let mut done = 0;
    loop {
        let before = (report.lines.len(), qemu.qmp.events().len());
        let connected = qemu.qmp.poll(Duration::from_millis(2));
        drain(qemu, report)?;
        if !connected {
            return Ok(None);
        }
        if report.all("waiting").count() > done {
            let action = config
                .host
                .get(done)
                .ok_or_else(|| anyhow!("the guest waits for its host once more than it should"))?;
            qemu.act(action, config.devices.len() + done)?;
            done += 1;
        }
        if report
            .first("end")
            .or_else(|| report.first("stop"))
            .is_some()
        {
            // Its answer comes after every panic event that the guest caused.
            qemu.qmp.execute("query-status", &Value::Null)?;
            if config
                .host
                .iter()
                .any(|it| matches!(it, HostAction::Unplug(_)))
            {
                await_removal(qemu)?;
            }
            return Ok(Some(End::Complete));
        }
        if qemu.qmp.events().iter().any(|event| event.name == "STOP") {
            let status = qemu.qmp.execute("query-status", &Value::Null)?;
            let state = status["status"].as_str().unwrap_or_default();
            if state != "shutdown" {
                return Ok(Some(End::Paused(state.to_owned())));
            }
        }
        if before != (report.lines.len(), qemu.qmp.events().len()) {
            heard = Instant::now();
        } else if heard.elapsed() > SILENCE {
            bail!(
                "the guest has said nothing for {} s; its last word: {}",
                SILENCE.as_secs(),
                report.lines.last().map_or_else(
                    || "none".to_owned(),
                    |line| json!({&line.kind: line.content}).to_string()
                )
            );
        }
    }
}

/// Waits until QEMU has taken away what was unplugged: it does so some time after
/// the guest agreed.
fn await_removal(qemu: &mut Qemu) -> Result<()> {
    let start = Instant::now();
    while !qemu
        .qmp
        .events()
        .iter()
        .any(|event| event.name == "DEVICE_DELETED")
    {
        if !qemu.qmp.poll(Duration::from_millis(10)) || start.elapsed() > REMOVAL {
            bail!("the guest did not complete the removal: no DEVICE_DELETED");
        }
    }
    Ok(())
}

/// Takes in what the serial port has. `true` if there was something.
fn drain(qemu: &Qemu, report: &mut Report) -> Result<bool> {
    let mut any = false;
    while let Some((line, at)) = qemu.serial_line() {
        report.take(&line, at)?;
        any = true;
    }
    Ok(any)
}
