//! Makes the image the same bytes wherever it was built.
//!
//! The linker identifies the symbols' file by a hash of that file, which has
//! the paths of this machine in it, and puts the identity into the image. Here
//! it becomes a hash of the image itself, in both files, so that they still
//! belong together. The time stamps become part of that hash, and the checksum
//! is computed last.

use anyhow::{Context, Result, bail};
use object::{LittleEndian as LE, pe::IMAGE_DEBUG_TYPE_CODEVIEW, read::pe::PeFile64};

use crate::image::checksum;

const GUID: usize = 16;

/// Stamps an image, and the file of its symbols if there is one.
pub fn stamp(image: &mut [u8], symbols: Option<&mut Vec<u8>>) -> Result<()> {
    let places = Places::find(image)?;
    let former = match places.guid {
        Some(at) => bytes(image, at, GUID)?.to_vec(),
        None => Vec::new(),
    };
    for at in &places.time_stamps {
        put(image, *at, &[0; 4])?;
    }
    if let Some(at) = places.guid {
        put(image, at, &[0; GUID])?;
    }
    put(image, places.checksum, &[0; 4])?;

    let identity = identity(image);
    for at in &places.time_stamps {
        put(image, *at, identity.get(..4).unwrap_or_default())?;
    }
    if let Some(at) = places.guid {
        put(image, at, &identity)?;
        if let Some(symbols) = symbols {
            replace_once(symbols, &former, &identity)?;
        }
    }
    let sum = checksum(image).context("the image is too short for a checksum")?;
    put(image, places.checksum, &sum.to_le_bytes())
}

/// Where in the file the bytes are that differ from build to build.
struct Places {
    time_stamps: Vec<usize>,
    guid: Option<usize>,
    checksum: usize,
}

impl Places {
    fn find(image: &[u8]) -> Result<Self> {
        let file = PeFile64::parse(image).context("the linker's output is not a PE32+ image")?;
        let headers = file.dos_header().nt_headers_offset() as usize;
        let sections = file.section_table();
        let mut places = Self {
            // The signature, then the time stamp's offset in IMAGE_FILE_HEADER.
            time_stamps: vec![headers + 4 + 4],
            guid: None,
            // The signature, IMAGE_FILE_HEADER, then the checksum's offset in
            // IMAGE_OPTIONAL_HEADER64.
            checksum: headers + 4 + 20 + 64,
        };
        let at = |directory: usize| -> Option<(usize, usize)> {
            let directory = file.data_directories().get(directory)?;
            let (offset, _) = sections.pe_file_range_at(directory.virtual_address.get(LE))?;
            Some((offset as usize, directory.size.get(LE) as usize))
        };
        if let Some((export, _)) = at(object::pe::IMAGE_DIRECTORY_ENTRY_EXPORT) {
            places.time_stamps.push(export + 4);
        }
        if let Some((debug, size)) = at(object::pe::IMAGE_DIRECTORY_ENTRY_DEBUG) {
            // IMAGE_DEBUG_DIRECTORY is 28 bytes.
            for entry in (debug..debug + size).step_by(28) {
                places.time_stamps.push(entry + 4);
                let kind = number(image, entry + 12)?;
                if kind == IMAGE_DEBUG_TYPE_CODEVIEW {
                    // The record: "RSDS", then the identity.
                    places.guid = Some(number(image, entry + 24)? as usize + 4);
                }
            }
        }
        Ok(places)
    }
}

fn bytes(image: &[u8], at: usize, length: usize) -> Result<&[u8]> {
    at.checked_add(length)
        .and_then(|end| image.get(at..end))
        .with_context(|| format!("the image ends before offset {at:#x}"))
}

fn number(image: &[u8], at: usize) -> Result<u32> {
    let mut value = [0; 4];
    value.copy_from_slice(bytes(image, at, 4)?);
    Ok(u32::from_le_bytes(value))
}

fn put(image: &mut [u8], at: usize, value: &[u8]) -> Result<()> {
    at.checked_add(value.len())
        .and_then(|end| image.get_mut(at..end))
        .with_context(|| format!("the image ends before offset {at:#x}"))?
        .copy_from_slice(value);
    Ok(())
}

/// A hash of the image: FNV-1a, 128 bits. Nobody is kept out by it; it only has
/// to differ between builds.
fn identity(image: &[u8]) -> [u8; GUID] {
    let text = crate::workspace::fingerprint([image]);
    u128::from_str_radix(&text, 16)
        .unwrap_or_default()
        .to_le_bytes()
}

fn replace_once(data: &mut [u8], find: &[u8], replace: &[u8]) -> Result<()> {
    let places: Vec<_> = data
        .windows(find.len())
        .enumerate()
        .filter(|(_, window)| *window == find)
        .map(|(at, _)| at)
        .collect();
    let [at] = places[..] else {
        bail!(
            "the symbols' file has the image's identity {} times instead of once",
            places.len()
        );
    };
    put(data, at, replace)
}
