//! The cabinet that Partner Center takes for attestation or with an HLK
//! package: the driver's files in a folder, never at the top (Microsoft:
//! "Attestation sign Windows drivers").

use std::io::{Cursor, Write as _};

use anyhow::Result;
use cab::{CabinetBuilder, CompressionType};

use super::File;
use crate::commit::Date;

/// A cabinet of `files` in the folder `folder`.
///
/// # Errors
/// A file is too big for the format.
pub fn cabinet(folder: &str, files: &[File], date: Date) -> Result<Vec<u8>> {
    let mut builder = CabinetBuilder::new();
    let packed = builder.add_folder(CompressionType::MsZip);
    for file in files {
        let entry = packed.add_file(format!("{folder}\\{}", file.name));
        entry.set_datetime(date.moment()?);
    }
    let mut writer = builder.build(Cursor::new(Vec::new()))?;
    for file in files {
        if let Some(mut entry) = writer.next_file()? {
            entry.write_all(&file.bytes)?;
        }
    }
    Ok(writer.finish()?.into_inner())
}
