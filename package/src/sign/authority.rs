//! The test certificate: a root and a code-signing leaf, made once.
//!
//! Made by the `openssl` program, which every host that has `osslsigncode` has:
//! crates either bring no RSA, which the Windows kernel wants, or bring an
//! implementation of it that is open to timing attacks.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use crate::staging::Staging;
use crate::tool::Tool;

/// The files of the test certificate.
#[derive(Clone, Debug)]
pub struct TestAuthority {
    /// The root's certificate, PEM. Its key no longer exists.
    pub root: PathBuf,
    /// The leaf's certificate, PEM.
    pub leaf: PathBuf,
    /// The leaf's key, PEM, readable by its owner only.
    pub key: PathBuf,
}

/// The test certificate in `folder`, made when it is not there yet.
///
/// The root's key is deleted as soon as the leaf is signed, so that a machine
/// which trusts the root trusts this one leaf and nothing else.
///
/// # Errors
/// `openssl` is missing or fails, or the folder can't be written.
pub fn test_authority(folder: &Path) -> Result<TestAuthority> {
    let authority = TestAuthority {
        root: folder.join("test-root.pem"),
        leaf: folder.join("test-leaf.pem"),
        key: folder.join("test-leaf.key"),
    };
    if [&authority.root, &authority.leaf, &authority.key]
        .iter()
        .all(|file| file.exists())
    {
        return Ok(authority);
    }
    fs::create_dir_all(folder).with_context(|| format!("{} can't be made", folder.display()))?;
    let staging = Staging::new(folder)?;
    root(staging.path())?;
    leaf(staging.path())?;
    for (from, to) in [
        ("root.pem", &authority.root),
        ("leaf.key", &authority.key),
        ("leaf.pem", &authority.leaf),
    ] {
        fs::rename(staging.path().join(from), to)
            .with_context(|| format!("{} can't be written", to.display()))?;
    }
    Ok(authority)
}

fn root(folder: &Path) -> Result<()> {
    request(
        folder,
        "root",
        "pvpanic test root, trust on test machines only",
        &[
            "basicConstraints=critical,CA:true,pathlen:0",
            "keyUsage=critical,keyCertSign,cRLSign",
        ],
        &[],
    )
}

/// A leaf that Windows accepts for code: the one purpose, a signature key, no
/// authority.
fn leaf(folder: &Path) -> Result<()> {
    request(
        folder,
        "leaf",
        "pvpanic test driver",
        &[
            "basicConstraints=critical,CA:false",
            "keyUsage=critical,digitalSignature",
            "extendedKeyUsage=codeSigning",
        ],
        &["-CA", "root.pem", "-CAkey", "root.key"],
    )
}

fn request(
    folder: &Path,
    name: &str,
    subject: &str,
    extensions: &[&str],
    issuer: &[&str],
) -> Result<()> {
    let mut openssl = Tool::new("openssl");
    openssl
        .directory(folder)
        .args([
            "req", "-x509", "-newkey", "rsa:3072", "-sha256", "-nodes", "-days", "3650",
        ])
        .args(["-subj", &format!("/CN={subject}")])
        .args([
            "-keyout",
            &format!("{name}.key"),
            "-out",
            &format!("{name}.pem"),
        ])
        .args(issuer.iter().copied());
    for extension in extensions {
        openssl.args(["-addext", extension]);
    }
    openssl.run().map(drop)
}
