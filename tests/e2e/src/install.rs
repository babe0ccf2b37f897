//! Windows Setup, from its CD to a disk, watched from outside until the guest
//! says that all is done and switches itself off.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, anyhow, ensure};
use serde_json::{Value, json};

use crate::{
    qemu::{Folder, Qemu, escape},
    screen::Screen,
    windows::{Firmware, Moment, firmware, machine},
};

/// How each line begins that the guest writes to COM1 for the host.
pub const PREFIX: &str = "pvpanic-image: ";

/// What follows when everything is installed.
pub const INSTALLED: &str = "installed";

/// What precedes the step that failed.
pub const FAILED: &str = "failed: ";

/// The time between two looks at the guest.
const LOOK: Duration = Duration::from_secs(1);

/// A guest that restarts this often gets nowhere. Setup restarts three or four
/// times.
const RESTARTS: usize = 10;

/// Resets that are closer are one restart: `SeaBIOS` resets the machine once or
/// twice more when it finds it used.
const APART: Duration = Duration::from_secs(2);

/// Bytes that are read from the CD by what has passed the question for a key: by
/// then a boot loader reads Setup itself.
const PAST_THE_QUESTION: u64 = 8 << 20;

/// How long a key is pressed for that question. Firmware that finds nothing to
/// boot would be kept busy by it for ever.
const ASKS: Duration = Duration::from_mins(5);

/// The name of the disk's drive.
const DISK: &str = "disk";

/// What to install from, and onto what.
#[derive(Clone, Debug)]
pub struct Config {
    /// The CDs: first the one to boot.
    pub cds: Vec<PathBuf>,
    /// The disk, an empty qcow2 image.
    pub disk: PathBuf,
    /// `-machine`.
    pub machine: String,
    /// The firmware.
    pub firmware: Firmware,
    /// `-accel`.
    pub accelerator: String,
    /// `-device` arguments of the panic devices.
    pub devices: Vec<String>,
    /// Whether there is a port for the guest agent.
    pub agent: bool,
    /// How long all of it may take.
    pub timeout: Duration,
    /// How long nothing may change: disk, CDs, serial port and screen.
    pub stuck: Duration,
    /// The folder for the picture of the last screen and the serial log.
    pub out: PathBuf,
}

/// What came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The guest said that it is installed, and switched itself off.
    Installed,
    /// The guest said what failed.
    Failed(String),
    /// The guest switched itself off before it said anything.
    TooEarly,
    /// The guest switched itself off and left the disk empty.
    NothingWritten,
    /// Nothing changed any more.
    Stuck,
    /// The guest restarted again and again.
    Restarts,
    /// The time was over.
    Timeout,
}

/// The whole of it.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// What came of it.
    pub verdict: Verdict,
    /// How often the guest restarted.
    pub restarts: usize,
    /// Bytes that were written to the disk.
    pub written: u64,
    /// How long it took.
    pub time: Duration,
}

/// Runs Setup. Every moment is told as it happens.
///
/// # Errors
///
/// If QEMU can't be started, dies, or a file can't be written.
pub fn run(config: &Config, tell: &mut dyn FnMut(&Moment)) -> Result<Outcome> {
    fs::create_dir_all(&config.out)
        .with_context(|| format!("can't create {}", config.out.display()))?;
    let folder = Folder::new()?;
    let look = folder.join("look.ppm");
    let command = command(config, &folder)?;
    let mut qemu = Qemu::launch(command, &config.devices, folder)?;
    let version = qemu.version()?;
    let start = Instant::now();
    qemu.resume()?;
    let mut session = Session {
        config,
        tell,
        qemu,
        start,
        looked_at: 0,
        restarts: 0,
        restarted: None,
        off: false,
        said: None,
        read: 0,
        written: 0,
        look,
    };
    session.say(start, "host", format!("QEMU {version} lets the guest run"));
    let verdict = session
        .watch()
        .map_err(|error| session.qemu.cause_of(error))?;
    let path = config.out.join("end.png");
    session
        .qemu
        .qmp
        .execute("screendump", &json!({"filename": path, "format": "png"}))?;
    // What the guest wrote is on the disk when QEMU has ended.
    session.qemu.quit()?;
    Ok(Outcome {
        verdict,
        restarts: session.restarts,
        written: session.written,
        time: start.elapsed(),
    })
}

/// A machine on which Setup runs.
struct Session<'a> {
    config: &'a Config,
    tell: &'a mut dyn FnMut(&Moment),
    qemu: Qemu,
    start: Instant,
    /// How many of QMP's events have been looked at.
    looked_at: usize,
    restarts: usize,
    /// When it last did.
    restarted: Option<Instant>,
    off: bool,
    /// How it ended, as the guest says.
    said: Option<Verdict>,
    /// Bytes read from the CDs.
    read: u64,
    /// Bytes written to the disk.
    written: u64,
    /// Where QEMU writes the picture that is looked at.
    look: PathBuf,
}

impl Session<'_> {
    fn say(&mut self, at: Instant, who: &'static str, what: String) {
        (self.tell)(&Moment { at, who, what });
    }

    /// Until it ends, whatever way.
    fn watch(&mut self) -> Result<Verdict> {
        let mut screen: Option<Screen> = None;
        let mut changed = Instant::now();
        loop {
            let before = (self.read, self.written, self.restarts);
            let spoke = self.listen()?;
            if self.off {
                // The last words may still be on their way.
                self.listen()?;
                return Ok(match self.said.take() {
                    _ if self.written == 0 => Verdict::NothingWritten,
                    Some(verdict) => verdict,
                    None => Verdict::TooEarly,
                });
            }
            if let Some(Verdict::Failed(step)) = &self.said {
                return Ok(Verdict::Failed(step.clone()));
            }
            if self.restarts >= RESTARTS {
                return Ok(Verdict::Restarts);
            }
            if self.start.elapsed() > self.config.timeout {
                return Ok(Verdict::Timeout);
            }
            if self.restarts == 0 && self.read < PAST_THE_QUESTION && self.start.elapsed() < ASKS {
                // "Press any key to boot from CD or DVD"
                self.press("ret")?;
            }
            let now = self.screen()?;
            let same = screen
                .as_ref()
                .is_some_and(|before| before.shows_same(&now));
            if spoke || !same || before != (self.read, self.written, self.restarts) {
                changed = Instant::now();
                screen = Some(now);
            } else if changed.elapsed() > self.config.stuck {
                return Ok(Verdict::Stuck);
            }
        }
    }

    /// Takes in what QEMU and the guest say for a moment, and what was read and
    /// written. Whether the guest said something.
    fn listen(&mut self) -> Result<bool> {
        let deadline = Instant::now() + LOOK;
        while let left = deadline.saturating_duration_since(Instant::now())
            && !left.is_zero()
        {
            ensure!(self.qemu.qmp.poll(left), "QEMU is gone");
        }
        self.count()?;
        while let Some(event) = self.qemu.qmp.events().get(self.looked_at).cloned() {
            self.looked_at += 1;
            match event.name.as_str() {
                "RESET" if self.restarted.is_none_or(|last| event.at > last + APART) => {
                    self.restarts += 1;
                    self.restarted = Some(event.at);
                    self.say(event.at, "guest", "restarts".to_owned());
                }
                "SHUTDOWN" => {
                    self.off = true;
                    self.say(event.at, "guest", "switches itself off".to_owned());
                }
                _ => {}
            }
        }
        if self.off {
            // What it wrote last.
            self.count()?;
        }
        let mut spoke = false;
        while let Some((line, at)) = self.qemu.serial_line() {
            spoke = true;
            if let Some((_, text)) = line.split_once(PREFIX) {
                let text = text.trim();
                if text == INSTALLED {
                    self.said = Some(Verdict::Installed);
                } else if let Some(step) = text.strip_prefix(FAILED) {
                    self.said = Some(Verdict::Failed(step.to_owned()));
                }
                self.say(at, "guest", text.to_owned());
            }
        }
        Ok(spoke)
    }

    /// Asks QEMU what was read and written, and says when it begins.
    fn count(&mut self) -> Result<()> {
        let statistics = self.qemu.qmp.execute("query-blockstats", &Value::Null)?;
        let drives = statistics
            .as_array()
            .ok_or_else(|| anyhow!("QEMU has no drives: {statistics}"))?;
        let sum = |of_disk: bool, what: &str| -> u64 {
            drives
                .iter()
                .filter(|drive| {
                    drive["device"].as_str().is_some_and(|name| {
                        (name == DISK) == of_disk && !name.starts_with("pflash")
                    })
                })
                .filter_map(|drive| drive["stats"][what].as_u64())
                .sum()
        };
        let (read, written) = (sum(false, "rd_bytes"), sum(true, "wr_bytes"));
        if self.read == 0 && read > 0 {
            self.say(Instant::now(), "guest", "reads the CD".to_owned());
        }
        if self.written == 0 && written > 0 {
            self.say(Instant::now(), "guest", "writes to the disk".to_owned());
        }
        (self.read, self.written) = (read, written);
        Ok(())
    }

    fn press(&mut self, key: &str) -> Result<()> {
        let key = json!([{"type": "qcode", "data": key}]);
        self.qemu
            .qmp
            .execute("send-key", &json!({"keys": key}))
            .map(drop)
    }

    fn screen(&mut self) -> Result<Screen> {
        Screen::take(&mut self.qemu.qmp, &self.look)
    }
}

/// QEMU with the CDs and the disk. The disk comes first, so that a key is asked
/// for only while it is empty.
///
/// # Errors
///
/// If a path is one that QEMU does not take.
pub fn command(config: &Config, folder: &Folder) -> Result<Command> {
    let mut command = machine(&config.machine, &config.accelerator);
    command
        .arg("-chardev")
        .arg(format!(
            "stdio,id=serial,signal=off,logfile={}",
            escape(&config.out.join("serial.log"))?
        ))
        .args(["-serial", "chardev:serial"]);
    if config.firmware == Firmware::Uefi {
        firmware(&mut command, folder)?;
    }
    if config.agent {
        // Setup's driver for it is installed while its device is there.
        command
            .args(["-chardev", "null,id=agent"])
            .args(["-device", "virtio-serial-pci", "-device"])
            .arg("virtserialport,chardev=agent,name=org.qemu.guest_agent.0");
    }
    drive(
        &mut command,
        DISK,
        "format=qcow2",
        &config.disk,
        "ide-hd,bus=ide.0,bootindex=1",
    )?;
    for (number, cd) in config.cds.iter().enumerate() {
        let bus = number + 1;
        let boot = if number == 0 { ",bootindex=2" } else { "" };
        drive(
            &mut command,
            &format!("cd{number}"),
            "media=cdrom,readonly=on,format=raw",
            cd,
            &format!("ide-cd,bus=ide.{bus}{boot}"),
        )?;
    }
    Ok(command)
}

fn drive(command: &mut Command, id: &str, options: &str, file: &Path, device: &str) -> Result<()> {
    command
        .arg("-drive")
        .arg(format!("if=none,id={id},{options},file={}", escape(file)?))
        .arg("-device")
        .arg(format!("{device},drive={id}"));
    Ok(())
}
