//! `pvpanic.cat`: the signed list of what the package is made of.
//!
//! A catalogue is a PKCS#7 `SignedData` around a certificate trust list. Each
//! file is listed twice: under its SHA-256, with the digest repeated in an
//! `SPC_INDIRECT_DATA` attribute, and under its SHA-1, which callers of the
//! older `CryptCATAdminCalcHashFromFileHandle` ask for. The entries are sorted
//! by digest and the attributes as DER sorts a set.
//!
//! Where the structure is known from:
//!
//! - \[MS-CAESO\], "Certificate Trust List", for the list itself;
//! - `tests/files/unsigned.cat` of mtrojnar/osslsigncode, which Microsoft's
//!   `makecat` wrote with `CatalogVersion=2` and `HashAlgorithms=SHA256`: the
//!   members twice, `MEMBERINFO2`, flags of names and values, flags of an image,
//!   and an unsigned message with empty sets;
//! - maharmstone/nyan and LINBIT/generate-cat-file, programs that write
//!   catalogues: the link of an image without page hashes, `HWID1` and so on
//!   in lower case, and `OS` for the whole catalogue;
//! - Microsoft's page on `Inf2Cat`, for the names of systems.

mod asn1;
mod read;
mod write;

pub use read::{Listed, Listing, read};
pub use write::write;

/// A file of the package, by what Windows hashes.
#[derive(Clone, Debug)]
pub struct Member {
    /// Name without path.
    pub name: String,
    /// How it is hashed.
    pub kind: Kind,
    /// SHA-256 of that.
    pub sha256: [u8; 32],
    /// SHA-1 of that.
    pub sha1: [u8; 20],
}

/// How a member is hashed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A PE image: the Authenticode digest, which a signature doesn't change.
    Image,
    /// Any other file: all its bytes.
    Flat,
}

impl Member {
    /// The member for a PE image.
    #[must_use]
    pub fn image(name: &str, image: &crate::image::Image) -> Self {
        Self {
            name: name.to_owned(),
            kind: Kind::Image,
            sha256: image.sha256,
            sha1: image.sha1,
        }
    }

    /// The member for a file that is hashed whole.
    #[must_use]
    pub fn flat(name: &str, bytes: &[u8]) -> Self {
        use sha2::Digest as _;
        Self {
            name: name.to_owned(),
            kind: Kind::Flat,
            sha256: sha2::Sha256::digest(bytes).into(),
            sha1: sha1::Sha1::digest(bytes).into(),
        }
    }
}
