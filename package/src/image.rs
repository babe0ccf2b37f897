//! What the package needs to know of `pvpanic.sys`: machine, version resource
//! and the digests Windows looks up in the catalogue.

use std::fmt;

use anyhow::{Context as _, Result, bail};
use authenticode::PeTrait;
pub use installer::Architecture;
use object::LittleEndian as LE;
use object::pe;
use object::read::pe::{PeFile64, ResourceDirectoryEntryData};
use sha1::Sha1;
use sha2::Sha256;

/// A Windows version number, `w.x.y.z`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Version(pub [u16; 4]);

impl Version {
    /// Reads `w.x.y.z`, or Cargo's `x.y.z`, which Windows shows as `x.y.z.0`.
    ///
    /// # Errors
    /// Not three or four numbers below 65536.
    pub fn parse(text: &str) -> Result<Self> {
        let mut parts: Vec<u16> = text
            .split('.')
            .map(str::parse)
            .collect::<Result<_, _>>()
            .with_context(|| format!("{text}: a version is three or four numbers up to 65535"))?;
        if parts.len() == 3 {
            parts.push(0);
        }
        let Ok(parts) = parts.try_into() else {
            bail!("{text}: a version has three or four parts");
        };
        Ok(Self(parts))
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [major, minor, build, revision] = self.0;
        write!(f, "{major}.{minor}.{build}.{revision}")
    }
}

/// A driver image, and what is read from it.
#[derive(Clone, Debug)]
pub struct Image {
    /// Which processors run it.
    pub architecture: Architecture,
    /// The file version of its version resource.
    pub version: Version,
    /// Its Authenticode digest, SHA-256.
    pub sha256: [u8; 32],
    /// Its Authenticode digest, SHA-1.
    pub sha1: [u8; 20],
}

impl Image {
    /// Reads a `.sys`.
    ///
    /// # Errors
    /// Not a PE32+ image of a known machine, or without a version resource.
    pub fn read(bytes: &[u8]) -> Result<Self> {
        let file = PeFile64::parse(bytes).context("not a PE32+ image")?;
        Ok(Self {
            architecture: machine(&file)?,
            version: version(&file).context("no readable version resource")?,
            sha256: digest::<Sha256>(&file)?.into(),
            sha1: digest::<Sha1>(&file)?.into(),
        })
    }
}

/// The processor that an image, a `.sys` or a DLL, is for.
///
/// # Errors
/// Not a PE32+ image of a known machine.
pub fn architecture(bytes: &[u8]) -> Result<Architecture> {
    machine(&PeFile64::parse(bytes).context("not a PE32+ image")?)
}

fn machine(file: &PeFile64<'_>) -> Result<Architecture> {
    let machine = file.nt_headers().file_header.machine.get(LE);
    Architecture::ALL
        .into_iter()
        .find(|architecture| architecture.image_machine() == machine)
        .with_context(|| format!("machine {machine:#06x} is neither x64 nor ARM64"))
}

/// The Authenticode digest: everything but the checksum, the directory entry
/// of the signature and the signature (Microsoft: "Windows Authenticode
/// Portable Executable Signature Format").
fn digest<D: sha2::digest::Digest + sha2::digest::Update>(
    file: &dyn PeTrait,
) -> Result<sha2::digest::Output<D>> {
    let mut digest = <D as sha2::digest::Digest>::new();
    authenticode::authenticode_digest(file, &mut digest)
        .map_err(|error| anyhow::anyhow!("the Authenticode digest can't be computed: {error}"))?;
    Ok(digest.finalize())
}

/// The file version of the first `RT_VERSION` resource.
fn version(file: &PeFile64<'_>) -> Result<Version> {
    let sections = file.section_table();
    let directory = file
        .data_directories()
        .resource_directory(file.data(), &sections)?
        .context("the image has no resources")?;
    let root = directory.root()?;
    let mut entry = root
        .entries
        .iter()
        .find(|entry| entry.name_or_id().id() == Some(pe::RT_VERSION))
        .context("the image has no version resource")?
        .data(directory)?;
    // Below the type come the name and the language, and then the data; a
    // damaged image may have tables that lead back to themselves.
    for _ in 0..2 {
        if let ResourceDirectoryEntryData::Table(table) = entry {
            entry = table
                .entries
                .first()
                .context("an empty resource table")?
                .data(directory)?;
        }
    }
    let ResourceDirectoryEntryData::Data(entry) = entry else {
        bail!("the version resource has too many levels");
    };
    let bytes = sections
        .pe_data_at(file.data(), entry.offset_to_data.get(LE))
        .context("the version resource lies outside the image")?;
    fixed_file_version(bytes)
}

/// `VS_FIXEDFILEINFO::dwFileVersion` out of `VS_VERSIONINFO`, where it begins
/// with the signature `0xFEEF04BD` after the key and its padding.
fn fixed_file_version(bytes: &[u8]) -> Result<Version> {
    const SIGNATURE: [u8; 4] = 0xFEEF_04BD_u32.to_le_bytes();
    let at = bytes
        .chunks_exact(4)
        .take(64)
        .position(|word| word == SIGNATURE)
        .context("the version resource has no fixed part")?;
    let words: Vec<u16> = bytes
        .get(at * 4 + 8..at * 4 + 16)
        .context("the version resource is cut short")?
        .chunks_exact(2)
        .map(|word| u16::from_le_bytes([word[0], word[1]]))
        .collect();
    // Two DWORDs, the high one first, each little endian.
    Ok(Version([words[1], words[0], words[3], words[2]]))
}

#[cfg(test)]
mod tests {
    use super::Version;

    #[test]
    fn cargo_versions_get_a_fourth_part() {
        assert_eq!(
            Version::parse("0.1.2")
                .map(|v| v.to_string())
                .ok()
                .as_deref(),
            Some("0.1.2.0")
        );
    }

    #[test]
    fn a_part_above_sixteen_bits_is_refused() {
        assert!(Version::parse("1.2.3.65536").is_err());
    }
}
