//! The bug check itself: the dump and the callbacks of all drivers.

use alloc::vec::Vec;

use crate::{
    kernel::{HIGH_LEVEL, Invocation, Kernel, PASSIVE_LEVEL, Stop, violation},
    layout::{AddPages, DumpIo, SecondaryDumpData, TriageDumpData},
    machine::CrashedBy,
    memory::{Kind, Plain},
    record::{
        ADD_PAGES, BUFFER_FINISHED, BUFFER_STARTED, DUMP_IO, Foreign, Record, SECONDARY_DUMP_DATA,
        TRIAGE_DUMP_DATA, reason_name,
    },
    report::Line,
};

/// How the crash dump goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dump {
    /// No dump is configured.
    Disabled,
    /// It is written to its end.
    Written,
    /// Its write of this number, counted from 1, fails.
    FailsAt(u32),
}

/// `KBUGCHECK_DUMP_IO_TYPE`: header, body, secondary data, complete.
const DUMP_IO_TYPES: [(u32, &str); 4] = [
    (1, "KbDumpIoHeader"),
    (2, "KbDumpIoBody"),
    (3, "KbDumpIoSecondaryData"),
    (4, "KbDumpIoComplete"),
];
/// The writes of a small dump, as indices of [`DUMP_IO_TYPES`].
const WRITES: [usize; 5] = [0, 1, 1, 1, 2];
const PAGE: u64 = 4096;

/// The STOP code of a crash that the machine's user asks for (Microsoft,
/// "`NMI_HARDWARE_FAILURE` error when an NMI is triggered on Windows", and "Forcing
/// a system crash from the keyboard").
pub const fn stop_code(crashed_by: CrashedBy) -> u32 {
    match crashed_by {
        CrashedBy::Nmi => 0x80,
        CrashedBy::Keyboard => 0xE2,
    }
}

/// Crashes Windows with the STOP code `code` on `processor`, where this runs; the
/// others do nothing.
///
/// # Errors
///
/// The rule that a callback broke.
pub fn bug_check(kernel: &Kernel<'_>, code: u32, dump: Dump, processor: u32) -> Result<(), Stop> {
    kernel.with(|state| {
        state.report(
            Line::new("bugcheck")
                .hex("code", code)
                .text(
                    "dump",
                    match dump {
                        Dump::Disabled => "disabled",
                        Dump::Written => "written",
                        Dump::FailsAt(_) => "fails",
                    },
                )
                .number("processor", processor),
        );
        state.bug_check = true;
        state.crashed_again = false;
        state.set_irql(HIGH_LEVEL);
    });
    if dump != Dump::Disabled {
        write_dump(kernel, code, dump)?;
    }
    call_plain(kernel)?;
    kernel.with(|state| {
        state.bug_check = false;
        state.set_irql(PASSIVE_LEVEL);
        state.report(Line::new("bugcheck_end").hex("code", code));
    });
    Ok(())
}

fn write_dump(kernel: &Kernel<'_>, code: u32, dump: Dump) -> Result<(), Stop> {
    let triage = TriageDumpData {
        code,
        maximum: 4096,
        ..TriageDumpData::default()
    };
    call_reason(kernel, TRIAGE_DUMP_DATA, &triage, "")?;
    let pages = AddPages {
        code,
        ..AddPages::default()
    };
    call_reason(kernel, ADD_PAGES, &pages, "")?;
    let buffer = kernel.with(|state| state.allocate(PAGE, Kind::Windows("a buffer of the dump")));
    let buffer = buffer.ok_or_else(|| violation("no-memory", "no memory for the dump"))?;
    let write = |kind: usize, number: u64| {
        let (kind, name) = DUMP_IO_TYPES[kind];
        let io = DumpIo {
            offset: number * PAGE,
            buffer,
            length: 4096,
            kind,
        };
        call_reason(kernel, DUMP_IO, &io, name)
    };
    for (number, kind) in WRITES.iter().enumerate() {
        if DUMP_IO_TYPES[*kind].0 == 3 {
            let data = SecondaryDumpData {
                in_buffer: buffer,
                in_length: 4096,
                maximum: 4096,
                ..SecondaryDumpData::default()
            };
            call_reason(kernel, SECONDARY_DUMP_DATA, &data, "")?;
        }
        write(*kind, number as u64)?;
        if kernel.with(|state| state.crashed_again) {
            return Ok(());
        }
        if dump == Dump::FailsAt(u32::try_from(number).unwrap_or(0) + 1) {
            kernel.with(|state| {
                state.report(Line::new("dump_failed").number("write", number as u64 + 1));
            });
            return Ok(());
        }
    }
    // The completion has no data.
    let (kind, name) = DUMP_IO_TYPES[3];
    let complete = DumpIo {
        offset: u64::MAX,
        buffer: 0,
        length: 0,
        kind,
    };
    call_reason(kernel, DUMP_IO, &complete, name)
}

/// Indices of the records of one list up to the first corrupt one; none when a
/// callback has crashed.
fn walk(kernel: &Kernel<'_>, reason: bool) -> Vec<usize> {
    kernel.with(|state| {
        let mut found = Vec::new();
        if state.crashed_again {
            return found;
        }
        for (index, record) in state.records.iter().enumerate() {
            if record.reason.is_some() != reason {
                continue;
            }
            if record.foreign == Some(Foreign::Corrupt) {
                let line = Line::new("walk_ended").text("component", &record.component);
                state.machine.report(&line.end());
                break;
            }
            found.push(index);
        }
        found
    })
}

/// Another driver's callback crashes. No page says what Windows calls after that:
/// the model calls nothing more, which is the worst that a driver can meet.
fn crash_again(kernel: &Kernel<'_>, record: &Record) {
    kernel.with(|state| {
        state.crashed_again = true;
        let line = Line::new("crashed_again").text("kind", record.kind());
        state.report(line.text("component", &record.component));
    });
}

fn call_reason<T: Plain>(
    kernel: &Kernel<'_>,
    reason: u32,
    data: &T,
    what: &str,
) -> Result<(), Stop> {
    for index in walk(kernel, true) {
        let record = kernel.with(|state| state.records[index].clone());
        if record.reason != Some(reason) {
            continue;
        }
        match record.foreign {
            None => {}
            Some(Foreign::Crashes) => {
                crash_again(kernel, &record);
                return Ok(());
            }
            Some(_) => continue,
        }
        let at = kernel.with(|state| {
            let mut line = Line::new("called")
                .text("kind", record.kind())
                .text("component", &record.component);
            if !what.is_empty() {
                line = line.text("type", what);
            }
            state.report(line);
            let at = state.allocate(size_of::<T>() as u64, Kind::Windows("data of a callback"))?;
            state.write(at, *data, "data of a callback").ok()?;
            Some(at)
        });
        let at = at.ok_or_else(|| violation("no-memory", "no memory for a callback's data"))?;
        kernel.with(|state| state.current = record.owner);
        kernel.call(&Invocation::new(
            reason_name(reason),
            record.routine,
            &[reason.into(), record.address, at, size_of::<T>() as u64],
        ))?;
    }
    Ok(())
}

fn call_plain(kernel: &Kernel<'_>) -> Result<(), Stop> {
    for index in walk(kernel, false) {
        let record = kernel.with(|state| state.records[index].clone());
        match record.foreign {
            None => {}
            Some(Foreign::Crashes) => {
                crash_again(kernel, &record);
                return Ok(());
            }
            Some(_) => continue,
        }
        kernel.with(|state| {
            state.report(
                Line::new("called")
                    .text("kind", "BugCheckCallback")
                    .text("component", &record.component),
            );
            state.current = record.owner;
            state.set_record_state(index, BUFFER_STARTED)
        })?;
        kernel.call(&Invocation::new(
            "BugCheckCallback",
            record.routine,
            &[record.buffer, record.length.into()],
        ))?;
        kernel.with(|state| state.set_record_state(index, BUFFER_FINISHED))?;
    }
    Ok(())
}
