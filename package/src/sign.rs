//! Signatures: Authenticode with the key of a test certificate, of a PKCS#12
//! file or of a PKCS#11 token, by `osslsigncode`; a PKCS#12 file by `SignTool`
//! where that is there.

mod authority;
mod certificate;
mod osslsigncode;
mod password;
mod signtool;

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};

use crate::windows_kit;

pub use authority::{TestAuthority, test_authority};
pub use certificate::check as check_certificate;
pub use osslsigncode::verify;
pub use password::VARIABLE as PASSWORD_VARIABLE;

/// Whose key signs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Signer {
    /// Nobody: Windows will not load the driver.
    #[default]
    None,
    /// The test certificate under `target/sign`.
    Test,
    /// A PKCS#12 file.
    Pfx(PathBuf),
    /// A key in a PKCS#11 token, by its URI (RFC 7512).
    Pkcs11(String),
}

impl Signer {
    /// Reads `none`, `test`, `pfx:FILE` or `pkcs11:…`.
    ///
    /// # Errors
    /// Anything else.
    pub fn parse(text: &str) -> Result<Self> {
        match text.split_once(':') {
            None if text == "none" => Ok(Self::None),
            None if text == "test" => Ok(Self::Test),
            Some(("pfx", file)) if !file.is_empty() => Ok(Self::Pfx(file.into())),
            Some(("pkcs11", rest)) if !rest.is_empty() => Ok(Self::Pkcs11(text.to_owned())),
            _ => bail!("--sign {text}: say none, test, pfx:FILE or pkcs11:URI"),
        }
    }
}

/// Everything a signature needs.
#[derive(Clone, Debug, Default)]
pub struct Signing {
    /// Whose key.
    pub signer: Signer,
    /// The certificates of a token's key, PEM; without it they are read from
    /// the token.
    pub certificates: Option<PathBuf>,
    /// The token's PKCS#11 library.
    pub module: Option<PathBuf>,
    /// An RFC 3161 timestamp server.
    pub timestamp: Option<String>,
}

/// A key that is ready to sign: the files are there and the password is known.
#[derive(Debug)]
pub struct Key {
    source: Source,
    timestamp: Option<String>,
    signtool: Option<PathBuf>,
    root: Option<PathBuf>,
}

/// Signs `file` in place. It is replaced only when the signature is complete.
///
/// # Errors
/// The tool is missing or refuses: its last lines are in the error.
pub fn sign(key: &Key, file: &Path) -> Result<()> {
    match (&key.signtool, &key.source) {
        (
            Some(signtool),
            Source::Pfx {
                file: pfx,
                password,
            },
        ) => signtool::sign(signtool, pfx, password, key.timestamp.as_deref(), file),
        _ => osslsigncode::sign(key, file),
    }
}

impl Key {
    /// The root of the key's certificate, where it is known: the test one's.
    #[must_use]
    pub fn root(&self) -> Option<&Path> {
        self.root.as_deref()
    }
}

#[derive(Debug)]
enum Source {
    Pem {
        certificates: PathBuf,
        key: PathBuf,
    },
    Pfx {
        file: PathBuf,
        password: password::Password,
    },
    Token {
        uri: String,
        module: PathBuf,
        certificates: Option<PathBuf>,
        password: password::Password,
    },
}

impl Signing {
    /// Gets the key ready, asking for a password where one is needed. `None`
    /// when nobody signs. `target` is where the test certificate lives.
    ///
    /// # Errors
    /// A file is not there, no password is given, or the test certificate
    /// can't be made.
    pub fn key(&self, target: &Path) -> Result<Option<Key>> {
        let mut root = None;
        let source =
            match &self.signer {
                Signer::None => return Ok(None),
                Signer::Test => {
                    let authority = test_authority(&target.join("sign"))?;
                    root = Some(authority.root);
                    Source::Pem {
                        certificates: authority.leaf,
                        key: authority.key,
                    }
                }
                Signer::Pfx(file) => Source::Pfx {
                    file: existing(file)?,
                    password: password::get(&format!("password of {}", file.display()))?,
                },
                Signer::Pkcs11(uri) => Source::Token {
                    uri: uri.clone(),
                    module: existing(self.module.as_deref().context(
                        "--sign pkcs11:… needs the token's library: --pkcs11-module FILE",
                    )?)?,
                    certificates: self.certificates.as_deref().map(existing).transpose()?,
                    password: password::get("PIN of the token")?,
                },
            };
        Ok(Some(Key {
            source,
            timestamp: self.timestamp.clone(),
            signtool: windows_kit::find().signtool,
            root,
        }))
    }
}

fn existing(file: &Path) -> Result<PathBuf> {
    std::fs::File::open(file).with_context(|| format!("{} can't be read", file.display()))?;
    Ok(file.to_owned())
}

#[cfg(test)]
mod tests {
    use super::Signer;

    #[test]
    fn a_token_keeps_its_whole_uri() {
        assert_eq!(
            Signer::parse("pkcs11:token=ev;object=key").ok(),
            Some(Signer::Pkcs11("pkcs11:token=ev;object=key".to_owned()))
        );
    }

    #[test]
    fn an_unknown_signer_is_refused() {
        for bad in ["", "pfx", "pfx:", "self", "pkcs11:"] {
            assert!(Signer::parse(bad).is_err(), "{bad}");
        }
    }
}
