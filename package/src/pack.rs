//! From a `.sys` to everything that is given away.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result, bail};

use crate::catalogue::{self, Member};
use crate::commit;
use crate::image::{Image, Version};
use crate::inf::rules::{HARDWARE_IDS, Surroundings};
use crate::inf::stamp::{Framework, Stamp};
use crate::media::{self, File};
use crate::sign::{self, Key, Signing};
use crate::staging::Staging;
use crate::workspace::{self, Workspace};
use crate::{inf, verify, windows_kit};

/// The version of the workspace.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// What to pack, and how.
#[derive(Clone, Debug)]
pub struct Order {
    /// The repository, for the INF, the commit's date and the lock file.
    pub repository: PathBuf,
    /// Cargo's target folder, where the test certificate is.
    pub target: PathBuf,
    /// `pvpanic.sys`.
    pub driver: PathBuf,
    /// `pvpanic.pdb`.
    pub symbols: PathBuf,
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
    let date = commit::date(&order.repository)?;
    let workspace = workspace::read(&order.repository)?;
    let read =
        |path: &Path| fs::read(path).with_context(|| format!("{} can't be read", path.display()));
    let symbols = read(&order.symbols)?;
    let driver = read(&order.driver)?;
    let image = Image::read(&driver).with_context(|| order.driver.display().to_string())?;
    let key = order.signing.key(&order.target)?;

    fs::create_dir_all(&order.out)
        .with_context(|| format!("{} can't be made", order.out.display()))?;
    let staging = Staging::new(&order.out)?;
    let folder = staging.path().join(image.architecture.folder());
    fs::create_dir(&folder)?;

    let path = folder.join("pvpanic.sys");
    fs::write(&path, &driver)?;
    if let Some(key) = &key {
        sign::sign(key, &path)?;
    }
    // After signing, which may pad the image and so change its digest.
    let driver = fs::read(&path)?;
    let image = Image::read(&driver)?;
    let inf = stamped(&order.repository, &image, workspace.framework, date)?;
    let path = folder.join("pvpanic.inf");
    fs::write(&path, &inf)?;
    let kit = windows_kit::find();
    kit.verify_inf(&path)?;
    let members = [
        Member::image("pvpanic.sys", &image),
        Member::flat("pvpanic.inf", &inf),
    ];
    let path = folder.join("pvpanic.cat");
    if !kit.make_catalogue(&folder, image.architecture)? {
        fs::write(
            &path,
            catalogue::write(&members, &HARDWARE_IDS, image.architecture, date)?,
        )?;
    }
    if let Some(key) = &key {
        sign::sign(key, &path)?;
        sign::check_certificate(&fs::read(&path)?, now()?)?;
    }
    let verified = verify::verify(&folder, None)?;

    let file = |name: &str, bytes: Vec<u8>| File {
        name: name.to_owned(),
        bytes,
    };
    let package = [
        file("pvpanic.cat", fs::read(&path)?),
        file("pvpanic.inf", inf),
        file("pvpanic.sys", driver),
    ];
    let mut with_symbols = package.to_vec();
    with_symbols.push(file("pvpanic.pdb", symbols));
    let carriers = carriers(
        &workspace,
        &image,
        &package,
        &with_symbols,
        date,
        &staging,
        key.as_ref(),
    )?;
    let delivered = place(
        order,
        &staging,
        image.architecture.folder(),
        &with_symbols,
        &carriers,
    )?;
    Ok(Delivery {
        artefacts: delivered,
        verified,
        notes: notes(order),
    })
}

fn now() -> Result<u64> {
    Ok(SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs())
}

/// The INF, stamped and linted.
fn stamped(
    repository: &Path,
    image: &Image,
    framework: Framework,
    date: commit::Date,
) -> Result<Vec<u8>> {
    let path = repository.join("inf/pvpanic.inx");
    let source =
        fs::read_to_string(&path).with_context(|| format!("{} can't be read", path.display()))?;
    let inf = inf::stamp::stamp(
        &source,
        Stamp {
            architecture: image.architecture,
            date,
            version: Version::parse(VERSION)?,
            framework,
        },
    )?;
    let surroundings = Surroundings {
        files: vec!["pvpanic.sys".to_owned()],
        architecture: image.architecture,
        version: image.version,
    };
    let findings = inf::lint(inf.as_bytes(), &surroundings);
    if !findings.is_empty() {
        let list: Vec<String> = findings
            .iter()
            .map(|finding| format!("{}: {finding}", path.display()))
            .collect();
        bail!("the INF breaks {} rules:\n{}", list.len(), list.join("\n"));
    }
    Ok(inf.into_bytes())
}

fn carriers(
    workspace: &Workspace,
    image: &Image,
    package: &[File],
    with_symbols: &[File],
    date: commit::Date,
    staging: &Staging,
    key: Option<&Key>,
) -> Result<Vec<File>> {
    let folder = image.architecture.folder();
    let base = format!("pvpanic-{VERSION}");
    let cabinet = format!("{base}-{folder}.cab");
    let path = staging.path().join(&cabinet);
    fs::write(&path, media::cabinet("pvpanic", with_symbols, date)?)?;
    if let Some(key) = key {
        sign::sign(key, &path)?;
    }
    let label = format!("PVPANIC_{}", VERSION.replace(['.', '-', '+'], "_")).to_uppercase();
    let mut files = vec![
        File {
            name: cabinet,
            bytes: fs::read(&path)?,
        },
        File {
            name: format!("{base}-{folder}.zip"),
            bytes: media::zip(folder, with_symbols, date)?,
        },
        File {
            name: format!("{base}.cdx.json"),
            bytes: media::sbom(workspace, VERSION, with_symbols, date)?.into_bytes(),
        },
        File {
            name: format!("{base}.iso"),
            bytes: media::iso(package, image.architecture, &label, date, staging.path())?,
        },
    ];
    let inside: Vec<(String, &[u8])> = with_symbols
        .iter()
        .map(|file| (format!("{folder}/{}", file.name), &file.bytes[..]))
        .collect();
    let sums = media::checksums(
        files
            .iter()
            .map(|file| (file.name.as_str(), &file.bytes[..]))
            .chain(inside.iter().map(|(name, bytes)| (name.as_str(), *bytes))),
    );
    files.push(File {
        name: "SHA256SUMS".to_owned(),
        bytes: sums.into_bytes(),
    });
    Ok(files)
}

/// Puts everything in place: complete in the staging folder first, then by
/// renaming, which can't leave half a file.
fn place(
    order: &Order,
    staging: &Staging,
    folder: &str,
    package: &[File],
    carriers: &[File],
) -> Result<Vec<Artefact>> {
    let inner = staging.path().join(folder);
    for file in package {
        fs::write(inner.join(&file.name), &file.bytes)?;
    }
    for file in carriers {
        fs::write(staging.path().join(&file.name), &file.bytes)?;
    }
    let into = order.out.join(folder);
    if into.exists() {
        fs::remove_dir_all(&into)
            .with_context(|| format!("{} can't be replaced", into.display()))?;
    }
    fs::rename(&inner, &into)?;
    for file in carriers {
        fs::rename(staging.path().join(&file.name), order.out.join(&file.name))?;
    }
    let artefact = |name: String, bytes: &[u8]| Artefact {
        name,
        size: bytes.len(),
        sha256: media::sha256(bytes),
    };
    Ok(package
        .iter()
        .map(|file| artefact(format!("{folder}/{}", file.name), &file.bytes))
        .chain(
            carriers
                .iter()
                .map(|file| artefact(file.name.clone(), &file.bytes)),
        )
        .collect())
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
