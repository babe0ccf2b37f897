//! The structures of a catalogue, and their object identifiers.

use der::asn1::{Any, BmpString, Null, ObjectIdentifier, OctetString, SetOfVec, UtcTime};
use der::{Sequence, ValueOrd};

/// `szOID_CTL`.
pub(super) const TRUST_LIST: ObjectIdentifier =
    ObjectIdentifier::new_unwrap("1.3.6.1.4.1.311.10.1");
/// `szOID_CATALOG_LIST`.
pub(super) const CATALOG_LIST: ObjectIdentifier =
    ObjectIdentifier::new_unwrap("1.3.6.1.4.1.311.12.1.1");
/// `szOID_CATALOG_LIST_MEMBER2`: members are named by the raw digest.
pub(super) const CATALOG_LIST_MEMBER_V2: ObjectIdentifier =
    ObjectIdentifier::new_unwrap("1.3.6.1.4.1.311.12.1.3");
/// `CAT_NAMEVALUE_OBJID`.
pub(super) const NAME_VALUE: ObjectIdentifier =
    ObjectIdentifier::new_unwrap("1.3.6.1.4.1.311.12.2.1");
/// `CAT_MEMBERINFO2_OBJID`.
pub(super) const MEMBER_INFO_V2: ObjectIdentifier =
    ObjectIdentifier::new_unwrap("1.3.6.1.4.1.311.12.2.3");
/// `SPC_INDIRECT_DATA_OBJID`.
pub(super) const INDIRECT_DATA: ObjectIdentifier =
    ObjectIdentifier::new_unwrap("1.3.6.1.4.1.311.2.1.4");
/// `SPC_PE_IMAGE_DATA_OBJID`.
pub(super) const PE_IMAGE_DATA: ObjectIdentifier =
    ObjectIdentifier::new_unwrap("1.3.6.1.4.1.311.2.1.15");
/// `SPC_CAB_DATA_OBJID`, which catalogues use for every flat file.
pub(super) const FLAT_DATA: ObjectIdentifier =
    ObjectIdentifier::new_unwrap("1.3.6.1.4.1.311.2.1.25");
/// `id-sha256`.
pub(super) const SHA256: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.2.1");
/// `id-signedData`.
pub(super) const SIGNED_DATA: ObjectIdentifier =
    ObjectIdentifier::new_unwrap("1.2.840.113549.1.7.2");

/// `SpcLink.file` with an empty Unicode `SpcString`.
pub(super) const EMPTY_LINK: [u8; 4] = [0xA2, 0x02, 0x80, 0x00];
/// `SpcPeImageData`: the flags that every signed image has (bits 0 and 2), and
/// the empty link.
pub(super) const PE_IMAGE: [u8; 12] = [
    0x30, 0x0A, 0x03, 0x02, 0x05, 0xA0, 0xA0, 0x04, 0xA2, 0x02, 0x80, 0x00,
];
/// `MEMBERINFO2` of a PE image, `[0] NULL`.
pub(super) const INFO_IMAGE: [u8; 2] = [0x80, 0x00];
/// `MEMBERINFO2` of a flat file, `[2] NULL`.
pub(super) const INFO_FLAT: [u8; 2] = [0x82, 0x00];

/// Flags of a name-value pair: authenticated, plain text, and searchable.
pub(super) const NAME_VALUE_FLAGS: u32 = 0x1001_0001;

/// An object identifier with a value that depends on it.
#[derive(Clone, Debug, PartialEq, Eq, Sequence, ValueOrd)]
pub(super) struct Typed {
    pub oid: ObjectIdentifier,
    pub value: Any,
}

/// `AlgorithmIdentifier` without parameters.
#[derive(Clone, Debug, PartialEq, Eq, Sequence)]
pub(super) struct Algorithm {
    pub oid: ObjectIdentifier,
    pub parameters: Null,
}

/// `CertificateTrustList`.
#[derive(Clone, Debug, PartialEq, Eq, Sequence)]
pub(super) struct TrustList {
    pub subject_usage: Vec<ObjectIdentifier>,
    pub list_identifier: OctetString,
    pub this_update: UtcTime,
    pub subject_algorithm: Algorithm,
    pub trusted_subjects: Vec<TrustedSubject>,
    #[asn1(context_specific = "0", tag_mode = "EXPLICIT", optional = "true")]
    pub extensions: Option<Vec<Extension>>,
}

/// `TrustedSubject`: one entry of the list.
#[derive(Clone, Debug, PartialEq, Eq, Sequence)]
pub(super) struct TrustedSubject {
    pub identifier: OctetString,
    pub attributes: SetOfVec<Attribute>,
}

/// `Attribute`.
#[derive(Clone, Debug, PartialEq, Eq, Sequence, ValueOrd)]
pub(super) struct Attribute {
    pub oid: ObjectIdentifier,
    pub values: SetOfVec<Any>,
}

/// An extension of the list.
#[derive(Clone, Debug, PartialEq, Eq, Sequence)]
pub(super) struct Extension {
    pub oid: ObjectIdentifier,
    pub value: OctetString,
}

/// `CatNameValue`. The value is UTF-16 (little endian) with its terminator.
#[derive(Clone, Debug, PartialEq, Eq, Sequence)]
pub(super) struct NameValue {
    pub name: BmpString,
    pub flags: u32,
    pub value: OctetString,
}

/// `SpcIndirectDataContent`.
#[derive(Clone, Debug, PartialEq, Eq, Sequence)]
pub(super) struct IndirectData {
    pub data: Typed,
    pub digest: DigestInfo,
}

/// `DigestInfo`.
#[derive(Clone, Debug, PartialEq, Eq, Sequence)]
pub(super) struct DigestInfo {
    pub algorithm: Algorithm,
    pub digest: OctetString,
}
