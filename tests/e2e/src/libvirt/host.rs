//! libvirtd, by hand, in mount, process and network namespaces of its own.

use std::{
    ffi::OsStr,
    fs::{self, File},
    io::{BufRead, BufReader},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, anyhow, bail, ensure};

const SCRIPT: &str = include_str!("host.sh");

/// How long libvirtd may take until it answers, a program inside until it ends, and
/// the kernel until it has taken everything down.
const PATIENCE: Duration = Duration::from_mins(2);

const QEMU_CONF: &str = r#"user = "root"
group = "root"
dynamic_ownership = 0
remember_owner = 0
security_driver = "none"
namespaces = []
cgroup_controllers = []
stdio_handler = "file"
auto_dump_path = "/test/dump"
"#;

const LIBVIRTD_CONF: &str = r#"auth_unix_ro = "none"
auth_unix_rw = "none"
log_level = 3
log_filters = "4:qemu.qemu_monitor_json 1:qemu.qemu_monitor 1:qemu.qemu_process 1:qemu.qemu_driver"
log_outputs = "1:file:/test/libvirtd.log"
"#;

/// libvirt calls it at each turn of a guest's life.
const HOOK: &str = "#!/bin/busybox sh\necho \"$*\" >>/test/hook.log\n";

/// An event as `virsh event` tells it: the guest and what happened to it.
type Event = (String, String);

/// A running libvirtd. All of it ends with this, and with this process.
#[derive(Debug)]
pub struct Host {
    process: Child,
    /// The number outside of the first process inside.
    init: u32,
    root: PathBuf,
    shared: PathBuf,
    events: Arc<Mutex<Vec<Event>>>,
    /// Held while this exists: two would share their folder.
    _lock: File,
}

/// Checks, before anything is built, that namespaces can be made at all.
///
/// # Errors
///
/// Without root's rights.
pub fn check_rights() -> Result<()> {
    let user = fs::metadata("/proc/self").context("there is no /proc")?;
    ensure!(
        user.uid() == 0,
        "libvirt is tested in namespaces of its own, which takes root's rights. Run it as root, \
         or as root in a container that may mount (docker run --privileged)"
    );
    Ok(())
}

impl Host {
    /// Starts libvirtd in the Debian that is unpacked in `root`. `shared` is emptied;
    /// inside it is `/test`.
    ///
    /// # Errors
    ///
    /// Where namespaces are forbidden, or if libvirtd does not
    /// answer: with what it said.
    pub fn start(root: &Path, shared: &Path) -> Result<Self> {
        let lock = lock(&shared.with_extension("lock"))?;
        lay_out(shared)?;
        let complaints = File::create(shared.join("host.log"))?;
        // Not busybox's, which changes what it is told to leave unchanged.
        let process = clean("unshare")
            .args(["--mount", "--pid", "--net", "--fork", "--kill-child"])
            .args(["--propagation", "unchanged"])
            .arg(root.join("bin/busybox"))
            .arg("sh")
            .args([&shared.join("host.sh"), root, shared])
            .arg(std::process::id().to_string())
            .stdin(Stdio::piped())
            .stdout(complaints.try_clone()?)
            .stderr(complaints)
            .spawn()
            .context("can't run unshare, which is in Debian's util-linux")?;
        let mut host = Self {
            process,
            init: 0,
            root: root.to_owned(),
            shared: shared.to_owned(),
            events: Arc::default(),
            _lock: lock,
        };
        host.await_answer()?;
        host.listen()?;
        Ok(host)
    }

    /// The folder that is `/test` inside.
    #[must_use]
    pub fn shared(&self) -> &Path {
        &self.shared
    }

    /// Runs virsh and answers what it printed.
    ///
    /// # Errors
    ///
    /// If it fails: with what it said.
    pub fn virsh(&self, arguments: &[&str]) -> Result<String> {
        self.run(&[&["virsh", "--quiet"], arguments].concat())
    }

    /// Runs a program inside and answers what it printed.
    ///
    /// # Errors
    ///
    /// If it fails: with what it said. If it does not end in time.
    pub fn run(&self, words: &[&str]) -> Result<String> {
        let limit = PATIENCE.as_secs().to_string();
        // Not busybox's, whose status does not say that the time is up.
        let limited = ["/usr/bin/timeout", "--kill-after=10", &limit];
        let output = self
            .command(&[&limited, words].concat())
            .stdin(Stdio::null())
            .output()
            .context("can't run busybox")?;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
        ensure!(
            output.status.success(),
            "{}: {}",
            words.join(" "),
            // timeout's own status.
            if output.status.code() == Some(124) {
                format!("it did not end in {limit} s")
            } else {
                format!("{} ({})", text(&output.stderr), output.status)
            }
        );
        Ok(text(&output.stdout))
    }

    /// Everything that happened to a guest so far, in order.
    #[must_use]
    pub fn events_of(&self, guest: &str) -> Vec<String> {
        self.events.lock().map_or_else(
            |_| Vec::new(),
            |events| {
                events
                    .iter()
                    .filter(|(name, _)| name == guest)
                    .map(|(_, event)| event.clone())
                    .collect()
            },
        )
    }

    /// What libvirtd has logged so far.
    ///
    /// # Errors
    ///
    /// If it can't be read.
    pub fn log(&self) -> Result<String> {
        read(&self.shared.join("libvirtd.log"))
    }

    /// The arguments after the guest's name with which the hook was called for it.
    ///
    /// # Errors
    ///
    /// If they can't be read.
    pub fn hook_calls(&self, guest: &str) -> Result<Vec<String>> {
        Ok(read(&self.shared.join("hook.log"))?
            .lines()
            .filter_map(|line| line.strip_prefix(guest)?.strip_prefix(' '))
            .map(str::to_owned)
            .collect())
    }

    /// Ends everything as it ends when this process is killed: the pipe closes.
    ///
    /// # Errors
    ///
    /// If something is left: a process or a mount.
    pub fn stop(mut self) -> Result<()> {
        self.end()?;
        ensure!(
            !Path::new("/proc").join(self.init.to_string()).exists(),
            "the first process is still there: {}",
            self.init
        );
        let mounts = fs::read_to_string("/proc/self/mountinfo")?;
        let ours = self.root.to_string_lossy();
        ensure!(!mounts.contains(&*ours), "something is mounted in {ours}");
        Ok(())
    }

    /// Closes the pipe, and kills what does not end by that.
    fn end(&mut self) -> Result<()> {
        drop(self.process.stdin.take());
        let deadline = Instant::now() + PATIENCE;
        while self.process.try_wait()?.is_none() {
            if Instant::now() > deadline {
                // The first process inside is killed with it.
                self.process.kill()?;
                self.process.wait()?;
                bail!("libvirtd's namespaces didn't end by themselves and were killed");
            }
            thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }

    fn command(&self, words: &[&str]) -> Command {
        let mut command = busybox(&self.root);
        command
            .args(["nsenter", "-t", &self.init.to_string(), "-m", "-p", "-n"])
            // In a chroot the namespace's own root is not this process's.
            .args(["-r", "-w"])
            .arg(self.root.join("bin/busybox"))
            .arg("chroot")
            .arg(&self.root)
            .args(words);
        command
    }

    fn await_answer(&mut self) -> Result<()> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let answer = self.first_process().and_then(|init| {
                self.init = init;
                self.virsh(&["version"])
            });
            let Err(error) = answer else { return Ok(()) };
            if self.process.try_wait()?.is_some() || Instant::now() > deadline {
                let said = read(&self.shared.join("host.log"))?;
                bail!(
                    "libvirtd does not answer ({error:#}).\n{said}Its log is {}. It takes a \
                     system where root may make namespaces, mounts and device nodes; in a \
                     container: docker run --privileged",
                    self.shared.join("libvirtd.log").display()
                );
            }
            thread::sleep(Duration::from_millis(100));
        }
    }

    /// The only child of the process that made the namespaces.
    fn first_process(&self) -> Result<u32> {
        let parent = self.process.id();
        let children = fs::read_to_string(format!("/proc/{parent}/task/{parent}/children"))?;
        Ok(children.trim().parse()?)
    }

    /// Keeps what `virsh event` says, from now on for certain: it does not say when it
    /// has begun to listen, so a guest is defined until that is heard.
    fn listen(&self) -> Result<()> {
        let mut listener = self
            .command(&["virsh", "event", "--all", "--loop"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .context("can't run busybox")?;
        let pipe = listener.stdout.take().context("virsh has no output")?;
        let events = Arc::clone(&self.events);
        thread::spawn(move || {
            for line in BufReader::new(pipe).lines().map_while(Result::ok) {
                if let (Some(event), Ok(mut events)) = (event(&line), events.lock()) {
                    events.push(event);
                }
            }
            // It ends with its namespace.
            let _ = listener.wait();
        });
        let probe = "<domain type='qemu'><name>probe</name><memory>1024</memory>\
                     <uuid>00000000-0000-4000-8000-000000000001</uuid>\
                     <os><type>hvm</type></os></domain>";
        fs::write(self.shared.join("probe.xml"), probe)?;
        let deadline = Instant::now() + PATIENCE;
        while self.events_of("probe").is_empty() {
            ensure!(Instant::now() < deadline, "virsh event says nothing");
            self.virsh(&["define", "/test/probe.xml"])?;
            thread::sleep(Duration::from_millis(100));
        }
        self.virsh(&["undefine", "probe"]).map(drop)
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        // Nothing can be done about a process that can't be waited for.
        let _ = self.end();
    }
}

/// The unpacked Debian's busybox, which needs nothing of the host's.
fn busybox(root: &Path) -> Command {
    clean(root.join("bin/busybox"))
}

/// A program without what this process's environment says.
fn clean(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(program);
    command
        .env_clear()
        .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
        .env("LC_ALL", "C");
    command
}

fn read(path: &Path) -> Result<String> {
    fs::read_to_string(path).with_context(|| format!("can't read {}", path.display()))
}

fn lay_out(shared: &Path) -> Result<()> {
    let write = |name: &str, content: &str| {
        let path = shared.join(name);
        fs::write(&path, content).with_context(|| format!("can't write {}", path.display()))
    };
    if shared.exists() {
        fs::remove_dir_all(shared).with_context(|| format!("can't empty {}", shared.display()))?;
    }
    for folder in ["dump", "etc/hooks"] {
        let path = shared.join(folder);
        fs::create_dir_all(&path).with_context(|| format!("can't create {}", path.display()))?;
    }
    write("etc/qemu.conf", QEMU_CONF)?;
    write("etc/libvirtd.conf", LIBVIRTD_CONF)?;
    write("etc/hooks/qemu", HOOK)?;
    write("host.sh", SCRIPT)?;
    write("hook.log", "")?;
    let hook = shared.join("etc/hooks/qemu");
    fs::set_permissions(&hook, std::os::unix::fs::PermissionsExt::from_mode(0o755))
        .with_context(|| format!("can't make {} executable", hook.display()))
}

fn lock(path: &Path) -> Result<File> {
    let file = File::create(path).with_context(|| format!("can't write {}", path.display()))?;
    file.try_lock().map_err(|_| {
        anyhow!(
            "another test of libvirt is running here: {}",
            path.display()
        )
    })?;
    Ok(file)
}

/// `event 'lifecycle' for domain 'one': Crashed Panicked`, `event 'reboot' for domain
/// 'one'`.
fn event(line: &str) -> Option<Event> {
    let (kind, rest) = line.strip_prefix("event '")?.split_once("' for domain '")?;
    let (guest, detail) = rest.split_once('\'')?;
    let detail = detail.trim_start_matches(": ");
    let what = if kind == "lifecycle" { detail } else { kind };
    Some((guest.to_owned(), what.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::event;

    #[test]
    fn an_event_has_its_guest_and_what_happened() {
        let parsed = |line| event(line).map(|(guest, what)| format!("{guest}: {what}"));
        assert_eq!(
            parsed("event 'lifecycle' for domain 'one': Crashed Panicked").as_deref(),
            Some("one: Crashed Panicked")
        );
        assert_eq!(
            parsed("event 'reboot' for domain 'one'").as_deref(),
            Some("one: reboot")
        );
        assert_eq!(parsed("events received: 2"), None);
    }
}
