//! The package as a zip.

use std::io::{Cursor, Write as _};

use ::zip::write::SimpleFileOptions;
use ::zip::{CompressionMethod, DateTime, ZipWriter};
use anyhow::Result;

use super::File;
use crate::commit::Date;

/// A zip of `files` in the folder `folder`.
///
/// # Errors
/// A file is too big for the format.
pub fn zip(folder: &str, files: &[File], date: Date) -> Result<Vec<u8>> {
    let options = SimpleFileOptions::default()
        .compression_method(CompressionMethod::Deflated)
        .compression_level(Some(6))
        .unix_permissions(0o644)
        .last_modified_time(modified(date)?);
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    for file in files {
        writer.start_file(format!("{folder}/{}", file.name), options)?;
        writer.write_all(&file.bytes)?;
    }
    Ok(writer.finish()?.into_inner())
}

fn modified(date: Date) -> Result<DateTime> {
    let moment = date.moment()?;
    Ok(DateTime::from_date_and_time(
        u16::try_from(date.year)?,
        date.month,
        date.day,
        moment.hour(),
        moment.minute(),
        moment.second(),
    )?)
}
