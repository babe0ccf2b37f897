//! Reading a catalogue, ours or another's, signed or not.

use anyhow::{Context as _, Result, ensure};
use cms::content_info::ContentInfo;
use cms::signed_data::SignedData;
use der::asn1::ObjectIdentifier;
use der::{Decode as _, Encode as _};

use super::Kind;
use super::asn1::{
    Attribute, CATALOG_LIST, CATALOG_LIST_MEMBER_V2, FLAT_DATA, INDIRECT_DATA, IndirectData,
    MEMBER_INFO_V2, NAME_VALUE, NameValue, PE_IMAGE_DATA, SHA256, SIGNED_DATA, TRUST_LIST,
    TrustList, TrustedSubject,
};

/// What a catalogue says.
#[derive(Debug)]
pub struct Listing {
    /// When it was made, in seconds since 1970.
    pub seconds: u64,
    /// The entries, in their order.
    pub members: Vec<Listed>,
    /// Names and values that hold for the whole catalogue.
    pub attributes: Vec<(String, String)>,
    /// Whether somebody signed it.
    pub signed: bool,
}

/// One entry.
#[derive(Debug)]
pub struct Listed {
    /// The digest under which Windows finds the entry.
    pub identifier: Vec<u8>,
    /// How the file is hashed, where the entry says so.
    pub kind: Option<Kind>,
    /// The SHA-256 in the entry's indirect data.
    pub digest: Option<Vec<u8>>,
    /// Names and values, such as `File` and `OSAttr`.
    pub attributes: Vec<(String, String)>,
}

impl Listed {
    /// Takes what one attribute says of the kind, if it says one that is known.
    fn is(&mut self, kind: Option<Kind>) -> Result<()> {
        let Some(kind) = kind else {
            return Ok(());
        };
        ensure!(
            self.kind.replace(kind).is_none_or(|known| known == kind),
            "an entry says that it is an image and that it is none"
        );
        Ok(())
    }
}

/// Reads a catalogue of version 2.
///
/// # Errors
/// Not DER, not a catalogue, or with attributes that contradict each other.
pub fn read(bytes: &[u8]) -> Result<Listing> {
    let content = ContentInfo::from_der(bytes).context("not a PKCS#7 message")?;
    expect("content type", content.content_type, SIGNED_DATA)?;
    let signed: SignedData = content.content.decode_as().context("not signed data")?;
    expect(
        "signed type",
        signed.encap_content_info.econtent_type,
        TRUST_LIST,
    )?;
    let list: TrustList = signed
        .encap_content_info
        .econtent
        .context("the message has no content")?
        .decode_as()
        .context("not a certificate trust list")?;
    ensure!(
        list.subject_usage == [CATALOG_LIST],
        "the trust list is not a catalogue"
    );
    expect(
        "member form",
        list.subject_algorithm.oid,
        CATALOG_LIST_MEMBER_V2,
    )?;
    Ok(Listing {
        seconds: list.this_update.to_unix_duration().as_secs(),
        members: list
            .trusted_subjects
            .iter()
            .map(member)
            .collect::<Result<_>>()?,
        attributes: list
            .extensions
            .unwrap_or_default()
            .iter()
            .map(|extension| {
                expect("extension", extension.oid, NAME_VALUE)?;
                name_value(extension.value.as_bytes())
            })
            .collect::<Result<_>>()?,
        signed: !signed.signer_infos.0.is_empty(),
    })
}

fn expect(what: &str, found: ObjectIdentifier, wanted: ObjectIdentifier) -> Result<()> {
    ensure!(found == wanted, "{what} is {found}, not {wanted}");
    Ok(())
}

fn member(subject: &TrustedSubject) -> Result<Listed> {
    let mut listed = Listed {
        identifier: subject.identifier.as_bytes().to_vec(),
        kind: None,
        digest: None,
        attributes: Vec::new(),
    };
    for attribute in subject.attributes.iter() {
        let value = single(attribute)?;
        match attribute.oid {
            NAME_VALUE => listed.attributes.push(name_value(&value)?),
            MEMBER_INFO_V2 => {
                listed.is(match value.first() {
                    Some(0x80) => Some(Kind::Image),
                    Some(0x82) => Some(Kind::Flat),
                    _ => None,
                })?;
            }
            INDIRECT_DATA => {
                let indirect = IndirectData::from_der(&value)?;
                expect("digest", indirect.digest.algorithm.oid, SHA256)?;
                listed.is(match indirect.data.oid {
                    PE_IMAGE_DATA => Some(Kind::Image),
                    FLAT_DATA => Some(Kind::Flat),
                    _ => None,
                })?;
                listed.digest = Some(indirect.digest.digest.as_bytes().to_vec());
            }
            // Others' catalogues may have more to say.
            _ => {}
        }
    }
    Ok(listed)
}

fn single(attribute: &Attribute) -> Result<Vec<u8>> {
    ensure!(
        attribute.values.len() == 1,
        "{} has not one value",
        attribute.oid
    );
    let value = attribute.values.get(0).context("no value")?;
    Ok(value.to_der()?)
}

fn name_value(der: &[u8]) -> Result<(String, String)> {
    let pair = NameValue::from_der(der)?;
    let units: Vec<u16> = pair
        .value
        .as_bytes()
        .chunks(2)
        .map(|unit| u16::from_le_bytes([unit[0], unit.get(1).copied().unwrap_or(0)]))
        .collect();
    let text = units
        .strip_suffix(&[0])
        .context("a value without its terminator")?;
    Ok((pair.name.to_string(), String::from_utf16(text)?))
}
