//! `osslsigncode`: Authenticode signatures and their verification.

use std::ffi::OsStr;
use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};

use super::{Key, Source};
use crate::tool::Tool;

/// Signs `file` in place with SHA-256. The file is replaced only when the
/// signature is complete.
///
/// # Errors
/// `osslsigncode` is missing or refuses: its last lines are in the error.
pub fn sign(key: &Key, file: &Path) -> Result<()> {
    let mut output = file.as_os_str().to_owned();
    output.push(".signed");
    let mut tool = Tool::new("osslsigncode");
    tool.args(["sign", "-h", "sha256", "-n", "pvpanic for Windows"]);
    match &key.source {
        Source::Pem { certificates, key } => {
            tool.arg("-certs").arg(certificates).arg("-key").arg(key);
        }
        Source::Pfx { file, password } => {
            tool.arg("-pkcs12").arg(file).password(password.bytes());
        }
        Source::Token {
            uri,
            module,
            certificates,
            password,
        } => {
            tool.arg("-pkcs11module").arg(module).args(["-key", uri]);
            match certificates {
                Some(file) => tool.arg("-certs").arg(file),
                None => tool.args(["-pkcs11cert", uri]),
            };
            tool.password(password.bytes());
        }
    }
    if let Some(server) = &key.timestamp {
        tool.args(["-ts", server]);
    }
    tool.arg("-in").arg(file).arg("-out").arg(&output);
    let signed = tool
        .run()
        .with_context(|| format!("{} could not be signed", file.display()));
    if signed.is_err() {
        // What is left of a failed run must not be taken for a signed file.
        drop(fs::remove_file(&output));
    }
    signed?;
    fs::rename(&output, file).with_context(|| format!("{} can't be replaced", file.display()))
}

/// Verifies the signature of `file`, or with a catalogue that `file` is a
/// member of it and the catalogue's signature, against the root certificates
/// in `roots` (PEM).
///
/// # Errors
/// What `osslsigncode` says is wrong.
pub fn verify(file: &Path, roots: &Path, catalogue: Option<&Path>) -> Result<()> {
    let mut tool = Tool::new("osslsigncode");
    tool.arg("verify").arg("-CAfile").arg(roots);
    let authorities = Path::new("/etc/ssl/certs/ca-certificates.crt");
    if authorities.exists() {
        // Whoever timestamps, the machine's own authorities vouch for.
        tool.arg("-TSA-CAfile").arg(authorities);
    }
    if let Some(catalogue) = catalogue {
        tool.arg("-catalog").arg(catalogue);
    }
    tool.args([OsStr::new("-in"), file.as_os_str()]);
    tool.run()
        .map(drop)
        .with_context(|| format!("{} does not verify", file.display()))
}
