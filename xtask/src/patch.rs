//! Changes in a driver's image that leave its checksum right.

use anyhow::{Context, Result};

/// Where the PE signature is.
pub fn header(image: &[u8]) -> Result<usize> {
    image
        .get(0x3C..0x40)
        .and_then(|bytes| bytes.try_into().ok())
        .map(u32::from_le_bytes)
        .and_then(|offset| usize::try_from(offset).ok())
        .context("the image has no header")
}

/// Makes the checksum right again: `CheckSum` is at 64 of the optional header,
/// after the signature (4 bytes) and the file header (20 bytes).
pub fn seal(mut image: Vec<u8>) -> Result<Vec<u8>> {
    let checksum = kit::image::checksum(&image).context("the image has no checksum")?;
    let field = header(&image)? + 4 + 20 + 64;
    image
        .get_mut(field..field + 4)
        .context("the image is cut off")?
        .copy_from_slice(&checksum.to_le_bytes());
    Ok(image)
}
