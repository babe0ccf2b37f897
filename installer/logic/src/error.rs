//! Errors in words, each with what to do next.

use alloc::string::String;

use crate::windows::{Log, Text};

/// A code of Windows: Win32, setupapi's or an `HRESULT`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Win32Error(pub u32);

/// Something failed, and the administrator has been told what, on what, why,
/// and what to do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Failed;

impl Failed {
    /// Tells of a call that failed.
    pub fn call(log: &mut impl Log, what: &str, on: &str, code: Win32Error) -> Self {
        let (why, cure) = code.explain();
        Self::because(
            log,
            &[what, " (", on, "): ", why, " (", code.label(), "). ", cure],
        )
    }

    /// Tells of a result that is not what was asked for.
    pub(crate) fn because(log: &mut impl Log, parts: &[&str]) -> Self {
        log.fail(parts);
        Self
    }
}

/// What Windows calls success in its own way: `DiInstallDriverW` when nothing
/// had to be installed.
const NO_MORE_ITEMS: u32 = 259;
const NO_SUCH_DEVINST: u32 = 0xE000_020B;

const TRUST: &str = "Put its certificate into the local machine's stores Root and TrustedPublisher \
                     (certutil -addstore), or use a package that Microsoft signed";
const RESTART: &str = "Restart Windows, then try again";
const AGAIN: &str = "Wait for Windows Update and other installers, then try again";
const DAMAGED: &str = "Download the installer again and compare it with SHA256SUMS";

/// Codes with the same reason, the reason, and what to do (Microsoft, "System
/// Error Codes", "Device and Driver Installation Error Codes", "COM Error Codes
/// (Security and Setup)").
const EXPLANATIONS: [(&[u32], &str, &str); 16] = [
    (
        &[0xE000_0242, 0x800B_0004, 0x800B_0109, 0x800B_010A],
        "the signer is not trusted on this machine",
        TRUST,
    ),
    (
        &[0xE000_0243, 0x800B_0111],
        "the signer was marked as not trusted",
        TRUST,
    ),
    (
        &[0xE000_0247],
        "the driver store refused the package, mostly because its signer is not trusted",
        TRUST,
    ),
    (
        &[0x800B_0101],
        "the certificate has expired",
        "Use a package with a time stamp",
    ),
    (
        &[0x800B_010C],
        "the certificate is revoked",
        "Use a package with another signature",
    ),
    (
        &[0x800B_0100, 0xE000_022F],
        "the package is not signed",
        "Use a signed one: Windows loads no other, test mode or not",
    ),
    (
        &[0xE000_0244],
        "the signature is not meant for this version of Windows",
        "Use one that is: Windows Server wants WHQL",
    ),
    (
        &[0x8009_6010, 0xE000_024B],
        "a file is not the one that was signed",
        DAMAGED,
    ),
    (&[2, 3], "a file of the package is missing", DAMAGED),
    (
        &[5],
        "access is denied",
        "Try as administrator; else a security product guards the driver store",
    ),
    (
        &[32, 33, 170, 1618],
        "another installation has the driver store",
        AGAIN,
    ),
    (&[1460], "Windows did not finish in time", AGAIN),
    (
        &[39, 112],
        "the disk is full",
        "Make room on the system drive, then try again",
    ),
    (
        &[636, 638, 3010, 3018, 3019],
        "Windows has a restart pending",
        RESTART,
    ),
    (
        &[1260, 0xE000_0248, 0xE000_0249],
        "a policy forbids the installation",
        "Have it allowed in the group policies under Device Installation",
    ),
    (
        &[0xE000_024C],
        "the package is still in use in the driver store",
        RESTART,
    ),
];

impl Win32Error {
    /// True for the codes with which Windows says that there was no device to
    /// install the package on, or none for which it is better.
    #[must_use]
    pub const fn is_nothing_to_do(self) -> bool {
        matches!(self.0, NO_MORE_ITEMS | NO_SUCH_DEVINST)
    }

    /// In hexadecimal, as Windows' own logs have it.
    #[must_use]
    pub fn label(self) -> Text {
        let mut text = String::from("0x");
        for shift in (0..8).rev() {
            let digit = (self.0 >> (shift * 4)) & 0xF;
            let digit = char::from_digit(digit, 16).unwrap_or('?');
            text.push(digit.to_ascii_uppercase());
        }
        text.leak()
    }

    /// Why, and what to do.
    #[must_use]
    pub fn explain(self) -> (Text, Text) {
        let known = EXPLANATIONS
            .iter()
            .find(|(codes, ..)| codes.contains(&self.0));
        known.map_or(
            (
                "Windows gave this code",
                "Look at the end of setupapi.dev.log",
            ),
            |(_, why, cure)| (why, cure),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::{EXPLANATIONS, Failed, Win32Error};
    use crate::windows::Log;
    use alloc::{string::String, vec::Vec};

    struct Messages(Vec<String>);

    impl Log for Messages {
        fn report(&mut self, parts: &[&str]) {
            self.0.push(parts.concat());
        }

        fn fail(&mut self, parts: &[&str]) {
            self.0.push(parts.concat());
        }
    }

    #[test]
    fn a_failure_says_what_on_what_why_and_what_to_do() {
        let mut log = Messages(Vec::new());
        Failed::call(&mut log, "It failed", "pvpanic.inf", Win32Error(112));
        assert_eq!(
            log.0,
            [
                "It failed (pvpanic.inf): the disk is full (0x00000070). Make room on the system \
                 drive, then try again"
            ]
        );
    }

    #[test]
    fn every_code_for_a_signer_that_is_not_trusted_has_the_cure() {
        for code in [
            0xE000_0242,
            0xE000_0243,
            0xE000_0247,
            0x800B_0109,
            0x800B_010A,
        ] {
            let (_, cure) = Win32Error(code).explain();
            assert!(cure.contains("TrustedPublisher"), "{code:x}");
        }
    }

    #[test]
    fn no_code_has_two_explanations() {
        let mut codes: Vec<u32> = EXPLANATIONS.iter().flat_map(|it| it.0).copied().collect();
        let count = codes.len();
        codes.sort_unstable();
        codes.dedup();
        assert_eq!(codes.len(), count);
    }

    #[test]
    fn an_unknown_code_still_says_where_to_look() {
        assert!(Win32Error(0xDEAD).explain().1.contains("setupapi.dev.log"));
    }
}
