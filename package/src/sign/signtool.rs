//! `SignTool` of the Windows Driver Kit.
//!
//! It takes a PKCS#12 file's password only as an argument, which every user of
//! the machine can read. So the key is put into the user's certificate store
//! by PowerShell, which reads the password from its input, and `SignTool` finds
//! it by its thumbprint; it is removed again however the signing ends.

use std::path::Path;

use anyhow::{Context as _, Result, ensure};

use super::password::Password;
use crate::tool::Tool;

/// Reads the password and prints the thumbprint.
const IMPORT: &str = "$p = [Console]::In.ReadToEnd() | ConvertTo-SecureString -AsPlainText -Force; \
    (Import-PfxCertificate -FilePath $env:PVPANIC_PFX -CertStoreLocation Cert:\\CurrentUser\\My \
    -Password $p).Thumbprint";

/// A key in the user's store, until this is dropped.
struct Stored {
    thumbprint: String,
}

impl Drop for Stored {
    fn drop(&mut self) {
        let removed = Tool::new("powershell")
            .args(["-NoProfile", "-NonInteractive", "-Command"])
            .arg(format!(
                "Remove-Item -DeleteKey Cert:\\CurrentUser\\My\\{}",
                self.thumbprint
            ))
            .run();
        if let Err(error) = removed {
            eprintln!(
                "warning: the key {} stays in the user's store: {error:#}",
                self.thumbprint
            );
        }
    }
}

/// Signs `file` in place with the key in `pfx`.
///
/// # Errors
/// The key can't be read, or `SignTool` refuses.
pub(super) fn sign(
    signtool: &Path,
    pfx: &Path,
    password: &Password,
    timestamp: Option<&str>,
    file: &Path,
) -> Result<()> {
    let output = Tool::new("powershell")
        .args(["-NoProfile", "-NonInteractive", "-Command", IMPORT])
        .env("PVPANIC_PFX", pfx)
        .input(password.bytes())
        .run()
        .with_context(|| format!("{} can't be opened", pfx.display()))?;
    let thumbprint = output.trim().to_owned();
    ensure!(
        thumbprint.len() == 40 && thumbprint.bytes().all(|byte| byte.is_ascii_hexdigit()),
        "{} holds not one key",
        pfx.display()
    );
    let key = Stored { thumbprint };
    let mut tool = Tool::at(signtool);
    tool.args(["sign", "/fd", "SHA256", "/sha1", &key.thumbprint]);
    if let Some(server) = timestamp {
        tool.args(["/tr", server, "/td", "SHA256"]);
    }
    tool.arg(file)
        .run()
        .map(drop)
        .with_context(|| format!("{} could not be signed", file.display()))
}
