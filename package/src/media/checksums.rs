//! `SHA256SUMS`, as `sha256sum --check` reads it.

use sha2::{Digest as _, Sha256};

/// One line for each pair of name and content.
pub fn checksums<'a>(files: impl IntoIterator<Item = (&'a str, &'a [u8])>) -> String {
    let mut lines = String::new();
    for (name, bytes) in files {
        lines.push_str(&sha256(bytes));
        lines.push_str("  ");
        lines.push_str(name);
        lines.push('\n');
    }
    lines
}

/// The SHA-256 of `bytes` in hexadecimal.
#[must_use]
pub fn sha256(bytes: &[u8]) -> String {
    format!("{:x}", Sha256::digest(bytes))
}
