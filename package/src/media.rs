//! What carries the package: a zip, a CD image, the cabinet for Partner
//! Center, and the papers that go with them. Same files, same date: same bytes.

mod cabinet;
mod checksums;
mod iso;
mod sbom;
mod zip;

pub use self::cabinet::cabinet;
pub use self::checksums::{checksums, sha256};
pub use self::iso::{iso, systems};
pub use self::sbom::sbom;
pub use self::zip::zip;

/// A file, by its name or path within what it is part of.
#[derive(Clone, Debug)]
pub struct File {
    /// Name or path, with `/`.
    pub name: String,
    /// Content.
    pub bytes: Vec<u8>,
}
