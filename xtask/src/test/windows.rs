//! The command `windows`, on disk images that stand in for a Windows: they boot the
//! test kernel with the shipped driver, or do what a broken Windows does.

use std::{
    env, fs,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use e2e::{matrix::matching, qemu::escape};
use serde_json::{Value, json};

use super::{Tally, parallel};
use crate::elsewhere::shipped;

/// How long anything may take before it is taken for hung.
const DEADLINE: Duration = Duration::from_mins(5);

/// Marks from other tools that a name of a file may have.
const NAME: &str = "Bob's \"R&D\" <a>, 1";

/// Reads a `JUnit` file with somebody else's XML parser.
const JUNIT_READER: &str = "
import sys, xml.etree.ElementTree as tree
suite, = tree.parse(sys.argv[1]).getroot().findall('testsuite')
cases = suite.findall('testcase')
results = [[it.tag for it in case] for case in cases]
for tag, count in ('failure', 'failures'), ('error', 'errors'), ('skipped', 'skipped'):
    assert int(suite.get(count)) == sum(tag in result for result in results), count
assert int(suite.get('tests')) == len(cases)
assert all(float(case.get('time')) >= 0 for case in cases)
print(' '.join(result[0] if result else 'ok' for result in results))
for case in cases:
    for it in case:
        print(it.get('type'), it.get('message'))
print(suite.find('system-out').text)
print(cases[0].get('name'))
";

/// What follows the name of each image.
const ENDING: &str = "img";

/// For guests with an agent, which says when they are up, however busy this
/// machine is.
const AGENT: &str = "--agent isa --boot-timeout 300 --event-timeout 60";
/// For guests that only look as if they were up.
const STILL: &str = "--still 12 --boot-timeout 120 --event-timeout 60";

const LOADED: &str = "GUEST_CRASHLOADED";
const PANICKED: &str = "GUEST_PANICKED";

/// What an image boots.
enum Boots {
    /// The test kernel with this end of the scenario.
    Kernel(&'static str),
    /// GRUB, which does this.
    Grub(&'static str),
    /// Nothing: it has no boot sector.
    Nothing,
}

/// The images, by name.
const IMAGES: &[(&str, Boots)] = &[
    ("dump", Boots::Kernel("load; start; idle dump")),
    ("no-dump", Boots::Kernel("load; start; idle no-dump")),
    ("no-driver", Boots::Kernel("idle dump")),
    ("hung", Boots::Kernel("load; start; wait host")),
    (
        "by-itself",
        Boots::Kernel("load; start; bugcheck 0x7B no-dump"),
    ),
    ("loader", Boots::Grub("sleep 3600")),
    ("reboots", Boots::Grub("reboot")),
    ("off", Boots::Grub("halt")),
    ("empty", Boots::Nothing),
];

/// What is done with an image, and what must come of it.
#[derive(Clone)]
struct Row {
    name: &'static str,
    image: &'static str,
    arguments: String,
    /// What tells that the guest is up; empty where it never is.
    up: &'static str,
    verdict: &'static str,
    events: &'static [&'static str],
    /// The STOP code in the serial log; empty where Windows does not crash.
    stop: &'static str,
}

fn row(
    name: &'static str,
    image: &'static str,
    arguments: impl Into<String>,
    (up, verdict, events, stop): (
        &'static str,
        &'static str,
        &'static [&'static str],
        &'static str,
    ),
) -> Row {
    Row {
        name,
        image,
        arguments: arguments.into(),
        up,
        verdict,
        events,
        stop,
    }
}

/// Guests that crash and report it.
fn reporting() -> Vec<Row> {
    vec![
        row(
            "UEFI, ISA and PCI, on SCSI",
            "dump",
            format!("{AGENT} --firmware uefi --device both --disk scsi"),
            ("agent", "seen", &[LOADED, LOADED], "0x80"),
        ),
        row(
            "BIOS, ISA",
            "dump",
            format!("{AGENT} --expect CRASH_LOADED"),
            ("agent", "seen", &[LOADED], "0x80"),
        ),
        row(
            "BIOS, PCI, qcow2, no agent",
            "no-dump.qcow2",
            format!("{STILL} --device pci"),
            ("still-screen", "seen", &[PANICKED], "0x80"),
        ),
        row(
            "pc, ISA and PCI, on virtio, by the keyboard",
            "no-dump",
            format!(
                "{AGENT} --device both --crash keyboard --machine pc --disk virtio \
                 --expect PANICKED,PANICKED"
            ),
            ("agent", "seen", &[PANICKED, PANICKED], "0xe2"),
        ),
        row(
            "on NVMe, nothing says that it is up",
            "dump",
            "--agent none --still 300 --boot-timeout 40 --device pci --disk nvme",
            ("timeout", "seen", &[LOADED], "0x80"),
        ),
        row(
            "a further argument for QEMU",
            "dump",
            format!("{AGENT} --expect PANICKED -- -global pvpanic.events=1"),
            ("agent", "seen", &[PANICKED], "0x80"),
        ),
    ]
}

/// Guests that do something else.
fn others() -> Vec<Row> {
    let soon = format!("{AGENT} --event-timeout 15");
    vec![
        row(
            "no driver, ISA",
            "no-driver",
            soon.clone(),
            ("agent", "no-event", &[], "0x80"),
        ),
        row(
            "no driver, PCI",
            "no-driver",
            format!("{soon} --device pci"),
            ("agent", "no-event", &[], "0x80"),
        ),
        row(
            "no driver, and no event is expected",
            "no-driver",
            format!("{soon} --device both --expect none"),
            ("agent", "seen", &[], "0x80"),
        ),
        row(
            "hung",
            "hung",
            format!("{STILL} --event-timeout 15 --device both"),
            ("still-screen", "no-event", &[], ""),
        ),
        row(
            "another event",
            "dump",
            format!("{AGENT} --expect PANICKED"),
            ("agent", "wrong-events", &[LOADED], "0x80"),
        ),
        row(
            "one event too many",
            "dump",
            format!("{AGENT} --device both --expect CRASH_LOADED"),
            ("agent", "wrong-events", &[LOADED, LOADED], "0x80"),
        ),
        row(
            "crashed by itself",
            "by-itself",
            format!("{AGENT} --device pci"),
            ("", "crashed-by-itself", &[PANICKED], "0x7b"),
        ),
        row(
            "restarted by the interrupt",
            "loader",
            STILL,
            ("still-screen", "restarted-silently", &[], ""),
        ),
        row(
            "rebooting in a loop",
            "reboots",
            "--boot-timeout 300",
            ("", "restarts", &[], ""),
        ),
        row(
            "switched off",
            "off",
            "--boot-timeout 300",
            ("", "switched-off", &[], ""),
        ),
        row(
            "no boot sector",
            "empty",
            "--boot-timeout 8 --still 3 --event-timeout 5",
            ("", "nothing-boots", &[], ""),
        ),
    ]
}

/// Runs the suite.
pub fn run(tally: &mut Tally) -> Result<()> {
    let folder = kit::root().join("target/stand-ins");
    if folder.exists() {
        fs::remove_dir_all(&folder)
            .with_context(|| format!("can't delete {}", folder.display()))?;
    }
    make_images(&folder)?;
    let rows = [reporting(), others()].concat();
    let rows: Vec<_> = rows.iter().enumerate().collect();
    parallel::in_order(
        parallel::WAITING,
        &rows,
        |(index, row)| try_row(row, &folder, &folder.join(format!("{index}, {NAME}"))),
        |(_, row), result| {
            tally.check(&format!("{:<44} {}", row.name, row.verdict), result);
        },
    );
    errors(tally, &folder);
    tally.check("the report for people", for_people(&folder));
    tally.check("QEMU is killed", killed(&folder));
    tally.check("the command is killed, and QEMU with it", orphaned(&folder));
    tally.check("an image that another QEMU has", in_use(&folder));
    Ok(())
}

/// The path of an image: of raw ones by their name alone.
fn image(folder: &Path, name: &str) -> PathBuf {
    let (name, ending) = name.split_once('.').unwrap_or((name, ENDING));
    folder.join(format!("{name}, {NAME}.{ending}"))
}

/// Makes all images: GRUB on disks for BIOS and UEFI alike. It writes a file at each
/// start, as Windows does, so that an image that is not protected changes.
fn make_images(folder: &Path) -> Result<()> {
    let kernel = kit::build_guest(kit::Architecture::X64)?;
    let driver = shipped()?;
    for (name, boots) in IMAGES {
        let path = image(folder, name);
        let files = folder.join(name);
        let grub = files.join("boot/grub");
        fs::create_dir_all(&grub).with_context(|| format!("can't create {}", grub.display()))?;
        let commands = match boots {
            Boots::Nothing => {
                fs::write(&path, vec![0; 1 << 20])?;
                continue;
            }
            Boots::Grub(commands) => *commands,
            Boots::Kernel(steps) => {
                fs::copy(&kernel, files.join("kernel"))?;
                fs::write(files.join("driver.sys"), &driver)?;
                let scenario = matching() + &steps.replace("; ", "\n");
                fs::write(files.join("scenario"), scenario)?;
                "multiboot2 /kernel\nmodule2 /driver.sys opt/nt/driver.sys\n\
                 module2 /scenario opt/nt/scenario\nboot"
            }
        };
        fs::write(
            grub.join("grub.cfg"),
            format!("echo This stands in for Windows.\nset ran=yes\nsave_env ran\n{commands}\n"),
        )?;
        fs::write(
            grub.join("grubenv"),
            format!("{:#<1024}", "# GRUB Environment Block\n"),
        )?;
        tool(
            Command::new("grub-mkrescue")
                .args(["--fonts=", "--locales=", "--themes=", "--output"])
                .args([&path, &files]),
        )?;
    }
    tool(
        Command::new("qemu-img")
            .args(["convert", "-f", "raw", "-O", "qcow2"])
            .args([image(folder, "no-dump"), image(folder, "no-dump.qcow2")]),
    )
    .map(drop)
}

/// What a tool that must succeed writes to its standard output.
fn tool(command: &mut Command) -> Result<String> {
    let name = command.get_program().to_string_lossy().into_owned();
    let output = command
        .output()
        .with_context(|| format!("can't run {name}"))?;
    ensure!(
        output.status.success(),
        "{name}: {}",
        String::from_utf8_lossy(&output.stderr).trim()
    );
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// The command with an image, not yet started.
fn windows(image: &Path, out: &Path) -> Result<Command> {
    let mut command = Command::new(env::current_exe()?);
    command
        .args(["windows", "--image"])
        .arg(image)
        .arg("--out")
        .arg(out)
        .arg("--junit")
        .arg(junit(out))
        .stdin(Stdio::null());
    Ok(command)
}

fn junit(out: &Path) -> PathBuf {
    out.with_extension("xml")
}

fn try_row(row: &Row, folder: &Path, out: &Path) -> Result<()> {
    let image = image(folder, row.image);
    let before = fs::read(&image)?;
    let output = windows(&image, out)?
        .arg("--json")
        .args(row.arguments.split_whitespace())
        .output()?;
    ensure!(fs::read(&image)? == before, "the image has changed");
    judge(row, &output, out).with_context(|| {
        format!(
            "{}{}",
            String::from_utf8_lossy(&output.stderr),
            String::from_utf8_lossy(&output.stdout)
        )
    })
}

/// Holds all that a run has left behind against its row.
fn judge(row: &Row, output: &Output, out: &Path) -> Result<()> {
    let code = i32::from(row.verdict != "seen");
    ensure!(output.status.code() == Some(code), "{}", output.status);
    let report: Value = serde_json::from_slice(&output.stdout)
        .context("standard output is not one JSON object and nothing more")?;
    ensure!(report["verdict"] == row.verdict, "the verdict");
    ensure!(report["ok"] == (code == 0), "ok is {}", report["ok"]);
    ensure!(report["events"] == json!(row.events), "the events");
    let up = report["up"]["by"].as_str().unwrap_or_default();
    ensure!(up == row.up, "up by {up:?}");
    let restarts = report["restarts"].as_u64().unwrap_or(u64::MAX);
    let restarted = row.verdict.starts_with("restart");
    ensure!((restarts > 0) == restarted, "{restarts} restarts");

    let mut files: Vec<String> = fs::read_dir(out)?
        .map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()))
        .collect::<Result<_>>()?;
    files.sort();
    let expected = if row.up.is_empty() {
        &["end.png", "serial.log"][..]
    } else {
        &["crash.png", "serial.log", "up.png"]
    };
    ensure!(files == expected, "the output folder has {files:?}");
    for picture in files.iter().filter(|name| name.ends_with("png")) {
        let picture = fs::read(out.join(picture))?;
        ensure!(picture.starts_with(b"\x89PNG\r\n"), "a picture is no PNG");
    }
    let serial = fs::read(out.join("serial.log"))?;
    let serial = String::from_utf8_lossy(&serial);
    let stops: Vec<&str> = serial
        .lines()
        .filter_map(|line| {
            line.strip_prefix("{\"bugcheck\":{\"code\":\"")?
                .split('"')
                .next()
        })
        .collect();
    ensure!(
        stops.concat() == row.stop,
        "the guest crashed with {stops:?}"
    );

    let cases = match (row.verdict, row.up) {
        ("seen", _) => "ok ok",
        (_, "") => "failure skipped",
        _ => "ok failure",
    };
    let read = read_junit(out)?;
    ensure!(read.starts_with(&format!("{cases}\n")), "JUnit: {read}");
    ensure!(
        read.trim_end().ends_with(&format!(
            "{NAME}.{} comes up",
            if row.image.contains('.') {
                "qcow2"
            } else {
                ENDING
            }
        )),
        "JUnit: {read}"
    );
    let reason = report["reason"].as_str().context("no reason")?;
    let failure = format!("\n{} {reason}\n", row.verdict);
    ensure!(code == 0 || read.contains(&failure), "JUnit: {read}");
    ensure!(read.contains("lets the guest run"), "JUnit: {read}");
    Ok(())
}

/// The `JUnit` file of a run, as another reader tells it.
fn read_junit(out: &Path) -> Result<String> {
    tool(
        Command::new("python3")
            .args(["-c", JUNIT_READER])
            .arg(junit(out)),
    )
}

/// What can't be tried is refused, with words that help.
fn errors(tally: &mut Tally, folder: &Path) {
    let write = |name: &str, content: &[u8]| -> Result<PathBuf> {
        let path = folder.join(name);
        fs::write(&path, content)?;
        Ok(path)
    };
    let text = b"This is no disk.\n";
    let mut vhd = vec![0; 1024];
    vhd[512..520].copy_from_slice(b"conectix");
    let mut damaged = b"QFI\xFB\0\0\0\x03".to_vec();
    damaged.resize(4096, 0xEE);
    let cases: [(&str, Result<PathBuf>, &str, &str); 8] = [
        (
            "no image",
            Ok(folder.join("nowhere.qcow2")),
            "",
            "can't read the image",
        ),
        ("a folder", Ok(folder.to_owned()), "", "is no file"),
        ("a text", write("text", text), "", "is no disk image"),
        (
            "an empty file",
            write("nothing", b""),
            "",
            "is no disk image",
        ),
        (
            "a VHD image",
            write("disk.vhd", &vhd),
            "",
            "qemu-img convert -O qcow2",
        ),
        (
            "a damaged image",
            write("disk.qcow2", &damaged),
            "",
            "was not booted",
        ),
        (
            "an option that there is not",
            Ok(image(folder, "empty")),
            "--crash power",
            "--crash takes nmi, keyboard",
        ),
        (
            "an argument that QEMU refuses",
            Ok(image(folder, "empty")),
            "-- -nonsense",
            "-nonsense: invalid option",
        ),
    ];
    for (name, path, arguments, words) in cases {
        let result = path.and_then(|path| {
            let out = folder.join(name);
            let output = windows(&path, &out)?
                .args(["--boot-timeout", "1"])
                .args(arguments.split_whitespace())
                .output()?;
            refused(&output, words)?;
            // A command line that is no command leaves nothing behind.
            if arguments.starts_with("--crash") {
                ensure!(!junit(&out).exists(), "it left a JUnit file behind");
                return Ok(());
            }
            let read = read_junit(&out)?;
            ensure!(
                read.starts_with("error\n") && read.contains(words),
                "JUnit: {read}"
            );
            Ok(())
        });
        tally.check(name, result);
    }
}

/// The run must have been refused, with these words.
fn refused(output: &Output, words: &str) -> Result<()> {
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.code() == Some(2), "{}: {said}", output.status);
    ensure!(said.contains(words), "without a word of {words:?}: {said}");
    Ok(())
}

fn for_people(folder: &Path) -> Result<()> {
    let output = windows(&image(folder, "empty"), &folder.join("people"))?
        .args(["--boot-timeout", "2"])
        .output()?;
    let said = String::from_utf8_lossy(&output.stdout);
    ensure!(output.status.code() == Some(1), "{}: {said}", output.status);
    for words in [
        " on q35 with BIOS, disk on ide, pvpanic, crashed by NMI\n\n   0.000 s  host   QEMU ",
        "\n\nNothing was booted from the disk within 2 s.",
        "serial log are in ",
    ] {
        ensure!(said.contains(words), "without {words:?}: {said}");
    }
    Ok(())
}

fn killed(folder: &Path) -> Result<()> {
    let out = folder.join("killed");
    let (child, qemu) = running(&image(folder, "hung"), &out)?;
    // The shell's own: not every system has another.
    tool(Command::new("sh").args(["-c", &format!("kill -KILL {qemu}")]))?;
    let output = child.wait_with_output()?;
    refused(&output, "QEMU died (signal: 9")?;
    ensure!(
        read_junit(&out)?.starts_with("error\n"),
        "JUnit has no error"
    );
    Ok(())
}

fn orphaned(folder: &Path) -> Result<()> {
    let (mut child, qemu) = running(&image(folder, "hung"), &folder.join("orphaned"))?;
    child.kill()?;
    child.wait()?;
    let deadline = Instant::now() + DEADLINE;
    // Of a process that has ended, and that nobody has waited for, it is empty.
    let arguments = Path::new("/proc").join(&qemu).join("cmdline");
    while fs::read(&arguments).is_ok_and(|arguments| !arguments.is_empty()) {
        ensure!(
            Instant::now() < deadline,
            "QEMU, process {qemu}, runs on: end it by hand"
        );
        thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}

/// The command on a guest that never comes up, as soon as it runs, and its QEMU's
/// process.
fn running(image: &Path, out: &Path) -> Result<(Child, String)> {
    let mut child = windows(image, out)?
        .args(["--still", "3000", "--boot-timeout", "3000"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    let said = child.stdout.take().context("no standard output")?;
    let mut lines = BufReader::new(said).lines().map_while(Result::ok);
    if !lines.any(|line| line.contains("lets the guest run")) {
        child.kill()?;
        let output = child.wait_with_output()?;
        bail!(
            "the guest was not started: {}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
    let children = format!("/proc/{0}/task/{0}/children", child.id());
    let qemu = fs::read_to_string(children)?.trim().to_owned();
    Ok((child, qemu))
}

fn in_use(folder: &Path) -> Result<()> {
    let image = image(folder, "empty");
    let log = folder.join("other.log");
    let mut other = Command::new("qemu-system-x86_64")
        .args(["-display", "none", "-S", "-drive"])
        .arg(format!("format=raw,file={}", escape(&image)?))
        .arg("-serial")
        .arg(format!("file:{}", log.display()))
        .spawn()?;
    let result = wait_for(&mut other, || log.exists()).and_then(|()| {
        let output = windows(&image, &folder.join("in use"))?
            .args(["--boot-timeout", "1"])
            .output()?;
        refused(&output, "Is another process using the image")
    });
    other.kill()?;
    other.wait()?;
    result
}

/// Waits until it is `done`, as long as the process runs.
fn wait_for(process: &mut Child, done: impl Fn() -> bool) -> Result<()> {
    let deadline = Instant::now() + DEADLINE;
    while !done() {
        if let Some(status) = process.try_wait()? {
            bail!("it ended by itself ({status})");
        }
        ensure!(
            Instant::now() < deadline,
            "nothing happened within {DEADLINE:?}"
        );
        thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}
