//! What the host must see of a crash: the contract of virtio-win's driver.
//!
//! Written down a second time, apart from the driver, so that a mistake there is
//! not a mistake here too.

/// `CRASH_LOADED` arrives under this name.
pub const CRASH_LOADED: &str = "GUEST_CRASHLOADED";
/// `PANICKED` arrives under this name.
pub const PANICKED: &str = "GUEST_PANICKED";

/// How the crash dump goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dump {
    /// Dumps are disabled.
    Off,
    /// The dump is written whole.
    Complete,
    /// The dump breaks off after some writes.
    Broken,
}

/// The events of one device that offers `capability`, in order, with the service
/// value `ReportDumpEnd` as given.
#[must_use]
pub fn expected(capability: u8, dump: Dump, report_dump_end: u32) -> Vec<&'static str> {
    if capability == 0xFF {
        return Vec::new();
    }
    match (capability & 3, dump) {
        (1, _) | (3, Dump::Off) => vec![PANICKED],
        (3, Dump::Complete) if report_dump_end == 2 => vec![CRASH_LOADED, PANICKED],
        (3, Dump::Broken) if report_dump_end == 1 || report_dump_end == 2 => {
            vec![CRASH_LOADED, PANICKED]
        }
        (2 | 3, Dump::Complete | Dump::Broken) => vec![CRASH_LOADED],
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_of_the_documentation_is_kept() {
        for (capability, dump, events) in [
            (1, Dump::Complete, vec![PANICKED]),
            (1, Dump::Off, vec![PANICKED]),
            (2, Dump::Complete, vec![CRASH_LOADED]),
            (2, Dump::Off, vec![]),
            (3, Dump::Complete, vec![CRASH_LOADED]),
            (3, Dump::Off, vec![PANICKED]),
            (7, Dump::Complete, vec![CRASH_LOADED]),
            (0, Dump::Off, vec![]),
            (0xFF, Dump::Off, vec![]),
        ] {
            assert_eq!(
                expected(capability, dump, 0),
                events,
                "{capability} {dump:?}"
            );
        }
    }
}
