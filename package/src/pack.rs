//! From what was built to everything that is given away.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};

use crate::commit::{self, Date};
use crate::driver_package::{self, Bench, Driver, DriverPackage};
use crate::image::{self, Architecture};
use crate::media::{self, File};
use crate::sign::{self, Key, Signing};
use crate::staging::Staging;
use crate::workspace::{self, Workspace};
use crate::{verify, windows_kit};

/// The version of the workspace.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The list of checksums beside what was made.
pub const SUMS: &str = "SHA256SUMS";

/// What to pack, and how.
#[derive(Clone, Debug)]
pub struct Order {
    /// The repository, for the INF, the commit's date and the lock file.
    pub repository: PathBuf,
    /// Cargo's target folder, where the test certificate is.
    pub target: PathBuf,
    /// The drivers, one for each architecture.
    pub drivers: Vec<Driver>,
    /// The libraries with the installers' custom actions, one for each
    /// architecture; without any there is no installer.
    pub actions: Vec<PathBuf>,
    /// Where the result goes.
    pub out: PathBuf,
    /// Who signs.
    pub signing: Signing,
}

/// What was made.
#[derive(Debug)]
pub struct Delivery {
    /// The files, relative to the output folder, with their sizes and SHA-256.
    pub artefacts: Vec<Artefact>,
    /// What was verified.
    pub verified: verify::Report,
    /// What the user has to do or to know.
    pub notes: Vec<String>,
}

/// One file that was made.
#[derive(Debug)]
pub struct Artefact {
    /// Path relative to the output folder.
    pub name: String,
    /// Size in bytes.
    pub size: usize,
    /// SHA-256 in hexadecimal.
    pub sha256: String,
}

/// Makes the package and everything that carries it. Nothing appears in the
/// output folder unless all of it could be made and verified.
///
/// # Errors
/// What could not be read, does not fit together, or could not be written.
pub fn pack(order: &Order) -> Result<Delivery> {
    ensure!(!order.drivers.is_empty(), "there is no driver to pack");
    let date = commit::date(&order.repository)?;
    let workspace = workspace::read(&order.repository)?;
    let key = order.signing.key(&order.target)?;
    fs::create_dir_all(&order.out)
        .with_context(|| format!("{} can't be made", order.out.display()))?;
    let staging = Staging::new(&order.out)?;
    let bench = Bench {
        repository: &order.repository,
        framework: workspace.framework,
        date,
        key: key.as_ref(),
        kit: &windows_kit::find(),
        within: staging.path(),
    };
    let packages: Vec<DriverPackage> = order
        .drivers
        .iter()
        .map(|driver| driver_package::make(driver, &bench))
        .collect::<Result<_>>()?;
    let mut carriers = carriers(&workspace, &packages, date, staging.path(), key.as_ref())?;
    if !order.actions.is_empty() {
        carriers.extend(installers(
            &order.actions,
            &packages,
            date,
            staging.path(),
            key.as_ref(),
        )?);
    }
    let listed = inside(&packages);
    carriers.push(File {
        name: SUMS.to_owned(),
        bytes: media::checksums(carriers.iter().chain(&listed)).into_bytes(),
    });
    place(&order.out, staging.path(), &packages, &carriers)?;
    Ok(Delivery {
        artefacts: inside(&packages)
            .iter()
            .chain(&carriers)
            .map(artefact)
            .collect(),
        verified: packages
            .into_iter()
            .flat_map(|package| package.verified)
            .collect(),
        notes: notes(order),
    })
}

/// The files in the folders, under their paths.
fn inside(packages: &[DriverPackage]) -> Vec<File> {
    packages
        .iter()
        .flat_map(|package| {
            let folder = package.architecture.name();
            package.with_symbols().into_iter().map(move |file| File {
                name: format!("{folder}/{}", file.name),
                bytes: file.bytes,
            })
        })
        .collect()
}

fn carriers(
    workspace: &Workspace,
    packages: &[DriverPackage],
    date: Date,
    within: &Path,
    key: Option<&Key>,
) -> Result<Vec<File>> {
    let base = format!("pvpanic-{VERSION}");
    let inside = inside(packages);
    let mut files = Vec::new();
    for package in packages {
        let folder = package.architecture.name();
        let content = package.with_symbols();
        let name = format!("{base}-{folder}.cab");
        let path = within.join(&name);
        fs::write(&path, media::cabinet("pvpanic", &content, date)?)?;
        if let Some(key) = key {
            sign::sign(key, &path)?;
        }
        files.push(File {
            name,
            bytes: fs::read(&path)?,
        });
        files.push(File {
            name: format!("{base}-{folder}.zip"),
            bytes: media::zip(folder, &content, date)?,
        });
    }
    files.push(File {
        name: format!("{base}.cdx.json"),
        bytes: media::sbom(workspace, VERSION, &inside, date)?.into_bytes(),
    });
    // xorriso, which writes it, is not for Windows.
    if !cfg!(windows) {
        let label = format!("PVPANIC_{}", VERSION.replace(['.', '-', '+'], "_")).to_uppercase();
        files.push(File {
            name: format!("{base}.iso"),
            bytes: media::iso(packages, &label, date, within)?,
        });
    }
    Ok(files)
}

/// The MSI of each package.
fn installers(
    actions: &[PathBuf],
    packages: &[DriverPackage],
    date: Date,
    within: &Path,
    key: Option<&Key>,
) -> Result<Vec<File>> {
    let read =
        |path: &Path| fs::read(path).with_context(|| format!("{} can't be read", path.display()));
    let mut libraries: Vec<(Architecture, Vec<u8>)> = Vec::new();
    for path in actions {
        let library = read(path)?;
        let architecture =
            image::architecture(&library).with_context(|| path.display().to_string())?;
        ensure!(
            libraries.iter().all(|(of, _)| *of != architecture),
            "{}: these are the second custom actions for {architecture}: leave out one --actions",
            path.display()
        );
        ensure!(
            packages.iter().any(|it| it.architecture == architecture),
            "{}: custom actions for {architecture}, but no driver for it: name that too, by \
             --driver, or leave them out",
            path.display()
        );
        libraries.push((architecture, library));
    }
    let mut files = Vec::new();
    for package in packages {
        let architecture = package.architecture;
        let (_, actions) = libraries
            .iter()
            .find(|(of, _)| *of == architecture)
            .with_context(|| {
                format!("no custom actions for {architecture}: name that library too, by --actions")
            })?;
        let content = |name: &str| {
            package
                .files
                .iter()
                .find(|file| file.name == name)
                .map(|file| file.bytes.as_slice())
                .with_context(|| format!("the package has no {name}"))
        };
        let msi = installer::build(&installer::Contents {
            architecture,
            inf: content("pvpanic.inf")?,
            catalogue: content("pvpanic.cat")?,
            driver: content("pvpanic.sys")?,
            status_script: &read(&installer::status_script())?,
            actions,
            version: VERSION,
            date: u64::try_from(date.seconds)?,
        })?;
        let name = format!("pvpanic-{VERSION}-{architecture}.msi");
        let path = within.join(&name);
        fs::write(&path, msi)?;
        if let Some(key) = key {
            sign::sign(key, &path)?;
        }
        files.push(File {
            name,
            bytes: read(&path)?,
        });
    }
    Ok(files)
}

/// Puts everything in place: complete in the staging folder first, then by
/// renaming, which can't leave half a file.
fn place(out: &Path, staging: &Path, packages: &[DriverPackage], carriers: &[File]) -> Result<()> {
    for file in carriers {
        fs::write(staging.join(&file.name), &file.bytes)?;
    }
    for package in packages {
        let folder = package.architecture.name();
        let into = out.join(folder);
        if into.exists() {
            fs::remove_dir_all(&into)
                .with_context(|| format!("{} can't be replaced", into.display()))?;
        }
        fs::rename(staging.join(folder), &into)
            .with_context(|| format!("{} can't be written", into.display()))?;
    }
    for file in carriers {
        let into = out.join(&file.name);
        fs::rename(staging.join(&file.name), &into)
            .with_context(|| format!("{} can't be written", into.display()))?;
    }
    Ok(())
}

/// Adds `files`, such as an installer made from the package, to what is in
/// `out`: signed with `key`, and listed in `SHA256SUMS`.
///
/// # Errors
/// There is no package in `out`, or a file can't be read, signed or written.
pub fn add(out: &Path, files: &[PathBuf], key: Option<&Key>) -> Result<Vec<Artefact>> {
    let sums = out.join(SUMS);
    let mut lines = fs::read_to_string(&sums)
        .with_context(|| format!("{} can't be read: make a package first", sums.display()))?;
    let staging = Staging::new(out)?;
    let mut added = Vec::new();
    for path in files {
        let name = path
            .file_name()
            .and_then(|name| name.to_str())
            .with_context(|| format!("{} has no name", path.display()))?;
        let staged = staging.path().join(name);
        fs::copy(path, &staged).with_context(|| format!("{} can't be read", path.display()))?;
        if let Some(key) = key {
            sign::sign(key, &staged)?;
        }
        let file = File {
            name: name.to_owned(),
            bytes: fs::read(&staged)?,
        };
        let end = format!("  {name}");
        let others = lines.lines().filter(|line| !line.ends_with(&end));
        lines = others
            .map(|line| format!("{line}\n"))
            .collect::<Vec<_>>()
            .concat()
            + &media::checksums([&file]);
        added.push(artefact(&file));
    }
    fs::write(staging.path().join(SUMS), lines)?;
    for name in added.iter().map(|file| file.name.as_str()).chain([SUMS]) {
        let into = out.join(name);
        fs::rename(staging.path().join(name), &into)
            .with_context(|| format!("{} can't be written", into.display()))?;
    }
    Ok(added)
}

fn artefact(file: &File) -> Artefact {
    Artefact {
        name: file.name.clone(),
        size: file.bytes.len(),
        sha256: media::sha256(&file.bytes),
    }
}

fn notes(order: &Order) -> Vec<String> {
    match order.signing.signer {
        sign::Signer::None => vec![
            "This package is not signed: Windows will not load the driver (Code 52), test mode or not.".to_owned(),
            "For test machines: --sign test. For everybody: sign the .cab with an EV certificate and send it to Partner Center.".to_owned(),
        ],
        sign::Signer::Test => {
            let folder = order.target.join("sign");
            vec![
                "Signed for test machines only. On each, as administrator, with Secure Boot off:".to_owned(),
                format!("  certutil -addstore Root {}", folder.join("test-root.pem").display()),
                format!("  certutil -addstore TrustedPublisher {}", folder.join("test-leaf.pem").display()),
                "  bcdedit /set testsigning on, and restart".to_owned(),
            ]
        }
        sign::Signer::Pfx(_) | sign::Signer::Pkcs11(_) => vec![
            "Windows 10 and later load a driver only with Microsoft's own signature: send the .cab to Partner Center, or use test mode.".to_owned(),
        ],
    }
}
