//! The cabinet inside the MSI.

use std::io::{Cursor, Write as _};

use anyhow::Result;
use cab::{CabinetBuilder, CompressionType};
use time::{OffsetDateTime, PrimitiveDateTime};

/// A cabinet of `files`, each by its key in the table `File`, in this order.
/// `seconds` since 1970 is the date of all of them.
pub fn cabinet(files: &[(&str, &[u8])], seconds: i64) -> Result<Vec<u8>> {
    let moment = OffsetDateTime::from_unix_timestamp(seconds)?;
    let moment = PrimitiveDateTime::new(moment.date(), moment.time());
    let mut builder = CabinetBuilder::new();
    let folder = builder.add_folder(CompressionType::MsZip);
    for (key, _) in files {
        folder.add_file(*key).set_datetime(moment);
    }
    let mut writer = builder.build(Cursor::new(Vec::new()))?;
    for (_, bytes) in files {
        if let Some(mut file) = writer.next_file()? {
            file.write_all(bytes)?;
        }
    }
    Ok(writer.finish()?.into_inner())
}
