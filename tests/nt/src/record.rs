//! Records of bug-check callbacks while Windows has them.

use alloc::{format, string::String, vec::Vec};

use crate::{
    gate::Frame,
    kernel::{State, Stop, violation},
    layout::{CallbackRecord, ReasonRecord},
    memory::{Kind, Plain},
    report::Line,
};

/// A registered record.
#[derive(Clone, Debug)]
pub struct Record {
    /// Its address.
    pub address: u64,
    /// The reason of a reason callback; `None` for a plain one.
    pub reason: Option<u32>,
    pub routine: u64,
    pub component: String,
    component_at: u64,
    pub buffer: u64,
    pub length: u32,
    /// The device on whose behalf it was registered.
    pub owner: Option<usize>,
    /// What the memory has to hold while Windows has the record.
    expected: Vec<u8>,
    /// What is special about it where another driver owns it.
    pub foreign: Option<Foreign>,
}

/// Another driver's record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Foreign {
    /// All is well with it.
    Sound,
    /// Its checksum is wrong.
    Corrupt,
    /// Its callback crashes within the crash.
    Crashes,
}

const REASONS: [&str; 8] = [
    "KbCallbackInvalid",
    "KbCallbackReserved1",
    "KbCallbackSecondaryDumpData",
    "KbCallbackDumpIo",
    "KbCallbackAddPages",
    "KbCallbackSecondaryMultiPartDumpData",
    "KbCallbackRemovePages",
    "KbCallbackTriageDumpData",
];
pub const SECONDARY_DUMP_DATA: u32 = 2;
pub const DUMP_IO: u32 = 3;
pub const ADD_PAGES: u32 = 4;
pub const TRIAGE_DUMP_DATA: u32 = 7;
/// The build (1809) that has `KbCallbackTriageDumpData`.
const TRIAGE_BUILD: u32 = 17_763;

const BUFFER_EMPTY: u8 = 0;
const BUFFER_INSERTED: u8 = 1;
pub const BUFFER_STARTED: u8 = 2;
pub const BUFFER_FINISHED: u8 = 3;
impl Record {
    /// What it was registered for.
    pub fn kind(&self) -> &'static str {
        self.reason
            .map_or("KeRegisterBugCheckCallback", reason_name)
    }

    const fn size(&self) -> u64 {
        if self.reason.is_some() {
            size_of::<ReasonRecord>() as u64
        } else {
            size_of::<CallbackRecord>() as u64
        }
    }
}

/// A name of `KBUGCHECK_CALLBACK_REASON`.
pub fn reason_name(reason: u32) -> &'static str {
    REASONS.get(reason as usize).copied().unwrap_or("unknown")
}

fn bytes_of<T: Plain>(value: &T) -> Vec<u8> {
    let start: *const T = value;
    // SAFETY: a `Plain` value is that many initialised bytes.
    unsafe { core::slice::from_raw_parts(start.cast::<u8>(), size_of::<T>()) }.to_vec()
}

pub fn register_plain(state: &mut State<'_>, frame: &Frame) -> Result<u64, Stop> {
    let record = Record {
        address: frame.argument(0),
        reason: None,
        routine: frame.argument(1),
        buffer: frame.argument(2),
        length: u32::try_from(frame.argument(3) & 0xffff_ffff).unwrap_or(0),
        component_at: frame.argument(4),
        component: String::new(),
        owner: state.current,
        expected: Vec::new(),
        foreign: None,
    };
    if record.length > 0 && state.region(record.buffer, record.length.into()).is_none() {
        state.warn(
            "buffer-not-resident",
            &format!(
                "the Buffer of the record at {} is 0x{:x}, which is no memory; see \
                 \"KeRegisterBugCheckCallback function (wdm.h)\"",
                state.describe(record.address),
                record.buffer
            ),
        );
    }
    let given: u8 = state.read(record.address + 0x38, "CallbackRecord")?;
    state.register(record, given)
}

pub fn register_reason(state: &mut State<'_>, frame: &Frame) -> Result<u64, Stop> {
    let reason = u32::try_from(frame.argument(2) & 0xffff_ffff).unwrap_or(0);
    let record = Record {
        address: frame.argument(0),
        reason: Some(reason),
        routine: frame.argument(1),
        buffer: 0,
        length: 0,
        component_at: frame.argument(3),
        component: String::new(),
        owner: state.current,
        expected: Vec::new(),
        foreign: None,
    };
    let given: u8 = state.read(record.address + 0x2C, "CallbackRecord")?;
    if !(SECONDARY_DUMP_DATA..=TRIAGE_DUMP_DATA).contains(&reason) {
        return Err(violation(
            "bad-argument",
            format!(
                "{reason} is no KBUGCHECK_CALLBACK_REASON; see \"KeRegisterBugCheckReasonCallback \
                 function (wdm.h)\""
            ),
        ));
    }
    if reason == TRIAGE_DUMP_DATA && state.build < TRIAGE_BUILD {
        return Ok(0);
    }
    state.register(record, given)
}

pub fn deregister_plain(state: &mut State<'_>, frame: &Frame) -> Result<u64, Stop> {
    state.deregister(frame.argument(0), false, 0x38)
}

pub fn deregister_reason(state: &mut State<'_>, frame: &Frame) -> Result<u64, Stop> {
    state.deregister(frame.argument(0), true, 0x2C)
}

impl State<'_> {
    fn register(&mut self, mut record: Record, given_state: u8) -> Result<u64, Stop> {
        const PAGE_NAME: &str = "see \"Writing a Bug Check Callback Routine\"";
        let place = self.describe(record.address);
        if self
            .records
            .iter()
            .any(|known| known.address == record.address)
        {
            return Err(violation(
                "record-registered-twice",
                format!("the record at {place} is already registered; {PAGE_NAME}"),
            ));
        }
        let resident = self
            .region(record.address, record.size())
            .is_some_and(|region| {
                matches!(
                    region.kind,
                    Kind::Section(_) | Kind::Pool { .. } | Kind::Context(_)
                )
            });
        if !resident || self.is_pageable(record.address, record.size()) {
            return Err(violation(
                "record-not-resident",
                format!(
                    "the record is at {place}: it has to be in memory that stays and is never \
                     paged out; {PAGE_NAME}"
                ),
            ));
        }
        if given_state != BUFFER_EMPTY {
            return Err(violation(
                "record-not-initialized",
                format!(
                    "the State of the record at {place} is {given_state}, not BufferEmpty: \
                     KeInitializeCallbackRecord comes first; see \"KeInitializeCallbackRecord \
                     macro (wdm.h)\""
                ),
            ));
        }
        record.component = self.read_terminated(record.component_at, 1, 64, "Component")?;
        let stays = self.region(record.component_at, 1).is_some_and(|region| {
            matches!(
                region.kind,
                Kind::Section(_) | Kind::Pool { .. } | Kind::Context(_)
            )
        });
        if !stays || self.is_pageable(record.component_at, record.component.len() as u64 + 1) {
            return Err(violation(
                "component-not-resident",
                format!(
                    "Component is at {}: it has to be in memory that stays and is never paged \
                     out; {PAGE_NAME}",
                    self.describe(record.component_at)
                ),
            ));
        }
        if self.image_offset(record.routine).is_none() || self.is_pageable(record.routine, 1) {
            return Err(violation(
                "routine-not-resident",
                format!(
                    "the callback routine is at {}: it has to be resident code of the driver's; \
                     {PAGE_NAME}",
                    self.describe(record.routine)
                ),
            ));
        }
        self.report(
            Line::new("callback")
                .text("kind", record.kind())
                .text("component", &record.component)
                .flag("registered", true),
        );
        self.records.push(record);
        self.write_records()?;
        Ok(1)
    }

    fn deregister(&mut self, address: u64, reason: bool, state_at: u64) -> Result<u64, Stop> {
        let found = self
            .records
            .iter()
            .position(|record| record.address == address);
        let Some(index) = found else {
            let given: u8 = self.read(address + state_at, "CallbackRecord")?;
            if given == BUFFER_INSERTED {
                return Err(violation(
                    "record-moved",
                    format!(
                        "the record at {} says that it is registered, but was not registered at \
                         that address: records must not be moved or copied",
                        self.describe(address)
                    ),
                ));
            }
            return Ok(0);
        };
        if self.records[index].reason.is_some() != reason {
            return Err(violation(
                "deregistered-with-wrong-function",
                format!(
                    "the record at {} is one of {}; see \"KeDeregisterBugCheckReasonCallback \
                     function (wdm.h)\"",
                    self.describe(address),
                    self.records[index].kind()
                ),
            ));
        }
        let record = self.records.remove(index);
        self.write(address + state_at, BUFFER_EMPTY, "CallbackRecord")?;
        self.write_records()?;
        self.report(
            Line::new("callback")
                .text("kind", record.kind())
                .text("component", &record.component)
                .flag("registered", false),
        );
        Ok(1)
    }

    /// Puts a record of another driver's into both lists.
    ///
    /// # Errors
    ///
    /// A violation where there is no memory.
    pub fn add_foreign_record(&mut self, foreign: Foreign) -> Result<(), Stop> {
        for reason in [None, Some(DUMP_IO)] {
            let size = size_of::<CallbackRecord>() as u64;
            let address = self
                .allocate(size, Kind::Windows("another driver's record"))
                .ok_or_else(|| violation("no-memory", "no memory for a record"))?;
            self.records.push(Record {
                address,
                reason,
                routine: 0,
                component: "another".into(),
                component_at: 0,
                buffer: 0,
                length: 0,
                owner: None,
                expected: Vec::new(),
                foreign: Some(foreign),
            });
        }
        self.write_records()
    }

    /// Writes links, state and checksum of all records, as Windows does when its
    /// lists change.
    fn write_records(&mut self) -> Result<(), Stop> {
        for list in 0..2 {
            if self.record_heads[list] == 0 {
                self.record_heads[list] = self
                    .allocate(16, Kind::Windows("a list of bug-check callbacks"))
                    .ok_or_else(|| violation("no-memory", "no memory for a list head"))?;
            }
            let head = self.record_heads[list];
            let members: Vec<usize> = (0..self.records.len())
                .filter(|index| usize::from(self.records[*index].reason.is_some()) == list)
                .collect();
            let address = |position: Option<usize>| {
                position
                    .and_then(|position| members.get(position))
                    .map_or(head, |index| self.records[*index].address)
            };
            let links: Vec<(u64, u64)> = (0..members.len())
                .map(|at| (address(at.checked_add(1)), address(at.checked_sub(1))))
                .collect();
            for (member, (flink, blink)) in members.iter().zip(links) {
                self.write_record(*member, flink, blink, BUFFER_INSERTED)?;
            }
        }
        Ok(())
    }

    fn write_record(
        &mut self,
        index: usize,
        flink: u64,
        blink: u64,
        given: u8,
    ) -> Result<(), Stop> {
        let record = &self.records[index];
        let checksum = record
            .routine
            .wrapping_add(record.component_at)
            .wrapping_add(record.buffer)
            .wrapping_add(u64::from(record.length))
            .wrapping_add(u64::from(record.reason.unwrap_or(0)));
        let bytes = record.reason.map_or_else(
            || {
                bytes_of(&CallbackRecord {
                    flink,
                    blink,
                    routine: record.routine,
                    buffer: record.buffer,
                    length: record.length,
                    reserved: 0,
                    component: record.component_at,
                    checksum,
                    state: given,
                    padding: [0; 7],
                })
            },
            |reason| {
                bytes_of(&ReasonRecord {
                    flink,
                    blink,
                    routine: record.routine,
                    component: record.component_at,
                    checksum,
                    reason,
                    state: given,
                    padding: [0; 3],
                })
            },
        );
        self.write_bytes(record.address, &bytes, "a bug-check record")?;
        self.records[index].expected = bytes;
        Ok(())
    }

    /// Changes the state of a record, as Windows does around its call.
    ///
    /// # Errors
    ///
    /// A violation where the record can't be written.
    pub fn set_record_state(&mut self, index: usize, given: u8) -> Result<(), Stop> {
        let word = |from: usize| {
            let mut bytes = [0; 8];
            bytes.copy_from_slice(&self.records[index].expected[from..from + 8]);
            u64::from_le_bytes(bytes)
        };
        let (flink, blink) = (word(0), word(8));
        self.write_record(index, flink, blink, given)
    }

    /// Checks that nobody has touched a registered record.
    ///
    /// # Errors
    ///
    /// A violation where one has changed.
    pub fn check_records(&self) -> Result<(), Stop> {
        for record in &self.records {
            let is = self.read_bytes(record.address, record.size(), "a bug-check record")?;
            if let Some(offset) = is.iter().zip(&record.expected).position(|(a, b)| a != b) {
                return Err(violation(
                    "record-altered",
                    format!(
                        "the record at {} ({}, \"{}\") was changed at offset 0x{offset:x} while \
                         registered: Windows checks its links and checksum, and one bad record \
                         can end the walk for everybody",
                        self.describe(record.address),
                        record.kind(),
                        record.component
                    ),
                ));
            }
        }
        Ok(())
    }

    /// Checks that no registered record lies in memory that is about to go.
    ///
    /// # Errors
    ///
    /// A violation where one does.
    pub fn check_freed(&self, start: u64, what: &str) -> Result<(), Stop> {
        let Some(region) = self.region(start, 1) else {
            return Ok(());
        };
        let found = self.records.iter().find(|record| {
            region.contains(record.address, 1) || region.contains(record.component_at, 1)
        });
        found.map_or(Ok(()), |record| {
            Err(violation(
                "record-freed",
                format!(
                    "the memory of the {what} goes while the record for {} in it is registered; \
                     see \"Writing a Bug Check Callback Routine\"",
                    record.kind()
                ),
            ))
        })
    }

    /// The first record that device `owner`, or with `None` anybody, left registered.
    pub fn record_left(&self, owner: Option<usize>) -> Option<String> {
        self.records
            .iter()
            .filter(|record| record.foreign.is_none())
            .find(|record| owner.is_none() || record.owner == owner)
            .map(|record| {
                format!(
                    "the record for {} (\"{}\")",
                    record.kind(),
                    record.component
                )
            })
    }
}
