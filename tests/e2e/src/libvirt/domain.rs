//! A guest of libvirt's, from its definition to its end.

use std::{
    fs::{self, File},
    io::Write,
    os::{fd::AsRawFd, unix::net::UnixStream},
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};

use super::{
    dump::{self, Trace},
    host::Host,
    linux::Linux,
    log,
    table::{Crash, Guest, Row, Sight},
};
use crate::matrix;

/// How long nothing may happen. Far more than a busy machine needs.
const SILENCE: Duration = Duration::from_mins(2);
/// How long libvirt may take to tell of what the guest is past.
const DELAY: Duration = Duration::from_secs(30);

/// What the driver's guest says of its crash, and Linux of its own.
const REASONS: [&str; 2] = [
    r#"{"bugcheck":{"code":"0xe2""#,
    "Kernel panic - not syncing: sysrq triggered crash",
];
/// What each says when it has survived its last event.
const RAN_ON: [&str; 2] = [r#"{"end":"#, "the crash kernel runs"];

/// What guests are made of.
#[derive(Debug)]
pub struct Parts {
    driver: Trace,
    module: Trace,
}

impl Parts {
    /// Puts the guests' files where libvirt finds them.
    ///
    /// # Errors
    ///
    /// If they can't be read or written.
    pub fn new(host: &Host, kernel: &Path, driver: &[u8], linux: Linux) -> Result<Self> {
        let kernel =
            fs::read(kernel).with_context(|| format!("can't read {}", kernel.display()))?;
        for (name, content) in [
            ("kernel", &*kernel),
            ("pvpanic.sys", driver),
            ("vmlinuz", &linux.kernel),
            ("initrd", &linux.initrd),
            ("initrd-with-crash-kernel", &linux.initrd_with_crash_kernel),
        ] {
            write(&host.shared().join(name), content)?;
        }
        Ok(Self {
            driver: Trace::Loaded(driver.to_vec()),
            module: Trace::Page(linux.module),
        })
    }

    const fn trace(&self, guest: Guest) -> &Trace {
        match guest {
            Guest::Driver => &self.driver,
            Guest::Linux => &self.module,
        }
    }
}

/// Runs a row and answers what was seen. With `driverless`, the driver gets no device,
/// so that it can report nothing.
///
/// # Errors
///
/// If the guest can't be started, or a dump is none.
pub fn run(host: &Host, parts: &Parts, row: &Row, name: &str, driverless: bool) -> Result<Sight> {
    let domain = Domain { host, name };
    let scenario = if driverless {
        scenario(row).replace("match ", "match NOT\\")
    } else {
        scenario(row)
    };
    write(&domain.file("scenario"), scenario.as_bytes())?;
    write(&domain.file("xml"), xml(row, name).as_bytes())?;
    host.virsh(&["define", &format!("/test/{name}.xml")])?;
    host.virsh(&["start", name])?;
    domain.await_boot()?;
    if row.crash == Crash::Killed {
        let kill = format!("kill -KILL $(busybox cat /run/libvirt/qemu/{name}.pid)");
        host.run(&["busybox", "sh", "-c", &kill])?;
    } else {
        domain.crash()?;
    }
    let sight = domain.watch(&row.expected())?;
    for path in domain.dumps()? {
        let other = match row.guest {
            Guest::Driver => Guest::Linux,
            Guest::Linux => Guest::Driver,
        };
        dump::check(&path, parts.trace(row.guest), parts.trace(other))?;
        fs::remove_file(&path).with_context(|| format!("can't delete {}", path.display()))?;
    }
    if !sight.state.starts_with("shut off") {
        host.virsh(&["destroy", name])?;
    }
    host.virsh(&["undefine", name])?;
    Ok(sight)
}

struct Domain<'a> {
    host: &'a Host,
    name: &'a str,
}

impl Domain<'_> {
    fn file(&self, extension: &str) -> PathBuf {
        self.host
            .shared()
            .join(format!("{}.{extension}", self.name))
    }

    /// The guest's serial console so far.
    fn console(&self) -> String {
        fs::read(self.file("serial"))
            .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
            .unwrap_or_default()
    }

    fn await_boot(&self) -> Result<()> {
        let mut heard = (0, Instant::now());
        loop {
            let console = self.console();
            if boots(&console) > 0 {
                return Ok(());
            }
            if console.len() > heard.0 {
                heard = (console.len(), Instant::now());
            }
            if heard.1.elapsed() > SILENCE {
                bail!(
                    "the guest does not come up; its last words: {}",
                    console.lines().next_back().unwrap_or("none")
                );
            }
            thread::sleep(Duration::from_millis(50));
        }
    }

    /// Gives the guest the word that it waits for.
    fn crash(&self) -> Result<()> {
        // The path of a socket has 107 bytes at most; this one is short.
        let folder = File::open(self.host.shared())?;
        let path = format!("/proc/self/fd/{}/{}.socket", folder.as_raw_fd(), self.name);
        let mut serial = UnixStream::connect(path).context("can't reach the serial port")?;
        serial.write_all(b"\n").context("the guest is gone")?;
        Ok(())
    }

    /// Looks until everything is as expected, or until nothing more happens.
    fn watch(&self, expected: &Sight) -> Result<Sight> {
        let mut last = (Sight::default(), 0);
        let mut changed = Instant::now();
        loop {
            let console = self.console();
            let mut sight = self.look(&console)?;
            let patience = if sight.ran_on { DELAY } else { SILENCE };
            let over = !expected.events.starts_with(&sight.events) || changed.elapsed() > patience;
            // What takes longer to read is read only when it may decide.
            sight.state.clone_from(&expected.state);
            sight.log.clone_from(&expected.log);
            if over || sight == *expected {
                sight.state = self.host.virsh(&["domstate", "--reason", self.name])?;
                sight.log = log::steps(&self.host.log()?, self.name);
                if over || sight == *expected {
                    return Ok(sight);
                }
            }
            let now = (sight, console.len());
            if now != last {
                last = now;
                changed = Instant::now();
            }
            thread::sleep(Duration::from_millis(50));
        }
    }

    /// All but the state and libvirtd's log.
    fn look(&self, console: &str) -> Result<Sight> {
        let mut events = self.host.events_of(self.name);
        events.retain(|event| {
            ["Crashed", "Stopped", "reboot"]
                .iter()
                .any(|it| event.starts_with(it))
        });
        // libvirt tells of a reboot when it resets the guest and when QEMU has.
        events.dedup_by(|one, other| one == other && one == "reboot");
        Ok(Sight {
            events,
            dumps: self.dumps()?.len(),
            hook: self.host.hook_calls(self.name)?,
            boots: boots(console),
            reason: REASONS.iter().any(|reason| console.contains(reason)),
            ran_on: RAN_ON.iter().any(|word| console.contains(word)),
            ..Sight::default()
        })
    }

    /// libvirt names a dump by the guest's number, its name and the time.
    fn dumps(&self) -> Result<Vec<PathBuf>> {
        let folder = self.host.shared().join("dump");
        let mut dumps = Vec::new();
        for entry in fs::read_dir(folder)? {
            let path = entry?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            if name.split('-').nth(1) == Some(self.name) {
                dumps.push(path);
            }
        }
        Ok(dumps)
    }
}

/// How often the guest has come up: each time it waits for its host's word.
fn boots(console: &str) -> usize {
    console
        .lines()
        .filter(|line| line.starts_with("waiting") || line.starts_with(r#"{"waiting""#))
        .count()
}

fn scenario(row: &Row) -> String {
    let (settings, dump) = match row.crash {
        Crash::Dump | Crash::DumpPanickedOnly => ("", "dump"),
        Crash::DumpReported => ("set ReportDumpEnd 2\n", "dump"),
        Crash::NoDump | Crash::Killed => ("", "no-dump"),
    };
    format!(
        "{settings}{}load\nstart\nwait crash\nbugcheck 0xE2 {dump}\n",
        matrix::matching()
    )
}

/// The domain as libvirt takes it.
fn xml(row: &Row, name: &str) -> String {
    let (memory, boot, files) = match row.guest {
        Guest::Driver => (
            64,
            "<kernel>/test/kernel</kernel>".to_owned(),
            format!(
                "<sysinfo type='fwcfg'>\
                 <entry name='opt/nt/driver.sys' file='/test/pvpanic.sys'/>\
                 <entry name='opt/nt/scenario' file='/test/{name}.scenario'/>\
                 </sysinfo>"
            ),
        ),
        Guest::Linux => {
            // Without crash_kexec_post_notifiers Linux starts its crash kernel and
            // reports nothing.
            let (memory, initrd, more) = if row.crash == Crash::Dump {
                // A kernel at a random place may leave no room in one piece for the
                // other one.
                let more = " nokaslr crashkernel=128M crash_kexec_post_notifiers";
                (512, "initrd-with-crash-kernel", more)
            } else {
                (128, "initrd", "")
            };
            let boot = format!(
                "<kernel>/test/vmlinuz</kernel><initrd>/test/{initrd}</initrd>\
                 <cmdline>console=ttyS0 quiet{more}</cmdline>"
            );
            (memory, boot, String::new())
        }
    };
    let arguments = if row.crash == Crash::DumpPanickedOnly {
        "<qemu:commandline>\
         <qemu:arg value='-global'/><qemu:arg value='pvpanic.events=1'/>\
         </qemu:commandline>"
    } else {
        ""
    };
    format!(
        "<domain type='qemu' xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0'>
<name>{name}</name><memory unit='MiB'>{memory}</memory><vcpu>1</vcpu>
{files}
<os><type arch='x86_64' machine='{machine}'>hvm</type>{boot}</os>
<features><acpi/></features>
<on_crash>{on_crash}</on_crash>
<devices>
<emulator>/usr/bin/qemu-system-x86_64</emulator>
<controller type='usb' model='none'/><memballoon model='none'/>
<serial type='unix'>
<source mode='bind' path='/test/{name}.socket'/><log file='/test/{name}.serial' append='on'/>
</serial>
{panic}
</devices>
{arguments}
</domain>
",
        machine = row.machine,
        on_crash = row.on_crash,
        panic = row.model.xml,
    )
}

fn write(path: &Path, content: &[u8]) -> Result<()> {
    fs::write(path, content).with_context(|| format!("can't write {}", path.display()))
}
