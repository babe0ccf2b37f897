//! The signer, looked at before anything is changed.

use crate::{
    error::{Failed, Win32Error},
    windows::{Log, Text},
};

/// What Windows says of the catalogue's signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// The name in the signer's certificate, as far as there is one.
    pub signer: Option<Text>,
    /// Why Windows would not install the package without asking.
    pub refused: Option<Win32Error>,
}

/// Lets an installation begin, or not.
///
/// # Errors
/// The signer is not trusted.
pub fn judge(log: &mut impl Log, verdict: Verdict) -> Result<(), Failed> {
    let signer = verdict.signer.unwrap_or("nobody");
    match verdict.refused {
        None => {
            log.report(&["The package is signed by ", signer]);
            Ok(())
        }
        Some(code) => Err(Failed::call(
            log,
            "Nothing was changed: Windows would refuse a driver signed by",
            signer,
            code,
        )),
    }
}
