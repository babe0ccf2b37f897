//! `windows-image`: a disk image with Windows and the driver, from Microsoft's
//! medium, without anybody at the keyboard.

pub mod answers;
pub mod media;
mod options;

use std::{
    env,
    fs::{self, File},
    io::{ErrorKind, Read, Seek, SeekFrom},
    mem,
    path::{self, Path, PathBuf},
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
    let out = path::absolute(&options.out).context("--out")?;
    ensure!(
        out.parent().is_some_and(Path::is_dir),
        "--out {}: there is no such folder: make it or name another",
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
    let disk = Unfinished::create(PathBuf::from(name), options.size)?;
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
        disk.finish(&options.out)?;
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
    /// Makes the disk. One that another run is using is locked by its QEMU: it
    /// stays, and is not this run's to delete.
    ///
    /// # Errors
    ///
    /// If qemu-img can't make it.
    fn create(path: PathBuf, gibibytes: u32) -> Result<Self> {
        let output = Command::new("qemu-img")
            .args(["create", "-q", "-f", "qcow2"])
            .arg(&path)
            .arg(format!("{gibibytes}G"))
            .output()
            .context("can't run qemu-img: `cargo xtask setup` installs it")?;
        ensure!(
            output.status.success(),
            "qemu-img: {}",
            String::from_utf8_lossy(&output.stderr).trim()
        );
        Ok(Self(path))
    }

    /// Gives the disk, which is complete, its name.
    ///
    /// # Errors
    ///
    /// If it can't have that name. Then it is kept under the one that it has.
    fn finish(self, out: &Path) -> Result<()> {
        // Unlike renaming, this does not replace a file that came meanwhile.
        let Err(error) = fs::hard_link(&self.0, out) else {
            return Ok(());
        };
        let (out, disk) = (out.display(), self.0.display());
        let message = format!(
            "the image can't be called {out}. It is complete in {disk}: rename it before it is \
             replaced by the next run with --out {out}"
        );
        // It took hours.
        mem::forget(self);
        Err(error).context(message)
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        // What is left is replaced by the next run.
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

#[cfg(test)]
mod tests {
    use std::io::Write;

    use e2e::qemu::Folder;
    use lexopt::Parser;

    use super::*;

    #[test]
    fn a_missing_folder_for_the_image_is_noticed_before_anything_is_built() {
        let folder = Folder::new().expect("a folder");
        let out = folder.join("nowhere/golden.qcow2");
        let out = out.to_str().expect("UTF-8");
        let options = Options::parse(&mut Parser::from_args([
            "--iso",
            "no.iso",
            "--release",
            "2022",
            "--out",
            out,
        ]))
        .expect("the options are fine");
        let error = check_files(&options).expect_err("there is no folder");
        assert!(error.to_string().contains("no such folder"), "{error:#}");
    }

    #[test]
    fn a_disk_is_deleted_unless_it_is_finished() {
        let folder = Folder::new().expect("a folder");
        let (disk, out) = (folder.join("disk"), folder.join("out"));
        drop(Unfinished::create(disk.clone(), 1).expect("a disk"));
        assert!(!disk.exists());
        let unfinished = Unfinished::create(disk.clone(), 1).expect("a disk");
        unfinished.finish(&out).expect("nothing has that name");
        assert!(!disk.exists());
        assert!(out.exists());
    }

    #[test]
    fn a_complete_disk_that_can_not_have_its_name_is_kept() {
        let folder = Folder::new().expect("a folder");
        let (disk, out) = (folder.join("disk"), folder.join("out"));
        let unfinished = Unfinished::create(disk.clone(), 1).expect("a disk");
        fs::write(&out, "came meanwhile").expect("a file");
        let error = unfinished.finish(&out).expect_err("the name is taken");
        assert!(
            error
                .to_string()
                .contains(&format!("complete in {}", disk.display())),
            "{error:#}"
        );
        assert!(disk.exists());
        assert_eq!(fs::read(&out).expect("a file"), b"came meanwhile");
    }

    #[test]
    fn a_disk_that_another_run_is_using_stays() {
        let folder = Folder::new().expect("a folder");
        let disk = folder.join("disk");
        let theirs = Unfinished::create(disk.clone(), 1).expect("a disk");
        let mut user = Command::new("qemu-io")
            .arg(&disk)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("qemu-io, of the package of qemu-img");
        // Its prompt comes when the disk is open.
        let mut prompt = [0];
        user.stdout
            .as_mut()
            .expect("a pipe")
            .read_exact(&mut prompt)
            .expect("a prompt");
        let error = Unfinished::create(disk.clone(), 1).map(drop);
        let stays = disk.exists();
        user.stdin
            .take()
            .expect("a pipe")
            .write_all(b"quit\n")
            .expect("it reads");
        user.wait().expect("it ends");
        drop(theirs);
        let error = error.expect_err("it is locked");
        assert!(error.to_string().contains("lock"), "{error:#}");
        assert!(stays);
    }
}
