//! Starts a QEMU machine with the test kernel in it.

use std::{
    env, fs,
    io::{BufRead, BufReader, ErrorKind, Read, Write},
    os::unix::net::UnixListener,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::{
        atomic::{AtomicU32, Ordering},
        mpsc::{Receiver, channel},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use anyhow::{Context, Error, Result, anyhow, bail, ensure};
use serde_json::json;

use crate::qmp::Qmp;

/// How long QEMU may take from its start to its QMP connection.
const CONNECT: Duration = Duration::from_mins(1);

/// The bus of the slot that an ARM64 machine has.
pub const SLOT: &str = "port0";

/// How long the end of its QMP connection may be behind whatever else QEMU's death
/// breaks.
const DEATH: Duration = Duration::from_millis(500);

/// What a machine is made of.
#[derive(Clone, Debug)]
pub struct Config {
    /// The QEMU program.
    pub program: PathBuf,
    /// `-machine`.
    pub machine: String,
    /// `-device` arguments of the panic devices.
    pub devices: Vec<String>,
    /// `-action panic=`.
    pub panic_action: String,
    /// Further arguments.
    pub arguments: Vec<String>,
    /// The test kernel (`-kernel`).
    pub kernel: PathBuf,
    /// What to do each time that the guest waits for its host.
    pub host: Vec<HostAction>,
    /// Files for the guest: `fw_cfg` name and content.
    pub files: Vec<(&'static str, Vec<u8>)>,
}

impl Config {
    /// A pc with QEMU's usual panic device, which runs on after the event; the
    /// test kernel takes `driver` through `scenario`.
    #[must_use]
    pub fn new(kernel: &Path, driver: Vec<u8>, scenario: &str) -> Self {
        Self {
            program: "qemu-system-x86_64".into(),
            machine: "pc".to_owned(),
            devices: vec!["pvpanic".to_owned()],
            panic_action: "none".to_owned(),
            arguments: Vec::new(),
            kernel: kernel.to_owned(),
            host: Vec::new(),
            files: vec![
                ("opt/nt/driver.sys", driver),
                ("opt/nt/scenario", scenario.as_bytes().to_vec()),
            ],
        }
    }

    /// The same for ARM64: the `virt` board with the PCI device, and an empty slot,
    /// [`SLOT`].
    #[must_use]
    pub fn virt(kernel: &Path, driver: Vec<u8>, scenario: &str) -> Self {
        let slot = format!("pcie-root-port,id={SLOT},chassis=1");
        Self {
            program: "qemu-system-aarch64".into(),
            machine: "virt".to_owned(),
            devices: vec!["pvpanic-pci".to_owned()],
            arguments: ["-cpu", "max", "-device", &slot]
                .map(str::to_owned)
                .to_vec(),
            ..Self::new(kernel, driver, scenario)
        }
    }
}

/// What the host does to a running machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HostAction {
    /// `device_add` of this device, in QEMU's `-device` syntax.
    Plug(String),
    /// `device_del` of the panic device with this number.
    Unplug(usize),
    /// `SIGKILL` for QEMU itself.
    Kill,
}

/// A running QEMU, killed when dropped.
#[derive(Debug)]
pub struct Qemu {
    child: Child,
    /// The connection to its monitor.
    pub qmp: Qmp,
    serial: Receiver<(String, Instant)>,
    complaints: Option<JoinHandle<String>>,
    /// Held for its `Drop`.
    _folder: Folder,
}

/// A folder with a short path that is deleted when dropped.
#[derive(Debug)]
pub struct Folder(PathBuf);

impl Folder {
    /// A new, empty one.
    ///
    /// # Errors
    ///
    /// If the temporary folder takes none.
    pub fn new() -> Result<Self> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        loop {
            let number = NUMBER.fetch_add(1, Ordering::Relaxed);
            // Not below the project: the path of a Unix socket has 107 bytes at most.
            let path = env::temp_dir().join(format!("pvpanic-{}-{number}", std::process::id()));
            match fs::create_dir(&path) {
                Ok(()) => return Ok(Self(path)),
                // Left by a process that was killed.
                Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
                Err(error) => {
                    return Err(error).with_context(|| format!("can't create {}", path.display()));
                }
            }
        }
    }

    /// The path of a file in it.
    #[must_use]
    pub fn join(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // A leftover in the temporary folder is no reason to fail.
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// The id of the panic device number `index`.
#[must_use]
pub fn device_id(index: usize) -> String {
    format!("panic{index}")
}

impl Qemu {
    /// Starts QEMU, stopped before the guest's first instruction.
    ///
    /// # Errors
    ///
    /// If the program is missing, or QEMU refuses its arguments: with what it
    /// said.
    pub fn start(config: &Config) -> Result<Self> {
        let folder = Folder::new()?;
        let mut command = Command::new(&config.program);
        command
            .args(["-machine", &config.machine, "-accel", "tcg", "-m", "256"])
            .args(["-no-reboot", "-chardev", "stdio,id=serial,signal=off"])
            .args(["-serial", "chardev:serial"])
            .args(["-action", &format!("panic={}", config.panic_action)])
            .arg("-kernel")
            .arg(&config.kernel);
        for (index, (name, content)) in config.files.iter().enumerate() {
            let file = folder.join(&format!("file{index}"));
            fs::write(&file, content).with_context(|| format!("can't write {}", file.display()))?;
            command
                .arg("-fw_cfg")
                .arg(format!("name={name},file={}", escape(&file)?));
        }
        command.args(&config.arguments);
        Self::launch(command, &config.devices, folder)
    }

    /// Starts QEMU with the arguments of `command` and these panic devices,
    /// stopped before the guest's first instruction. Its standard input and
    /// output are the guest's serial port, if `command` connects them. It ends with
    /// the thread that starts it, even if that is killed.
    ///
    /// # Errors
    ///
    /// As [`Self::start`].
    pub fn launch(mut command: Command, devices: &[String], folder: Folder) -> Result<Self> {
        let socket = folder.join("qmp");
        let listener = UnixListener::bind(&socket)
            .with_context(|| format!("can't listen on {}", socket.display()))?;
        command
            .args(["-nodefaults", "-display", "none", "-S", "-qmp"])
            .arg(format!("unix:{}", escape(&socket)?));
        for (index, device) in devices.iter().enumerate() {
            command
                .arg("-device")
                .arg(format!("{device},id={}", device_id(index)));
        }
        let mut child = tied(&command)?
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .context("can't start setpriv of util-linux")?;
        let serial = lines(child.stdout.take());
        let complaints = child.stderr.take().map(|mut pipe| {
            thread::spawn(move || {
                let mut text = String::new();
                // What could be read before an error is all that can be told.
                let _ = pipe.read_to_string(&mut text);
                text
            })
        });
        let qmp = match accept(&listener, &mut child) {
            Ok(qmp) => qmp,
            Err(error) => {
                // It may be gone already.
                let _ = child.kill();
                let _ = child.wait();
                let said = complaints.and_then(|thread| thread.join().ok());
                return Err(error.context(said.unwrap_or_default().trim().to_owned()));
            }
        };
        Ok(Self {
            child,
            qmp,
            serial,
            complaints,
            _folder: folder,
        })
    }

    /// Why something that was asked of QEMU failed: its death, if it has died.
    pub fn cause_of(&mut self, error: Error) -> Error {
        let deadline = Instant::now() + DEATH;
        while let left = deadline.saturating_duration_since(Instant::now())
            && !left.is_zero()
        {
            if !self.qmp.poll(left) {
                return match self.quit() {
                    Ok(status) => anyhow!("QEMU died ({status}): {}", self.complaints().trim()),
                    Err(error) => error,
                };
            }
        }
        error
    }

    /// What device number `index` offers, as QEMU itself says it.
    ///
    /// # Errors
    ///
    /// If there is no such device or it has no `events` property.
    pub fn capability(&mut self, index: usize) -> Result<u8> {
        let answer = self.qmp.execute(
            "qom-get",
            &json!({
                "path": format!("/machine/peripheral/{}", device_id(index)),
                "property": "events",
            }),
        )?;
        answer
            .as_u64()
            .and_then(|events| u8::try_from(events).ok())
            .ok_or_else(|| anyhow!("QEMU says that device {index} offers {answer}"))
    }

    /// Lets the guest run.
    ///
    /// # Errors
    ///
    /// If QEMU is gone.
    pub fn resume(&mut self) -> Result<()> {
        self.qmp.execute("cont", &serde_json::Value::Null).map(drop)
    }

    /// Does `action` and tells the guest, which waits at its serial port, that
    /// it is done. A plugged device gets the number `next`.
    ///
    /// # Errors
    ///
    /// If QEMU refuses it or is gone.
    pub fn act(&mut self, action: &HostAction, next: usize) -> Result<()> {
        match action {
            HostAction::Plug(device) => {
                let mut parts = device.split(',');
                let mut arguments = json!({
                    "driver": parts.next().unwrap_or_default(),
                    "id": device_id(next),
                });
                for (key, value) in parts.filter_map(|part| part.split_once('=')) {
                    arguments[key] = value.into();
                }
                self.qmp.execute("device_add", &arguments)?;
            }
            HostAction::Kill => {
                self.child.kill().context("can't kill QEMU")?;
                return Ok(());
            }
            HostAction::Unplug(index) => {
                self.qmp
                    .execute("device_del", &json!({ "id": device_id(*index) }))?;
            }
        }
        let serial = self
            .child
            .stdin
            .as_mut()
            .ok_or_else(|| anyhow!("QEMU has no standard input"))?;
        serial.write_all(b"\n").context("QEMU is gone")?;
        serial.flush().context("QEMU is gone")
    }

    /// The next line of the guest's serial port, if one has come.
    #[must_use]
    pub fn serial_line(&self) -> Option<(String, Instant)> {
        self.serial.try_recv().ok()
    }

    /// All lines that are still to come, where QEMU has ended or is about to: this
    /// waits for its end. What it wrote at last may not have been read yet.
    pub fn last_serial_lines(&self) -> impl Iterator<Item = (String, Instant)> {
        self.serial.iter()
    }

    /// The version that QEMU says it has.
    ///
    /// # Errors
    ///
    /// If QEMU is gone.
    pub fn version(&mut self) -> Result<String> {
        let version = self
            .qmp
            .execute("query-version", &serde_json::Value::Null)?;
        let part = |name: &str| version["qemu"][name].as_u64().unwrap_or_default();
        Ok(format!(
            "{}.{}.{}",
            part("major"),
            part("minor"),
            part("micro")
        ))
    }

    /// Ends QEMU and tells how it ended.
    ///
    /// # Errors
    ///
    /// If it can't be waited for.
    pub fn quit(&mut self) -> Result<ExitStatus> {
        // It may have ended by itself, which is what the status tells.
        let _ = self.qmp.execute("quit", &serde_json::Value::Null);
        self.child.wait().context("can't wait for QEMU")
    }

    /// What QEMU wrote to its standard error. Call it after [`Self::quit`].
    pub fn complaints(&mut self) -> String {
        self.complaints
            .take()
            .and_then(|thread| thread.join().ok())
            .unwrap_or_default()
    }
}

impl Drop for Qemu {
    fn drop(&mut self) {
        // It may be gone already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A path as QEMU's option parser takes it: a comma is doubled.
///
/// # Errors
///
/// If the path is no UTF-8.
pub fn escape(path: &Path) -> Result<String> {
    path.to_str()
        .map(|path| path.replace(',', ",,"))
        .ok_or_else(|| anyhow!("QEMU takes no path like {}", path.display()))
}

/// The same command, killed by the kernel when the thread that starts it ends: a
/// `Drop` does not run in a process that is killed.
fn tied(command: &Command) -> Result<Command> {
    let program = command.get_program();
    let found = Path::new(program).exists()
        || env::var_os("PATH").is_some_and(|path| {
            env::split_paths(&path).any(|folder| folder.join(program).exists())
        });
    ensure!(
        found,
        "can't start {}: `cargo xtask setup` installs it",
        program.display()
    );
    let mut tied = Command::new("setpriv");
    tied.args(["--pdeathsig", "KILL", "--"])
        .arg(program)
        .args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => tied.env(name, value),
            None => tied.env_remove(name),
        };
    }
    Ok(tied)
}

fn lines(pipe: Option<impl Read + Send + 'static>) -> Receiver<(String, Instant)> {
    let (sender, receiver) = channel();
    if let Some(pipe) = pipe {
        thread::spawn(move || {
            for line in BufReader::new(pipe).split(b'\n') {
                let Ok(line) = line else { break };
                let at = Instant::now();
                let text = String::from_utf8_lossy(&line).trim_end().to_owned();
                if sender.send((text, at)).is_err() {
                    break;
                }
            }
        });
    }
    receiver
}

fn accept(listener: &UnixListener, child: &mut Child) -> Result<Qmp> {
    listener.set_nonblocking(true)?;
    let deadline = Instant::now() + CONNECT;
    loop {
        if let Ok((stream, _)) = listener.accept() {
            stream.set_nonblocking(false)?;
            return Qmp::new(stream);
        }
        if let Some(status) = child.try_wait()? {
            bail!("QEMU ended before the guest started ({status})");
        }
        if Instant::now() > deadline {
            bail!("QEMU did not open its monitor within {CONNECT:?}");
        }
        thread::sleep(Duration::from_millis(2));
    }
}
