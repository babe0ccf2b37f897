//! Whether Windows can trust the certificate that signed: it checks the
//! purpose and the dates, and an unsuitable certificate only shows at
//! installation, as Code 52.

use anyhow::{Context as _, Result, bail, ensure};
use cms::cert::CertificateChoices;
use cms::content_info::ContentInfo;
use cms::signed_data::{SignedData, SignerIdentifier};
use der::Decode as _;
use der::asn1::ObjectIdentifier;
use x509_cert::Certificate;
use x509_cert::ext::pkix::{BasicConstraints, ExtendedKeyUsage, KeyUsage};

const CODE_SIGNING: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.3.3");

/// Checks the certificate that signed the PKCS#7 message `signature`, at the
/// time `seconds` after the beginning of 1970.
///
/// # Errors
/// The message is not signed, or its signer is expired, not yet valid, an
/// authority, or not for code signing.
pub fn check(signature: &[u8], seconds: u64) -> Result<()> {
    let content = ContentInfo::from_der(signature).context("not a PKCS#7 message")?;
    let message: SignedData = content.content.decode_as().context("not signed data")?;
    let signer = message
        .signer_infos
        .0
        .get(0)
        .context("nobody signed the message")?;
    let SignerIdentifier::IssuerAndSerialNumber(id) = &signer.sid else {
        bail!("the signer is not named by issuer and serial number");
    };
    let certificates = message
        .certificates
        .context("the signature has no certificates")?;
    let certificate = certificates
        .0
        .iter()
        .find_map(|choice| match choice {
            CertificateChoices::Certificate(certificate)
                if certificate.tbs_certificate.serial_number == id.serial_number
                    && certificate.tbs_certificate.issuer == id.issuer =>
            {
                Some(certificate)
            }
            _ => None,
        })
        .context("the signer's certificate is not in the signature")?;
    suitable(certificate, seconds).with_context(|| {
        format!(
            "Windows would not trust {}",
            certificate.tbs_certificate.subject
        )
    })
}

fn suitable(certificate: &Certificate, seconds: u64) -> Result<()> {
    let certificate = &certificate.tbs_certificate;
    let validity = &certificate.validity;
    ensure!(
        seconds <= validity.not_after.to_unix_duration().as_secs(),
        "the certificate expired on {}: sign with a current one",
        validity.not_after
    );
    ensure!(
        seconds >= validity.not_before.to_unix_duration().as_secs(),
        "the certificate is valid from {} on: check the clock",
        validity.not_before
    );
    let purposes = certificate.get::<ExtendedKeyUsage>()?;
    ensure!(
        purposes.is_some_and(|(_, purposes)| purposes.0.contains(&CODE_SIGNING)),
        "the certificate is not for code signing: it needs the extended key usage codeSigning"
    );
    if let Some((_, usage)) = certificate.get::<KeyUsage>()? {
        ensure!(
            usage.digital_signature(),
            "the certificate's key usage does not allow digitalSignature"
        );
    }
    if let Some((_, constraints)) = certificate.get::<BasicConstraints>()? {
        ensure!(
            !constraints.ca,
            "the certificate is an authority's: sign with a leaf that it issued"
        );
    }
    Ok(())
}
