//! Which event is due at which stage of a bug check.
//!
//! Windows stops the other processors, writes the crash dump if dumps are
//! enabled, calling the dump-I/O callbacks for every write and once when the
//! dump is complete, then calls the plain bug-check callbacks and restarts
//! (Microsoft, "`KBUGCHECK_CALLBACK_ROUTINE`"). With dumps disabled the
//! dump-I/O callbacks are never called, so that the same plain callback which
//! means "after the dump" means "at the bug check" without one.

use core::sync::atomic::{AtomicU8, Ordering::Relaxed};

/// How far the bug check has come, as one device's callbacks saw it. One bit for
/// each stage, so that a set of them is a mask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
enum Stage {
    /// No callback has reported anything.
    Armed = 1 << 0,
    /// `CRASH_LOADED` is sent and the dump is being written, or broke off.
    Dumping = 1 << 1,
    /// `CRASH_LOADED` is sent and the dump is complete.
    Dumped = 1 << 2,
    /// `PANICKED` is sent: nothing more will be.
    Panicked = 1 << 3,
}

/// The service value `Parameters\ReportDumpEnd`: whether a device that sent
/// `CRASH_LOADED` also reports how the dump ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
pub enum ReportDumpEnd {
    /// 0: never.
    #[default]
    Never = 0,
    /// 1: `PANICKED` if the dump broke off, as the guest can't help itself then.
    IfBroken = 1,
    /// 2: `PANICKED` after every dump, so that the host may act on it.
    Always = 2,
}

impl ReportDumpEnd {
    /// Takes the registry value, or [`None`] for a value without a meaning.
    #[must_use]
    pub const fn from_registry(value: u32) -> Option<Self> {
        match value {
            0 => Some(Self::Never),
            1 => Some(Self::IfBroken),
            2 => Some(Self::Always),
            _ => None,
        }
    }

    /// Every [`Stage`] at which the plain callback sends `PANICKED`.
    const fn panicked_stages(self) -> u8 {
        match self {
            Self::Never => Stage::Armed as u8,
            Self::IfBroken => Stage::Armed as u8 | Stage::Dumping as u8,
            Self::Always => Stage::Armed as u8 | Stage::Dumping as u8 | Stage::Dumped as u8,
        }
    }
}

/// What one device has reported of this bug check, and what is still due.
///
/// The callbacks run at `HIGH_LEVEL` with the other processors stopped, so that
/// nothing here waits for anything or runs at the same time; the atomic only
/// gives the callbacks a shared view. An event is latched before it is written:
/// the host may freeze the guest within the write for good, or let it run on.
#[derive(Debug)]
pub struct Progress {
    stage: AtomicU8,
    panicked_stages: u8,
}

impl Progress {
    /// A device that has reported nothing.
    #[must_use]
    pub const fn new(report_dump_end: ReportDumpEnd) -> Self {
        Self {
            stage: AtomicU8::new(Stage::Armed as u8),
            panicked_stages: report_dump_end.panicked_stages(),
        }
    }

    /// A part of the dump was, or is about to be, written. `true` if
    /// `CRASH_LOADED` is due now: at the first write of the dump.
    #[inline]
    #[must_use]
    pub fn dump_write(&self) -> bool {
        let first = self.stage.load(Relaxed) == Stage::Armed as u8;
        if first {
            self.stage.store(Stage::Dumping as u8, Relaxed);
        }
        first
    }

    /// The dump is complete.
    #[inline]
    pub fn dump_complete(&self) {
        if self.stage.load(Relaxed) == Stage::Dumping as u8 {
            self.stage.store(Stage::Dumped as u8, Relaxed);
        }
    }

    /// The bug check has come to its end: the dump, if any, is over. `true` if
    /// `PANICKED` is due now.
    #[inline]
    #[must_use]
    pub fn after_dump(&self) -> bool {
        let due = self.stage.load(Relaxed) & self.panicked_stages != 0;
        if due {
            self.stage.store(Stage::Panicked as u8, Relaxed);
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Events of a device that offers both, for a dump of `writes` writes.
    fn events(report: ReportDumpEnd, writes: usize, complete: bool) -> (usize, usize) {
        let progress = Progress::new(report);
        let mut crash_loaded = 0;
        for _ in 0..writes {
            crash_loaded += usize::from(progress.dump_write());
        }
        if complete {
            crash_loaded += usize::from(progress.dump_write());
            progress.dump_complete();
        }
        // A second round of the plain callbacks must not report again.
        let panicked = usize::from(progress.after_dump()) + usize::from(progress.after_dump());
        (crash_loaded, panicked)
    }

    #[test]
    fn without_a_dump_the_host_sees_panicked_once() {
        for report in [
            ReportDumpEnd::Never,
            ReportDumpEnd::IfBroken,
            ReportDumpEnd::Always,
        ] {
            assert_eq!(events(report, 0, false), (0, 1));
        }
    }

    #[test]
    fn a_complete_dump_is_reported_at_its_end_only_when_asked() {
        assert_eq!(events(ReportDumpEnd::Never, 5, true), (1, 0));
        assert_eq!(events(ReportDumpEnd::IfBroken, 5, true), (1, 0));
        assert_eq!(events(ReportDumpEnd::Always, 5, true), (1, 1));
    }

    #[test]
    fn a_broken_dump_is_reported_when_asked() {
        assert_eq!(events(ReportDumpEnd::Never, 3, false), (1, 0));
        assert_eq!(events(ReportDumpEnd::IfBroken, 3, false), (1, 1));
        assert_eq!(events(ReportDumpEnd::Always, 3, false), (1, 1));
    }

    #[test]
    fn a_dump_of_nothing_but_its_completion_counts_as_a_dump() {
        assert_eq!(events(ReportDumpEnd::Never, 0, true), (1, 0));
        assert_eq!(events(ReportDumpEnd::Always, 0, true), (1, 1));
    }

    #[test]
    fn completion_without_a_reported_dump_changes_nothing() {
        let progress = Progress::new(ReportDumpEnd::Never);
        progress.dump_complete();
        assert!(progress.after_dump());
    }

    #[test]
    fn values_of_report_dump_end_without_a_meaning_are_refused() {
        assert_eq!(ReportDumpEnd::from_registry(0), Some(ReportDumpEnd::Never));
        assert_eq!(
            ReportDumpEnd::from_registry(1),
            Some(ReportDumpEnd::IfBroken)
        );
        assert_eq!(ReportDumpEnd::from_registry(2), Some(ReportDumpEnd::Always));
        assert_eq!(ReportDumpEnd::from_registry(3), None);
        assert_eq!(ReportDumpEnd::from_registry(u32::MAX), None);
    }
}
