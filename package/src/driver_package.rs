//! The folder for one architecture: INF, catalogue, driver and symbols.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result, bail};

use crate::catalogue::{self, Member};
use crate::commit::Date;
use crate::image::{Architecture, Image, Version};
use crate::inf::rules::{HARDWARE_IDS, Surroundings};
use crate::inf::stamp::{Framework, Stamp};
use crate::media::File;
use crate::pack::VERSION;
use crate::sign::{self, Key};
use crate::windows_kit::Kit;
use crate::{inf, verify};

/// A driver that was built.
#[derive(Clone, Debug)]
pub struct Driver {
    /// `pvpanic.sys`.
    pub image: PathBuf,
    /// `pvpanic.pdb`.
    pub symbols: PathBuf,
}

/// What every folder is made with.
#[derive(Debug)]
pub struct Bench<'a> {
    /// The repository, for the INF.
    pub repository: &'a Path,
    /// The framework that the driver is built for.
    pub framework: Framework,
    /// The date of the package.
    pub date: Date,
    /// Whose signature, if any.
    pub key: Option<&'a Key>,
    /// The kit's tools, if they are there.
    pub kit: &'a Kit,
    /// Where the folder is made.
    pub within: &'a Path,
}

/// A folder that was made.
#[derive(Debug)]
pub struct DriverPackage {
    /// For which processors.
    pub architecture: Architecture,
    /// What Windows takes: catalogue, INF and driver.
    pub files: Vec<File>,
    /// What a debugger takes.
    pub symbols: File,
    /// What was verified.
    pub verified: verify::Report,
}

impl DriverPackage {
    /// All files.
    #[must_use]
    pub fn with_symbols(&self) -> Vec<File> {
        let mut files = self.files.clone();
        files.push(self.symbols.clone());
        files
    }
}

/// Makes and verifies the folder for `driver`.
///
/// # Errors
/// What could not be read or signed, or does not fit together.
pub fn make(driver: &Driver, bench: &Bench<'_>) -> Result<DriverPackage> {
    let symbols = read(&driver.symbols)?;
    let unsigned = read(&driver.image)?;
    let image = Image::read(&unsigned).with_context(|| driver.image.display().to_string())?;
    let folder = bench.within.join(image.architecture.name());
    fs::create_dir(&folder)
        .with_context(|| format!("two drivers for {}", image.architecture.name()))?;
    let (sys, inf, cat) = (
        folder.join("pvpanic.sys"),
        folder.join("pvpanic.inf"),
        folder.join("pvpanic.cat"),
    );

    fs::write(&sys, &unsigned)?;
    if let Some(key) = bench.key {
        sign::sign(key, &sys)?;
    }
    // After signing, which may pad the image and so change its digest.
    let signed = fs::read(&sys)?;
    let image = Image::read(&signed)?;
    let text = stamped(bench, &image)?;
    fs::write(&inf, &text)?;
    bench.kit.verify_inf(&inf)?;

    let members = [
        Member::image("pvpanic.sys", &image),
        Member::flat("pvpanic.inf", &text),
    ];
    if !bench.kit.make_catalogue(&folder, image.architecture)? {
        let list = catalogue::write(&members, &HARDWARE_IDS, image.architecture, bench.date)?;
        fs::write(&cat, list)?;
    }
    if let Some(key) = bench.key {
        sign::sign(key, &cat)?;
        let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
        sign::check_certificate(&fs::read(&cat)?, now)?;
    }
    fs::write(folder.join("pvpanic.pdb"), &symbols)?;
    let file = |name: &str, bytes| File {
        name: name.to_owned(),
        bytes,
    };
    Ok(DriverPackage {
        architecture: image.architecture,
        verified: verify::verify(&folder, bench.key.and_then(Key::root))?,
        files: vec![
            file("pvpanic.cat", fs::read(&cat)?),
            file("pvpanic.inf", text),
            file("pvpanic.sys", signed),
        ],
        symbols: file("pvpanic.pdb", symbols),
    })
}

fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).with_context(|| format!("{} can't be read", path.display()))
}

/// The INF, stamped and linted.
fn stamped(bench: &Bench<'_>, image: &Image) -> Result<Vec<u8>> {
    let path = bench.repository.join("inf/pvpanic.inx");
    let source =
        fs::read_to_string(&path).with_context(|| format!("{} can't be read", path.display()))?;
    let text = inf::stamp::stamp(
        &source,
        Stamp {
            architecture: image.architecture,
            date: bench.date,
            version: Version::parse(VERSION)?,
            framework: bench.framework,
        },
    )?;
    let surroundings = Surroundings {
        files: vec!["pvpanic.sys".to_owned()],
        architecture: image.architecture,
        version: image.version,
    };
    let findings = inf::lint(text.as_bytes(), &surroundings);
    if !findings.is_empty() {
        // Stamping keeps the lines, so that theirs are the source's.
        let list: Vec<String> = findings
            .iter()
            .map(|finding| format!("{}:{finding}", path.display()))
            .collect();
        bail!("the INF breaks {} rules:\n{}", list.len(), list.join("\n"));
    }
    Ok(text.into_bytes())
}
