//! `windows-image`, as far as it goes without Windows: the answer file, the driver
//! CD, the machine, and every way in which Setup can end, on a stand-in.

use std::{
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use anyhow::{Context, Result, bail, ensure};
use e2e::{
    install::{self, Verdict},
    qemu::Folder,
};
use lexopt::Parser;

use super::{Tally, parallel, unit::succeed};
use crate::windows_image::{self, Options, answers, media};

/// Releases and firmware: everything that the answer file depends on.
const CASES: &[(&str, &str)] = &[
    ("2016", "bios"),
    ("2016", "uefi"),
    ("2019", "bios"),
    ("2019", "uefi"),
    ("2022", "bios"),
    ("2022", "uefi"),
    ("2025", "bios"),
    ("2025", "uefi"),
    ("10", "bios"),
    ("10", "uefi"),
    ("11", "uefi"),
];

/// Faults for an answer file: what to find, what to put there, and a word of what
/// must be said.
const FAULTS: &[(&str, &str, &str)] = &[
    (
        "<WillWipeDisk>true</WillWipeDisk>",
        "<WipeDisk>true</WipeDisk>",
        "is no setting",
    ),
    (
        "Microsoft-Windows-Shell-Setup",
        "Microsoft-Windows-Shell",
        "is no setting",
    ),
    (
        "pass=\"windowsPE\"",
        "pass=\"specialize\"",
        "is not for the pass specialize",
    ),
    ("<AcceptEula>true", "<AcceptEula>yes", "can't be \"yes\""),
    ("<Type>MSR", "<Type>Reserved", "can't be \"Reserved\""),
    ("<DiskID>0", "<DiskID>first", "can't be \"first\""),
    ("<LogonCount>1", "<LogonCount>", "can't be \"\""),
    (
        "<Disk wcm:action=\"add\">",
        "<Disk>",
        "Disk has no wcm:action",
    ),
    ("amd64", "x64", "processorArchitecture is not amd64"),
    (
        "unattend xmlns=\"urn:schemas",
        "unattend xmlns=\"urn:schema",
        "the root is",
    ),
    ("<Order>2", "<Order>3", "out of order"),
    (
        "<PartitionID>3</PartitionID>\n          </InstallTo>",
        "<PartitionID>2</PartitionID>\n          </InstallTo>",
        "which is not NTFS",
    ),
    (
        "<Username>Administrator",
        "<Username>root",
        "nobody but Administrator",
    ),
    (
        "<Value>Change-Me-1",
        "<Value>Another",
        "is not the account's",
    ),
    (
        r"if exist %d:\pvpanic-image.cmd call %d:\pvpanic-image.cmd",
        "nothing",
        "nothing runs the program",
    ),
    (
        "<TimeZone>UTC</TimeZone>",
        "<TimeZone>UTC</TimeZone><TimeZone>UTC</TimeZone>",
        "stands there twice",
    ),
    ("</unattend>", "", "is no XML"),
];

/// What the stand-in does, and how it must end. Each is stuck sooner than Windows.
const ENDS: &[(&str, Verdict)] = &[
    ("INSTALLS", Verdict::Installed),
    ("STUCK", Verdict::Stuck),
    ("SLOW", Verdict::Timeout),
    ("RESTARTS", Verdict::Restarts),
    ("EARLY", Verdict::TooEarly),
    ("EMPTY", Verdict::NothingWritten),
    ("FAILS", Verdict::Failed(String::new())),
];

/// Runs the suite.
pub fn run(tally: &mut Tally) -> Result<()> {
    for (release, firmware) in CASES {
        tally.check(
            &format!("the answer file for {release} with {firmware} keeps every rule"),
            options(&[
                "--release",
                release,
                "--firmware",
                firmware,
                "--product-key",
                "AAAAA-BBBBB-CCCCC-DDDDD-EEEEE",
            ])
            .and_then(|options| answers::answer_file(&options))
            .map(drop),
        );
    }
    let sound = answers::answer_file(&options(&["--release", "11"])?)?;
    for fault in FAULTS {
        tally.check(&format!("refused: {}", fault.2), refused(&sound, fault));
    }
    tally.check("what is a user's own is escaped or refused", own_values());
    tally.check("only Windows 11 is told not to check the machine", checks());
    tally.check("the machine has no Secure Boot", secure_boot());

    let folder = kit::root().join("target/windows-image/test");
    if folder.exists() {
        fs::remove_dir_all(&folder)
            .with_context(|| format!("can't delete {}", folder.display()))?;
    }
    fs::create_dir_all(&folder)?;
    tally.check("the driver CD reads back as it should", driver_cd(&folder));

    let cd = folder.join("pvpanic.iso");
    parallel::in_order(
        parallel::WAITING,
        ENDS,
        |(mode, verdict)| end(mode, &folder.join(mode), &cd, verdict),
        |(_, verdict), result| {
            tally.check(&format!("a Setup that {}", sentence(verdict)), result);
        },
    );
    tally.check("an image that is there is not overwritten", kept(&folder));
    tally.check("what is no medium is refused", no_medium(&folder));
    Ok(())
}

const fn sentence(verdict: &Verdict) -> &'static str {
    match verdict {
        Verdict::Installed => "waits for a key, restarts and is done leaves an image",
        Verdict::Failed(_) => "says what failed leaves none",
        Verdict::TooEarly => "switches itself off too early leaves none",
        Verdict::NothingWritten => "writes nothing leaves none",
        Verdict::Stuck => "does nothing any more leaves none",
        Verdict::Restarts => "restarts endlessly leaves none",
        Verdict::Timeout => "takes too long leaves none",
    }
}

/// Options with a medium and a name, and these.
fn options(more: &[&str]) -> Result<Options> {
    let needed = ["--iso", "windows.iso", "--out", "golden.qcow2"];
    Options::parse(&mut Parser::from_args(needed.iter().chain(more)))
}

fn refused(sound: &str, (find, replace, words): &(&str, &str, &str)) -> Result<()> {
    ensure!(sound.contains(find), "the answer file has no {find:?}");
    let text = match answers::faults(&sound.replacen(find, replace, 1)) {
        Ok(faults) => faults.join("\n"),
        Err(error) => format!("{error:#}"),
    };
    ensure!(text.contains(words), "no word of {words:?}: {text:?}");
    Ok(())
}

fn own_values() -> Result<()> {
    let edition = "R&D <Windows>";
    let text = answers::answer_file(&options(&["--release", "10", "--edition", edition])?)?;
    let document = roxmltree::Document::parse(&text)?;
    ensure!(
        document
            .descendants()
            .any(|node| node.text() == Some(edition)),
        "the edition is not in the answer file"
    );
    for bad in [
        ["--edition", ""],
        ["--password", ""],
        ["--product-key", "AAAAA-BBBBB"],
    ] {
        let options = options(&["--release", "10", bad[0], bad[1]])?;
        ensure!(
            answers::answer_file(&options).is_err(),
            "{bad:?} was accepted"
        );
    }
    Ok(())
}

fn checks() -> Result<()> {
    for (release, firmware) in CASES {
        let options = options(&["--release", release, "--firmware", firmware])?;
        let text = answers::answer_file(&options)?;
        let told = ["BypassTPMCheck", "BypassSecureBootCheck", "BypassRAMCheck"]
            .iter()
            .filter(|check| text.contains(**check))
            .count();
        ensure!(
            told == if *release == "11" { 3 } else { 0 },
            "{release}: {told} checks are turned off"
        );
    }
    Ok(())
}

/// A test signature counts only without Secure Boot: OVMF's build without it, or
/// no OVMF.
fn secure_boot() -> Result<()> {
    for (firmware, flash) in [("bios", 0), ("uefi", 2)] {
        let options = options(&["--release", "2022", "--firmware", firmware])?;
        let arguments = arguments(&options)?;
        let drives: Vec<_> = arguments
            .iter()
            .filter(|it| it.contains("if=pflash"))
            .collect();
        ensure!(drives.len() == flash, "{firmware} has {drives:?}");
        without_secure_boot(&arguments)?;
    }
    let secured = [
        "-drive",
        "if=pflash,file=/usr/share/OVMF/OVMF_CODE_4M.secboot.fd",
    ];
    ensure!(
        without_secure_boot(&secured.map(str::to_owned)).is_err(),
        "Secure Boot was not noticed"
    );
    Ok(())
}

fn without_secure_boot(arguments: &[String]) -> Result<()> {
    for argument in arguments {
        for word in ["secboot", ".ms.", "smm=on", "cfi.pflash01"] {
            ensure!(!argument.contains(word), "{argument} is for Secure Boot");
        }
    }
    Ok(())
}

/// QEMU's command line.
fn arguments(options: &Options) -> Result<Vec<String>> {
    let config = windows_image::config(
        options,
        Path::new("cd.iso"),
        Path::new("disk"),
        Path::new("out"),
    )?;
    let folder = Folder::new()?;
    let command = install::command(&config, &folder)?;
    Ok(command
        .get_args()
        .map(|argument| argument.to_string_lossy().into_owned())
        .collect())
}

/// Makes the CD with a signed package, and reads it with another program.
fn driver_cd(folder: &Path) -> Result<()> {
    let made = folder.join("package");
    windows_image::sign(&made)?;
    let script = folder.join("mine.ps1");
    fs::write(&script, "exit 0\n")?;
    let certificates = kit::root().join("target/sign");
    let package = made.join("x64");
    let tree = folder.join("cd");
    let iso = folder.join("pvpanic.iso");
    let mut arguments: Vec<OsString> = ["--release", "2022", "--dump", "active"]
        .map(OsString::from)
        .to_vec();
    arguments.extend(["--iso", "w.iso", "--out", "x", "--virtio-win", "v.iso"].map(OsString::from));
    arguments.extend(["--report-dump-end", "2", "--script"].map(OsString::from));
    arguments.push(script.clone().into());
    let options = Options::parse(&mut Parser::from_args(arguments))?;
    media::make(&options, &package, &certificates, &tree, &iso)?;

    let listing = output(Command::new("isoinfo").args(["-J", "-f", "-i"]).arg(&iso))?;
    let mut names: Vec<&str> = listing.lines().collect();
    names.sort_unstable();
    let expected = [
        "/autounattend.xml",
        "/pvpanic",
        "/pvpanic-image.cmd",
        "/pvpanic/2k22",
        "/pvpanic/2k22/amd64",
        "/pvpanic/2k22/amd64/pvpanic.cat",
        "/pvpanic/2k22/amd64/pvpanic.inf",
        "/pvpanic/2k22/amd64/pvpanic.sys",
        "/script.ps1",
        "/test-leaf.pem",
        "/test-root.pem",
    ];
    ensure!(names == expected, "the CD has {names:?}");
    let content = |name: &str| -> Result<Vec<u8>> {
        let out = Command::new("isoinfo")
            .args(["-J", "-x", name, "-i"])
            .arg(&iso)
            .output()?;
        Ok(out.stdout)
    };
    let mut sources: Vec<(String, PathBuf)> = media::PACKAGE
        .iter()
        .map(|name| (format!("/pvpanic/2k22/amd64/{name}"), package.join(name)))
        .collect();
    sources.extend(
        media::CERTIFICATES
            .iter()
            .map(|(name, _)| (format!("/{name}"), certificates.join(name))),
    );
    sources.push(("/script.ps1".to_owned(), script));
    for (name, source) in sources {
        ensure!(
            content(&name)? == fs::read(&source)?,
            "{name} is another file"
        );
    }
    let answers = String::from_utf8(content("/autounattend.xml")?)?;
    ensure!(
        answers::faults(&answers)?.is_empty(),
        "the answer file on the CD breaks rules"
    );
    program(&String::from_utf8(content("/pvpanic-image.cmd")?)?)
}

/// The program of the CD does what the options say, and names no file that the CD
/// does not have.
fn program(text: &str) -> Result<()> {
    ensure!(
        !text.replace("\r\n", "").contains('\n'),
        "a line ends without CR"
    );
    for needed in [
        "certutil -addstore Root \"%HERE%test-root.pem\"",
        "certutil -addstore TrustedPublisher \"%HERE%test-leaf.pem\"",
        "bcdedit /set testsigning on",
        r#"pnputil /add-driver "%HERE%pvpanic\2k22\amd64\pvpanic.inf" /install"#,
        r"vioserial\2k22\amd64\vioser.inf",
        r"guest-agent\qemu-ga-x86_64.msi",
        r"HKLM\SYSTEM\CurrentControlSet\Control\CrashControl /v CrashDumpEnabled /t REG_DWORD /d 1",
        r"HKLM\SYSTEM\CurrentControlSet\Control\CrashControl /v FilterPages /t REG_DWORD /d 1",
        r"HKLM\SYSTEM\CurrentControlSet\Services\pvpanic\Parameters /v ReportDumpEnd /t REG_DWORD /d 2",
        r"i8042prt\Parameters /v CrashOnCtrlScroll /t REG_DWORD /d 1",
        "\"%HERE%script.ps1\"",
        "shutdown /s",
    ] {
        ensure!(text.contains(needed), "the program has no {needed}");
    }
    let plain = media::program(&options(&["--release", "2019"])?);
    for absent in [
        "vioserial",
        "CrashDumpEnabled",
        "ReportDumpEnd",
        "script.ps1",
    ] {
        ensure!(!plain.contains(absent), "{absent} was not asked for");
    }
    Ok(())
}

fn output(command: &mut Command) -> Result<String> {
    let output = command.output()?;
    ensure!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(String::from_utf8(output.stdout)?)
}

/// A CD that boots the stand-in.
fn standin(mode: &str, folder: &Path) -> Result<PathBuf> {
    let tree = folder.join("tree");
    fs::create_dir_all(&tree)?;
    let object = folder.join("standin.o");
    let sector = tree.join("boot.bin");
    let mut clang = Command::new("/usr/lib/llvm-19/bin/clang");
    clang.args(["--target=i386-unknown-none-elf", "-c"]);
    for (number, (name, _)) in ENDS.iter().enumerate() {
        clang.arg(format!("-Wa,--defsym,{name}={number}"));
    }
    let number = ENDS.iter().position(|(name, _)| *name == mode);
    clang.arg(format!("-Wa,--defsym,MODE={}", number.context("a mode")?));
    succeed(
        clang
            .arg(kit::root().join("xtask/src/test/windows_image/standin.S"))
            .arg("-o")
            .arg(&object),
    )?;
    succeed(
        Command::new("/usr/lib/llvm-19/bin/ld.lld")
            .args(["--oformat", "binary", "-Ttext", "0x7c00", "-o"])
            .arg(&sector)
            .arg(&object),
    )?;
    ensure!(
        fs::metadata(&sector)?.len() == 512,
        "the stand-in is no sector"
    );
    let iso = folder.join("standin.iso");
    succeed(
        Command::new("xorriso")
            .args([
                "-as",
                "mkisofs",
                "-quiet",
                "-b",
                "boot.bin",
                "-no-emul-boot",
            ])
            .args(["-boot-load-size", "1", "-o"])
            .arg(&iso)
            .arg(&tree),
    )?;
    Ok(iso)
}

/// Runs the installation on a stand-in: it ends as it should, and there is an image
/// if and only if it was installed.
fn end(mode: &str, folder: &Path, cd: &Path, expected: &Verdict) -> Result<()> {
    let iso = standin(mode, folder)?;
    let out = folder.join("golden.qcow2");
    let options = with(&iso, &out)?;
    let options = if *expected == Verdict::Timeout {
        Options {
            timeout: Duration::from_secs(5),
            ..options
        }
    } else {
        options
    };
    let outcome = windows_image::install(&options, cd, &folder.join("run"))?;
    let same = match (&outcome.verdict, expected) {
        (Verdict::Failed(step), Verdict::Failed(_)) => step == "driver",
        (seen, expected) => seen == expected,
    };
    ensure!(same, "it was {outcome:?}");
    ensure!(
        out.exists() == (*expected == Verdict::Installed),
        "{} is there: {}",
        out.display(),
        out.exists()
    );
    ensure!(
        !folder.join("golden.qcow2.unfinished").exists(),
        "a half-made image is left"
    );
    if out.exists() {
        succeed(Command::new("qemu-img").args(["check", "-q"]).arg(&out))?;
        fs::remove_file(&out)?;
    }
    ensure!(
        folder.join("run/end.png").exists(),
        "there is no last picture"
    );
    Ok(())
}

/// Options for a stand-in.
fn with(iso: &Path, out: &Path) -> Result<Options> {
    let mut arguments: Vec<OsString> = ["--release", "2022", "--firmware", "bios", "--stuck", "15"]
        .map(OsString::from)
        .to_vec();
    for (option, path) in [("--iso", iso), ("--out", out)] {
        arguments.push(option.into());
        arguments.push(path.into());
    }
    Options::parse(&mut Parser::from_args(arguments))
}

fn kept(folder: &Path) -> Result<()> {
    let out = folder.join("mine.qcow2");
    fs::write(&out, "mine")?;
    let options = with(&folder.join("INSTALLS/standin.iso"), &out)?;
    said(&options, "is not overwritten")?;
    ensure!(fs::read(&out)? == b"mine", "it was overwritten");
    Ok(())
}

fn no_medium(folder: &Path) -> Result<()> {
    let text = folder.join("text.iso");
    fs::write(&text, "no CD")?;
    said(&with(&text, &folder.join("new.qcow2"))?, "no image of a CD")?;
    said(
        &with(&folder.join("nowhere.iso"), &folder.join("new.qcow2"))?,
        "No such file",
    )?;
    ensure!(!folder.join("new.qcow2").exists(), "something was written");
    Ok(())
}

/// The command refuses, with these words.
fn said(options: &Options, words: &str) -> Result<()> {
    let Err(error) = windows_image::windows_image(options) else {
        bail!("it was accepted");
    };
    let text = format!("{error:#}");
    ensure!(text.contains(words), "no word of {words:?}: {text}");
    println!("          {text}");
    Ok(())
}
