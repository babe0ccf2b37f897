//! `windows-image`: a disk image with Windows and the driver, from Microsoft's
//! medium, without anybody at the keyboard.

pub mod answers;
pub mod media;
mod options;

use std::{
    env,
    fs::{self, File},
    io::{ErrorKind, Read, Seek, SeekFrom},
    path::{Path, PathBuf},
    process::{Command, ExitCode, Stdio},
};

use anyhow::{Context, Result, bail, ensure};
use e2e::{
    install::{self, Config, Outcome, Verdict},
    matrix::{ISA, PCI},
    windows::Firmware,
};
use kit::Architecture;

pub use self::options::Options;
use crate::{package::packer, run::exit, story};

/// The machine, the same as that of `windows`.
const MACHINE: &str = "q35";

/// Installs Windows and tells what came of it.
///
/// # Errors
///
/// If it could not be tried at all.
pub fn windows_image(options: &Options) -> Result<ExitCode> {
    check_files(options)?;
    // Before anything is built.
    answers::answer_file(options)?;
    kit::setup(kit::Purpose::Pack)?;
    let target = kit::root().join("target");
    let name = options.out.file_stem().unwrap_or_default();
    let folder = target.join("windows-image").join(name);
    let made = folder.join("package");
    sign(&made)?;
    let tree = folder.join("cd");
    if tree.exists() {
        fs::remove_dir_all(&tree).with_context(|| format!("can't delete {}", tree.display()))?;
    }
    let cd = folder.join("pvpanic.iso");
    media::make(options, &made.join("x64"), &target.join("sign"), &tree, &cd)?;
    let outcome = install(options, &cd, &folder)?;
    println!("\n{}", reason(options, &outcome));
    println!(
        "The last screen and the serial log are in {}.",
        folder.display()
    );
    Ok(exit(outcome.verdict == Verdict::Installed))
}

/// Makes the package with a test signature, in the folder `out`.
///
/// # Errors
///
/// If the driver can't be built or packed.
pub fn sign(out: &Path) -> Result<()> {
    let status = packer()
        .args(["package", "--sign", "test", "--driver"])
        .arg(kit::build_driver(Architecture::X64)?)
        .arg("--out")
        .arg(out)
        .stdout(Stdio::null())
        .status()
        .context("can't run cargo")?;
    ensure!(status.success(), "the package could not be made");
    Ok(())
}

/// What the user brings is there, and what is to be made is not.
fn check_files(options: &Options) -> Result<()> {
    ensure!(
        fs::symlink_metadata(&options.out).is_err(),
        "{} is there already, and is not overwritten: delete it or name another --out",
        options.out.display()
    );
    for (option, path) in [
        ("--iso", Some(&options.iso)),
        ("--virtio-win", options.virtio_win.as_ref()),
    ] {
        if let Some(path) = path {
            medium(path).with_context(|| format!("{option} {}", path.display()))?;
        }
    }
    if let Some(script) = &options.script {
        File::open(script).with_context(|| format!("--script {}", script.display()))?;
    }
    Ok(())
}

/// Whether a file is the image of a CD: the descriptor of ISO 9660, which
/// Microsoft's media have beside UDF.
fn medium(path: &Path) -> Result<()> {
    let mut file = File::open(path)?;
    ensure!(file.metadata()?.is_file(), "it is no file");
    let mut descriptor = [0; 6];
    file.seek(SeekFrom::Start(16 * 2048))?;
    match file.read_exact(&mut descriptor) {
        Err(error) if error.kind() != ErrorKind::UnexpectedEof => Err(error.into()),
        Ok(()) if descriptor[1..] == *b"CD001" => Ok(()),
        _ => bail!("it is no image of a CD or DVD"),
    }
}

/// Runs Setup on a new disk beside the one that is wanted. Only a disk that is
/// complete gets the name.
///
/// # Errors
///
/// If QEMU can't be run or a file can't be written.
pub fn install(options: &Options, cd: &Path, folder: &Path) -> Result<Outcome> {
    let mut name = options.out.clone().into_os_string();
    name.push(".unfinished");
    let disk = Unfinished(PathBuf::from(name));
    disk.create(options.size)?;
    let config = config(options, cd, &disk.0, folder)?;
    let mut start = None;
    let outcome = install::run(&config, &mut |moment| {
        let start = *start.get_or_insert(moment.at);
        println!(
            "{}",
            story::moment(start, moment.at, moment.who, &moment.what)
        );
    })?;
    if outcome.verdict == Verdict::Installed {
        // Unlike renaming, this does not replace a file that came meanwhile.
        fs::hard_link(&disk.0, &options.out)
            .with_context(|| format!("can't write {}", options.out.display()))?;
    }
    Ok(outcome)
}

/// The machine for Setup.
///
/// # Errors
///
/// If the working folder can't be asked for.
pub fn config(options: &Options, cd: &Path, disk: &Path, folder: &Path) -> Result<Config> {
    let mut cds = vec![options.iso.clone(), cd.to_owned()];
    cds.extend(options.virtio_win.clone());
    Ok(Config {
        cds,
        disk: disk.to_owned(),
        machine: MACHINE.to_owned(),
        firmware: options.firmware,
        accelerator: options.accelerator.clone(),
        devices: vec![ISA.to_owned(), PCI.to_owned()],
        agent: options.virtio_win.is_some(),
        timeout: options.timeout,
        stuck: options.stuck,
        out: env::current_dir()?.join(folder),
    })
}

/// A disk that is being written, deleted when dropped.
struct Unfinished(PathBuf);

impl Unfinished {
    fn create(&self, gibibytes: u32) -> Result<()> {
        let output = Command::new("qemu-img")
            .args(["create", "-q", "-f", "qcow2"])
            .arg(&self.0)
            .arg(format!("{gibibytes}G"))
            .output()
            .context("can't run qemu-img: `cargo xtask setup` installs it")?;
        ensure!(
            output.status.success(),
            "qemu-img: {}",
            String::from_utf8_lossy(&output.stderr).trim()
        );
        Ok(())
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        // It may never have been there.
        let _ = fs::remove_file(&self.0);
    }
}

/// What came of it, in words.
fn reason(options: &Options, outcome: &Outcome) -> String {
    let minutes = outcome.time.as_secs() / 60;
    match &outcome.verdict {
        Verdict::Installed => format!(
            "{} is ready, after {minutes} minutes. Try it: cargo xtask windows --image {} \
             --firmware {}",
            options.out.display(),
            options.out.display(),
            match options.firmware {
                Firmware::Bios => "bios",
                Firmware::Uefi => "uefi",
            }
        ),
        Verdict::Failed(step) => format!(
            "The step {step:?} failed in the guest. Its log, C:\\pvpanic-image.log, is lost with \
             the disk; the last screen may say more."
        ),
        Verdict::TooEarly => "The guest switched itself off before anything was installed at its \
                              first logon."
            .to_owned(),
        Verdict::NothingWritten => {
            "The guest switched itself off and left the disk empty: is it a medium of Windows?"
                .to_owned()
        }
        Verdict::Stuck => format!(
            "Nothing changed for {} s. Setup may be asking something: is there an edition {:?} \
             on the medium, and does it need --product-key?",
            options.stuck.as_secs(),
            options.edition
        ),
        Verdict::Restarts => format!(
            "The guest restarted {} times and was not done.",
            outcome.restarts
        ),
        Verdict::Timeout => format!(
            "It was not done within {} s. Without --accel kvm it takes hours: raise --timeout.",
            options.timeout.as_secs()
        ),
    }
}
