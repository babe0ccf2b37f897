//! The identities: what stays for ever, and what follows from version or
//! content, so that two builds of one commit have the same.

use kit::Architecture;
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

/// Ties all versions of the product together. Never changes.
pub const UPGRADE_CODE: &str = "{6F5A2D1C-8E43-4B7A-9C15-2D0B7E94A3F6}";

/// The components. Windows Installer counts them across versions: a component
/// keeps its code as long as it puts the same thing at the same place.
pub const COMPONENTS: [(&str, &str); 5] = [
    ("PackageCat", "{1E0C8B57-64A9-4D3E-8F21-B95C70D3E8A1}"),
    ("PackageInf", "{2B9D4F60-17C8-4E52-A6B3-0F8E51C7D942}"),
    ("PackageSys", "{37E6A1D8-92B4-4C0F-B8D7-64A2F5E0193C}"),
    ("StatusScript", "{48F1C7B2-5D06-4A9B-9E34-D1803B6FA7E5}"),
    ("ReportDumpEnd", "{59A3E06D-C41F-4B88-8072-E5F9D41B2C60}"),
];

/// The product's code: another for each version, as a major upgrade needs, and
/// for each processor (Microsoft, "Changing the Product Code").
pub fn product_code(architecture: Architecture, version: &str) -> Uuid {
    named(&[
        UPGRADE_CODE.as_bytes(),
        b"product",
        architecture.name().as_bytes(),
        version.as_bytes(),
    ])
}

/// The package's code: another for each content, so that Windows Installer
/// never takes one file for another.
pub fn package_code(content: &[&[u8]]) -> Uuid {
    let mut parts = vec![UPGRADE_CODE.as_bytes(), b"package"];
    parts.extend(content);
    named(&parts)
}

/// A version 8 UUID (RFC 9562) out of a hash.
fn named(parts: &[&[u8]]) -> Uuid {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part);
    }
    let mut bytes = [0; 16];
    for (byte, value) in bytes.iter_mut().zip(hash.finalize()) {
        *byte = value;
    }
    uuid::Builder::from_custom_bytes(bytes).into_uuid()
}

/// As Windows Installer writes it.
pub fn braced(uuid: Uuid) -> String {
    let mut buffer = Uuid::encode_buffer();
    uuid.braced().encode_upper(&mut buffer).to_owned()
}
