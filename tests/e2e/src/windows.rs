//! A disk image that somebody brings: booted, crashed from outside, and watched.
//! The image is only read; what the guest writes goes into a file of QEMU's own.

use std::{
    ffi::OsString,
    fs::{self, File},
    io::{Read, Seek, SeekFrom},
    path::{Path, PathBuf},
    process::Command,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, anyhow, bail, ensure};
use serde_json::{Value, json};

use crate::{
    agent::Agent,
    qemu::{Folder, Qemu, escape},
    screen::Screen,
};

/// OVMF without Secure Boot, and its variables, from Debian's package `ovmf`.
const OVMF_CODE: &str = "/usr/share/OVMF/OVMF_CODE_4M.fd";
const OVMF_VARIABLES: &str = "/usr/share/OVMF/OVMF_VARS_4M.fd";

/// Pictures of the screen: before the crash, at the first event or at the end of the
/// wait for it, and of a guest that never was up.
const UP: &str = "up.png";
const CRASH: &str = "crash.png";
const END: &str = "end.png";
const PICTURES: [&str; 3] = [UP, CRASH, END];

/// The time between two looks at the guest.
const LOOK: Duration = Duration::from_millis(500);

/// How long more events may follow the last one.
const SETTLE: Duration = Duration::from_secs(3);

/// How long a key is held.
const KEY: Duration = Duration::from_millis(100);

/// Resets that follow each other faster are one restart: firmware tries several
/// ways to reset the machine.
const RESTART: Duration = Duration::from_millis(500);

/// A guest that restarts this often never comes up. Windows restarts a few times
/// while it is set up.
const RESTARTS: usize = 10;

/// Bytes that are read from the disk of a guest that boots something. Firmware
/// which finds nothing to boot reads a few sectors; Windows reads far more.
const BOOTED: u64 = 256 << 10;

/// How an image is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// QEMU's own.
    Qcow2,
    /// The disk's bytes.
    Raw,
}

/// The firmware that the image is made for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Firmware {
    /// `SeaBIOS`.
    Bios,
    /// OVMF, with variables of its own for each run.
    Uefi,
}

/// How the guest is crashed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Crash {
    /// A non-maskable interrupt (QMP `inject-nmi`).
    Nmi,
    /// Right Ctrl held, Scroll Lock pressed twice, on the PS/2 keyboard.
    Keyboard,
}

/// Where the guest agent is looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Channel {
    /// The virtio-serial port `org.qemu.guest_agent.0`.
    Virtio,
    /// COM2.
    Isa,
    /// Nowhere.
    None,
}

/// What to boot, and what to do to it.
#[derive(Clone, Debug)]
pub struct Config {
    /// The disk image.
    pub image: PathBuf,
    /// `-machine`.
    pub machine: String,
    /// The firmware.
    pub firmware: Firmware,
    /// `-device` arguments for the disk, with the controller before it.
    pub disk: Vec<&'static str>,
    /// `-accel`.
    pub accelerator: String,
    /// `-device` arguments of the panic devices.
    pub devices: Vec<String>,
    /// Where the guest agent is looked for.
    pub agent: Channel,
    /// How the guest is crashed.
    pub crash: Crash,
    /// All panic events, in order; or any, but one at least.
    pub expect: Option<Vec<String>>,
    /// How long the guest may take to come up.
    pub boot_timeout: Duration,
    /// How long a screen is still when its guest is up.
    pub still: Duration,
    /// How long the events may take after the crash.
    pub event_timeout: Duration,
    /// The folder for the pictures of the screen and the serial log.
    pub out: PathBuf,
    /// Further arguments for QEMU.
    pub arguments: Vec<OsString>,
}

/// Something that happened, in words.
#[derive(Clone, Debug)]
pub struct Moment {
    /// When this process saw it.
    pub at: Instant,
    /// Who did it: `host` or `guest`.
    pub who: &'static str,
    /// What it was.
    pub what: String,
}

/// What told that the guest is up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Up {
    /// The guest agent answered.
    Agent,
    /// The screen showed something and stayed still.
    Still,
    /// Nothing: the time was over.
    Timeout,
}

/// What came of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The events that were expected.
    Seen,
    /// Events, and not those that were expected.
    WrongEvents,
    /// No event after the crash.
    NoEvent,
    /// The guest restarted after the crash without an event.
    RestartedSilently,
    /// The guest switched itself off, before it was crashed or after.
    SwitchedOff,
    /// An event came before the crash.
    CrashedByItself,
    /// The guest restarted again and again before it was up.
    Restarts,
    /// The firmware found nothing to boot.
    NothingBoots,
}

/// The whole of it.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// What came of it.
    pub verdict: Verdict,
    /// What told that the guest is up, and after how long.
    pub up: Option<(Up, Duration)>,
    /// How long it took from the crash to the end; `None` without a crash.
    pub crashed: Option<Duration>,
    /// The names of the panic events, in order.
    pub events: Vec<String>,
    /// How often the guest restarted.
    pub restarts: usize,
    /// How long all of it took.
    pub time: Duration,
    /// QEMU's version.
    pub qemu: String,
    /// The pictures of the screen.
    pub pictures: Vec<PathBuf>,
    /// The serial log.
    pub serial: PathBuf,
}

impl Format {
    /// How an image is stored, by its first bytes. Nothing is written.
    ///
    /// # Errors
    ///
    /// If there is no such file, or it is no image that can be booted here.
    pub fn of(image: &Path) -> Result<Self> {
        let name = image.display();
        let mut file = File::open(image).with_context(|| format!("can't read the image {name}"))?;
        let metadata = file.metadata()?;
        ensure!(metadata.is_file(), "the image {name} is no file");
        let mut start = Vec::new();
        file.by_ref().take(512).read_to_end(&mut start)?;
        if start.starts_with(b"QFI\xFB") {
            return Ok(Self::Qcow2);
        }
        let mut end = [0; 512];
        if metadata.len() >= 512 {
            file.seek(SeekFrom::End(-512))?;
            file.read_exact(&mut end)?;
        }
        let other = [
            ("VHDX", start.starts_with(b"vhdxfile")),
            ("VHD", end.starts_with(b"conectix")),
            ("VMDK", start.starts_with(b"KDMV")),
            ("VMDK", start.starts_with(b"# Disk DescriptorFile")),
            ("VDI", start.get(64..68) == Some(b"\x7F\x10\xDA\xBE")),
        ];
        if let Some((other, _)) = other.iter().find(|(_, is)| *is) {
            bail!(
                "{name} is a {other} image. Convert it: qemu-img convert -O qcow2 {name} FILE.qcow2"
            );
        }
        ensure!(
            metadata.len() > 0 && metadata.len() % 512 == 0,
            "{name} is no disk image: no qcow2, and its {} bytes are no whole sectors of 512",
            metadata.len()
        );
        Ok(Self::Raw)
    }

    /// The name of QEMU's driver for it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Qcow2 => "qcow2",
            Self::Raw => "raw",
        }
    }
}

impl Verdict {
    /// A word for machines.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Seen => "seen",
            Self::WrongEvents => "wrong-events",
            Self::NoEvent => "no-event",
            Self::RestartedSilently => "restarted-silently",
            Self::SwitchedOff => "switched-off",
            Self::CrashedByItself => "crashed-by-itself",
            Self::Restarts => "restarts",
            Self::NothingBoots => "nothing-boots",
        }
    }
}

/// Boots the image, crashes it, and waits for what comes of it. Every moment is
/// told as it happens.
///
/// # Errors
///
/// If QEMU can't be started with the image, dies, or a file can't be written.
pub fn run(config: &Config, tell: &mut dyn FnMut(&Moment)) -> Result<Outcome> {
    fs::create_dir_all(&config.out)
        .with_context(|| format!("can't create {}", config.out.display()))?;
    // Those of an earlier run would be taken for this one's.
    for picture in PICTURES {
        let path = config.out.join(picture);
        if path.exists() {
            fs::remove_file(&path).with_context(|| format!("can't delete {}", path.display()))?;
        }
    }
    let mut session = Session::start(config, tell)?;
    let (verdict, up, crashed) = session
        .watch()
        .map_err(|error| session.qemu.cause_of(error))?;
    session.qemu.quit()?;
    Ok(Outcome {
        verdict,
        up,
        crashed,
        events: session.events,
        restarts: session.restarts,
        time: session.start.elapsed(),
        qemu: session.version,
        pictures: session.pictures,
        serial: serial_log(config),
    })
}

fn serial_log(config: &Config) -> PathBuf {
    config.out.join("serial.log")
}

/// What came of the guest, when it was up, and how long ago it was crashed.
type Course = (Verdict, Option<(Up, Duration)>, Option<Duration>);

/// A machine that runs.
struct Session<'a> {
    config: &'a Config,
    tell: &'a mut dyn FnMut(&Moment),
    qemu: Qemu,
    agent: Option<Agent>,
    version: String,
    start: Instant,
    /// How many of QMP's events have been looked at.
    looked_at: usize,
    /// The panic events.
    events: Vec<String>,
    restarts: usize,
    /// The last reset.
    reset: Option<Instant>,
    off: bool,
    /// When something last happened to the guest.
    last: Instant,
    pictures: Vec<PathBuf>,
    /// Where QEMU writes the picture that is looked at.
    look: PathBuf,
}

impl<'a> Session<'a> {
    fn start(config: &'a Config, tell: &'a mut dyn FnMut(&Moment)) -> Result<Self> {
        let folder = Folder::new()?;
        let look = folder.join("look.ppm");
        let socket = folder.join("agent");
        let command = command(config, &folder, &socket)?;
        let mut qemu = Qemu::launch(command, &config.devices, folder)
            .with_context(|| format!("{} was not booted", config.image.display()))?;
        let version = qemu.version()?;
        let agent = match config.agent {
            Channel::None => None,
            Channel::Virtio | Channel::Isa => Some(Agent::new(&socket)?),
        };
        let start = Instant::now();
        qemu.resume()?;
        let mut session = Self {
            config,
            tell,
            qemu,
            agent,
            version,
            start,
            looked_at: 0,
            events: Vec::new(),
            restarts: 0,
            reset: None,
            off: false,
            last: start,
            pictures: Vec::new(),
            look,
        };
        let text = format!("QEMU {} lets the guest run", session.version);
        session.say(start, "host", text);
        Ok(session)
    }

    fn say(&mut self, at: Instant, who: &'static str, what: String) {
        (self.tell)(&Moment { at, who, what });
    }

    /// Waits for `wait`, and takes in what QEMU says meanwhile.
    fn listen(&mut self, wait: Duration) -> Result<()> {
        let deadline = Instant::now() + wait;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            ensure!(self.qemu.qmp.poll(left), "QEMU is gone");
            while let Some(event) = self.qemu.qmp.events().get(self.looked_at).cloned() {
                self.looked_at += 1;
                let what = match event.name.as_str() {
                    "RESET" => {
                        let before = self.reset.replace(event.at);
                        if before.is_some_and(|before| event.at - before < RESTART) {
                            continue;
                        }
                        self.restarts += 1;
                        "restarts".to_owned()
                    }
                    "SHUTDOWN" => {
                        self.off = true;
                        "switches itself off".to_owned()
                    }
                    name if name.starts_with("GUEST_") => {
                        self.events.push(name.to_owned());
                        self.last = event.at;
                        self.say(event.at, "host", event.name);
                        continue;
                    }
                    _ => continue,
                };
                self.last = event.at;
                self.say(event.at, "guest", what);
            }
            if left.is_zero() {
                return Ok(());
            }
        }
    }

    /// Watches the guest from its start to its end.
    fn watch(&mut self) -> Result<Course> {
        match self.boot()? {
            Err(verdict) => {
                self.picture(END)?;
                Ok((verdict, None, None))
            }
            Ok(by) => {
                let up = (by, self.start.elapsed());
                self.picture(UP)?;
                let crash = Instant::now();
                let verdict = self.crash_and_wait()?;
                Ok((verdict, Some(up), Some(crash.elapsed())))
            }
        }
    }

    /// Waits until the guest is up, or says why it never is.
    fn boot(&mut self) -> Result<Result<Up, Verdict>> {
        let deadline = self.start + self.config.boot_timeout;
        let mut still: Option<(Screen, Instant)> = None;
        let mut restarts = 0;
        loop {
            self.listen(LOOK)?;
            if self.off {
                return Ok(Err(Verdict::SwitchedOff));
            }
            if !self.events.is_empty() {
                return Ok(Err(Verdict::CrashedByItself));
            }
            if self.restarts >= RESTARTS {
                return Ok(Err(Verdict::Restarts));
            }
            if let Some(agent) = &mut self.agent
                && agent.answers()?
            {
                self.say(
                    Instant::now(),
                    "host",
                    "up: the guest agent answers".to_owned(),
                );
                return Ok(Ok(Up::Agent));
            }
            if self.restarts > restarts {
                restarts = self.restarts;
                still = None;
            }
            let screen = self.screen()?;
            match &still {
                Some((first, since)) if first.shows_same(&screen) => {
                    if since.elapsed() >= self.config.still && self.booted()? {
                        let text = format!(
                            "up: the screen is still for {} s",
                            self.config.still.as_secs()
                        );
                        self.say(Instant::now(), "host", text);
                        return Ok(Ok(Up::Still));
                    }
                }
                _ => still = (!screen.is_blank()).then(|| (screen, Instant::now())),
            }
            if Instant::now() >= deadline {
                if !self.booted()? {
                    return Ok(Err(Verdict::NothingBoots));
                }
                let text = format!(
                    "nothing says that the guest is up after {} s",
                    self.config.boot_timeout.as_secs()
                );
                self.say(Instant::now(), "host", text);
                return Ok(Ok(Up::Timeout));
            }
        }
    }

    /// Crashes the guest and waits for the events, or for the end of the time.
    fn crash_and_wait(&mut self) -> Result<Verdict> {
        let restarts = self.restarts;
        let crashed = Instant::now();
        self.last = crashed;
        let mut pictured = false;
        match self.config.crash {
            Crash::Nmi => {
                self.say(crashed, "host", "a non-maskable interrupt".to_owned());
                self.qemu.qmp.execute("inject-nmi", &Value::Null)?;
            }
            Crash::Keyboard => {
                let text = "right Ctrl held, Scroll Lock twice";
                self.say(crashed, "host", text.to_owned());
                self.press()?;
            }
        }
        loop {
            self.listen(LOOK)?;
            if !pictured && !self.events.is_empty() {
                pictured = true;
                self.picture(CRASH)?;
            }
            // What follows a restart is not of this crash any more.
            let over = self.off || self.restarts > restarts;
            let settled = self.last.elapsed() > SETTLE;
            if (over || self.decided()) && settled || crashed.elapsed() > self.config.event_timeout
            {
                break;
            }
        }
        if !pictured {
            self.picture(CRASH)?;
        }
        Ok(match &self.config.expect {
            Some(expected) if *expected == self.events => Verdict::Seen,
            None if !self.events.is_empty() => Verdict::Seen,
            _ if !self.events.is_empty() => Verdict::WrongEvents,
            _ if self.off => Verdict::SwitchedOff,
            _ if self.restarts > restarts => Verdict::RestartedSilently,
            _ => Verdict::NoEvent,
        })
    }

    /// Whether the events so far are what is expected, or can't become it.
    fn decided(&self) -> bool {
        match &self.config.expect {
            None => !self.events.is_empty(),
            Some(expected) if expected.is_empty() => !self.events.is_empty(),
            Some(expected) => self.events == *expected || !expected.starts_with(&self.events),
        }
    }

    /// Presses the keys that crash Windows (Microsoft, "Forcing a system crash
    /// from the keyboard").
    fn press(&mut self) -> Result<()> {
        let scroll = [("scroll_lock", true), ("scroll_lock", false)];
        let keys = [
            &[("ctrl_r", true)][..],
            &scroll,
            &scroll,
            &[("ctrl_r", false)],
        ];
        for (key, down) in keys.concat() {
            let key = json!({"type": "qcode", "data": key});
            let event = json!({"type": "key", "data": {"down": down, "key": key}});
            self.qemu
                .qmp
                .execute("input-send-event", &json!({"events": [event]}))?;
            thread::sleep(KEY);
        }
        Ok(())
    }

    /// Whether something was booted from the disk: whether it was read.
    fn booted(&mut self) -> Result<bool> {
        let statistics = self.qemu.qmp.execute("query-blockstats", &Value::Null)?;
        let disk = statistics.as_array().and_then(|all| {
            all.iter()
                .find(|it| it["device"] == DISK)
                .and_then(|it| it["stats"]["rd_bytes"].as_u64())
        });
        let read = disk.ok_or_else(|| anyhow!("QEMU has no disk: {statistics}"))?;
        Ok(read >= BOOTED)
    }

    fn screen(&mut self) -> Result<Screen> {
        Screen::take(&mut self.qemu.qmp, &self.look)
    }

    /// Keeps a picture of the screen.
    fn picture(&mut self, name: &str) -> Result<()> {
        let path = self.config.out.join(name);
        self.qemu
            .qmp
            .execute("screendump", &json!({"filename": path, "format": "png"}))?;
        self.pictures.push(path);
        Ok(())
    }
}

/// The name of the drive.
const DISK: &str = "disk";

/// QEMU with the image as its disk, and all that Windows needs to come up.
fn command(config: &Config, folder: &Folder, agent: &Path) -> Result<Command> {
    let image = fs::canonicalize(&config.image)
        .with_context(|| format!("can't find the image {}", config.image.display()))?;
    let mut command = machine(&config.machine, &config.accelerator);
    command
        .arg("-serial")
        .arg(format!("file:{}", serial_log(config).display()))
        .arg("-drive")
        .arg(format!(
            "if=none,id={DISK},snapshot=on,format={},file={}",
            Format::of(&config.image)?.name(),
            escape(&image)?
        ))
        // The file that takes the guest's writes, without a name, goes there.
        .env("TMPDIR", &config.out);
    if config.firmware == Firmware::Uefi {
        firmware(&mut command, folder)?;
    }
    for device in &config.disk {
        command.args(["-device", device]);
    }
    if config.agent != Channel::None {
        command.arg("-chardev").arg(format!(
            "socket,id=agent,server=on,wait=off,path={}",
            escape(agent)?
        ));
    }
    match config.agent {
        Channel::Virtio => command
            .args(["-device", "virtio-serial-pci", "-device"])
            .arg("virtserialport,chardev=agent,name=org.qemu.guest_agent.0"),
        Channel::Isa => command.args(["-serial", "chardev:agent"]),
        Channel::None => &mut command,
    };
    command.args(&config.arguments);
    Ok(command)
}

/// QEMU with what Windows needs of a machine, but for its drives.
pub(crate) fn machine(machine: &str, accelerator: &str) -> Command {
    let mut command = Command::new("qemu-system-x86_64");
    command
        .args(["-machine", machine, "-accel", accelerator])
        .args(["-cpu", "max", "-smp", "2", "-m", "4G"])
        // Windows takes the clock for local time.
        .args(["-rtc", "base=localtime", "-vga", "std"])
        // The guest runs on after an event, and can be looked at when it is off.
        .args(["-action", "panic=none,reboot=reset,shutdown=pause"]);
    command
}

/// OVMF, with a fresh copy of its variables in `folder`.
pub(crate) fn firmware(command: &mut Command, folder: &Folder) -> Result<()> {
    let variables = folder.join("variables.fd");
    fs::copy(OVMF_VARIABLES, &variables)
        .with_context(|| format!("can't copy {OVMF_VARIABLES}: `cargo xtask setup` installs it"))?;
    for (options, file) in [
        (",readonly=on", Path::new(OVMF_CODE)),
        ("", variables.as_path()),
    ] {
        let file = escape(file)?;
        command
            .arg("-drive")
            .arg(format!("if=pflash,format=raw{options},file={file}"));
    }
    Ok(())
}
