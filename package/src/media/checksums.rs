//! `SHA256SUMS`, as `sha256sum --check` reads it.

use sha2::{Digest as _, Sha256};

use super::File;

/// One line for each file.
pub fn checksums<'a>(files: impl IntoIterator<Item = &'a File>) -> String {
    let lines: Vec<String> = files
        .into_iter()
        .map(|file| format!("{}  {}\n", sha256(&file.bytes), file.name))
        .collect();
    lines.concat()
}

/// The SHA-256 of `bytes` in hexadecimal.
#[must_use]
pub fn sha256(bytes: &[u8]) -> String {
    format!("{:x}", Sha256::digest(bytes))
}
