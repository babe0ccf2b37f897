//! Making a catalogue, not yet signed.

use anyhow::Result;
use cms::content_info::{CmsVersion, ContentInfo};
use cms::signed_data::{EncapsulatedContentInfo, SignedData, SignerInfos};
use der::asn1::{Any, BmpString, Null, OctetString, SetOfVec, UtcTime};
use der::{DateTime, Decode as _, Encode as _};
use sha2::{Digest as _, Sha256};

use super::asn1::{
    Algorithm, Attribute, CATALOG_LIST, CATALOG_LIST_MEMBER_V2, DigestInfo, EMPTY_LINK, Extension,
    FLAT_DATA, INDIRECT_DATA, INFO_FLAT, INFO_IMAGE, IndirectData, MEMBER_INFO_V2, NAME_VALUE,
    NAME_VALUE_FLAGS, NameValue, PE_IMAGE, PE_IMAGE_DATA, SHA256, SIGNED_DATA, TRUST_LIST,
    TrustList, TrustedSubject, Typed,
};
use super::{Kind, Member};
use crate::commit::Date;
use crate::image::Architecture;

/// Windows 10, 11 and Server 2016 and later, in `OSAttr`'s notation:
/// platform NT, version 10.0.
const WINDOWS_10: &str = "2:10.0";

/// The catalogue of `members`, dated `date`, for devices with `hardware_ids` on
/// Windows for `architecture`.
///
/// # Errors
/// None for names that fit the basic multilingual plane; ASN.1 lengths and the
/// date's range are checked by the encoder.
pub fn write(
    members: &[Member],
    hardware_ids: &[&str],
    architecture: Architecture,
    date: Date,
) -> Result<Vec<u8>> {
    let mut subjects = Vec::new();
    for member in members {
        subjects.push(subject(member, &member.sha256, Some(&member.sha256))?);
        subjects.push(subject(member, &member.sha1, None)?);
    }
    // Sorted by digest, as Microsoft's: a reader may search by halves.
    subjects.sort_by(|a, b| a.identifier.as_bytes().cmp(b.identifier.as_bytes()));
    let list = TrustList {
        subject_usage: vec![CATALOG_LIST],
        list_identifier: OctetString::new(identifier(members))?,
        this_update: UtcTime::from_date_time(DateTime::from_unix_duration(
            std::time::Duration::from_secs(u64::try_from(date.seconds)?),
        )?)?,
        subject_algorithm: Algorithm {
            oid: CATALOG_LIST_MEMBER_V2,
            parameters: Null,
        },
        trusted_subjects: subjects,
        extensions: Some(extensions(hardware_ids, architecture)?),
    };
    let signed = SignedData {
        version: CmsVersion::V1,
        digest_algorithms: SetOfVec::new(),
        encap_content_info: EncapsulatedContentInfo {
            econtent_type: TRUST_LIST,
            econtent: Some(Any::encode_from(&list)?),
        },
        certificates: None,
        crls: None,
        signer_infos: SignerInfos(SetOfVec::new()),
    };
    let catalogue = ContentInfo {
        content_type: SIGNED_DATA,
        content: Any::encode_from(&signed)?,
    };
    Ok(catalogue.to_der()?)
}

/// Sixteen bytes that tell this list from others: Microsoft's are random, ours
/// come from what is listed, so that the same files give the same catalogue.
fn identifier(members: &[Member]) -> Vec<u8> {
    let mut digest = Sha256::new();
    for member in members {
        digest.update(&member.name);
        digest.update(member.sha256);
    }
    digest.finalize()[..16].to_vec()
}

fn subject(
    member: &Member,
    identifier: &[u8],
    digest: Option<&[u8; 32]>,
) -> Result<TrustedSubject> {
    let (info, data) = match member.kind {
        Kind::Image => (
            &INFO_IMAGE[..],
            Typed {
                oid: PE_IMAGE_DATA,
                value: Any::from_der(&PE_IMAGE)?,
            },
        ),
        Kind::Flat => (
            &INFO_FLAT[..],
            Typed {
                oid: FLAT_DATA,
                value: Any::from_der(&EMPTY_LINK)?,
            },
        ),
    };
    let mut attributes = SetOfVec::new();
    attributes.insert(attribute(MEMBER_INFO_V2, Any::from_der(info)?)?)?;
    if let Some(digest) = digest {
        attributes.insert(name_value_attribute("File", &member.name)?)?;
        attributes.insert(name_value_attribute("OSAttr", WINDOWS_10)?)?;
        let indirect = IndirectData {
            data,
            digest: DigestInfo {
                algorithm: Algorithm {
                    oid: SHA256,
                    parameters: Null,
                },
                digest: OctetString::new(*digest)?,
            },
        };
        attributes.insert(attribute(INDIRECT_DATA, Any::encode_from(&indirect)?)?)?;
    }
    Ok(TrustedSubject {
        identifier: OctetString::new(identifier)?,
        attributes,
    })
}

fn attribute(oid: der::asn1::ObjectIdentifier, value: Any) -> Result<Attribute> {
    let mut values = SetOfVec::new();
    values.insert(value)?;
    Ok(Attribute { oid, values })
}

fn name_value_attribute(name: &str, value: &str) -> Result<Attribute> {
    attribute(NAME_VALUE, Any::encode_from(&name_value(name, value)?)?)
}

fn name_value(name: &str, value: &str) -> Result<NameValue> {
    let value: Vec<u8> = value
        .encode_utf16()
        .chain([0])
        .flat_map(u16::to_le_bytes)
        .collect();
    Ok(NameValue {
        name: BmpString::from_utf8(name)?,
        flags: NAME_VALUE_FLAGS,
        value: OctetString::new(value)?,
    })
}

/// What holds for the whole catalogue: the system, and the devices.
fn extensions(hardware_ids: &[&str], architecture: Architecture) -> Result<Vec<Extension>> {
    // Inf2Cat's name for every Windows 10 and later of the architecture.
    let system = match architecture {
        Architecture::X64 => "_v100_X64",
        Architecture::Arm64 => "_v100_ARM64",
    };
    let numbered = hardware_ids
        .iter()
        .enumerate()
        .map(|(index, id)| (format!("HWID{}", index + 1), id.to_ascii_lowercase()));
    std::iter::once(("OS".to_owned(), system.to_owned()))
        .chain(numbered)
        .map(|(name, value)| {
            Ok(Extension {
                oid: NAME_VALUE,
                value: OctetString::new(name_value(&name, &value)?.to_der()?)?,
            })
        })
        .collect()
}
