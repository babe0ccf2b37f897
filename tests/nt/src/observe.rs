//! Watching driver code instruction by instruction, and telling what an exception
//! in it means.

use alloc::{collections::BTreeSet, format, vec::Vec};

use crate::{
    arch::{self, Registers},
    instruction::{self, Access, Target, access, carry_out, mask, value_of, written_irql},
    kernel::{DISPATCH_LEVEL, Invocation, State},
    machine::{PAGE_SIZE, Resource, Trap},
    memory::Kind,
    report::Line,
};

/// What is being observed.
#[derive(Debug, Default)]
pub struct Observation {
    /// Whether driver code is single-stepped.
    pub on: bool,
    /// Whether the instructions that run are kept.
    pub cover: bool,
    count: u64,
    to_output: Option<u64>,
    read: Option<Access>,
    covered: BTreeSet<u32>,
}

impl Observation {
    /// A callback is about to be called.
    pub const fn begin(&mut self) {
        self.count = 0;
        self.to_output = None;
        self.read = None;
    }
}

impl State<'_> {
    /// What an exception means; `false` where driver code was not running.
    pub fn trap(&mut self, registers: &mut Registers, trap: Trap) -> bool {
        match trap {
            Trap::Step => {
                self.step(registers);
                true
            }
            Trap::IrqlWrite { irql } => {
                self.set_irql(irql);
                true
            }
            Trap::Page { address, write } => {
                let (rule, text) = self.explain_page_fault(registers.next(), address, write);
                self.stop_driver(registers, rule, &text);
                true
            }
            Trap::Exception { vector } => {
                let what = arch::exception(vector);
                let text = format!("{what} (exception {vector})");
                self.stop_driver(registers, "exception", &text);
                true
            }
        }
    }

    fn explain_page_fault(
        &self,
        next: u64,
        address: u64,
        write: bool,
    ) -> (&'static str, alloc::string::String) {
        let verb = if next == address {
            "runs"
        } else if write {
            "writes"
        } else {
            "reads"
        };
        let place = self.describe(address);
        let section = self.image_offset(address).and_then(|offset| {
            let image = self.image.as_ref()?;
            image.sections.iter().find(|section| {
                (u64::from(section.start)..u64::from(section.start + section.size))
                    .contains(&offset)
            })
        });
        if let Some(section) = section {
            let discarded = self.image.as_ref().is_some_and(|image| image.discarded);
            if section.discardable && discarded {
                return (
                    "discarded-section-touched",
                    format!("it {verb} {place}, which went away after DriverEntry"),
                );
            }
            if section.pageable && self.irql >= DISPATCH_LEVEL {
                return (
                    "pageable-memory-touched",
                    format!(
                        "it {verb} {place}, which is pageable, at IRQL {}; see \"Making Drivers \
                         Pageable\"",
                        self.irql
                    ),
                );
            }
            return (
                "protection-broken",
                format!("it {verb} {place} against the section's protection"),
            );
        }
        let near_stack = self.regions.iter().any(|region| {
            region.kind == Kind::Stack
                && (region.start - PAGE_SIZE as u64..region.start).contains(&address)
        });
        if near_stack {
            return (
                "stack-overflow",
                "it needs more than the 24 KiB of a kernel stack; see \"Using the Kernel Stack\""
                    .into(),
            );
        }
        let was_mapped = self
            .unmapped
            .iter()
            .any(|(start, length)| (*start..start + length).contains(&address));
        let mapped = self
            .region(address, 1)
            .is_some_and(|r| r.kind == Kind::Registers);
        if was_mapped && !mapped {
            return (
                "registers-not-mapped",
                format!("it {verb} registers at 0x{address:x}, which were unmapped"),
            );
        }
        if let Some(Kind::Freed(_)) = self.region(address, 1).map(|region| &region.kind) {
            return ("freed-memory-touched", format!("it {verb} {place}"));
        }
        if let Some(region) = self.region_before(address) {
            return (
                "memory-overrun",
                format!(
                    "it {verb} {} bytes behind the end of {}",
                    address - region.start - region.length,
                    self.describe(region.start)
                ),
            );
        }
        ("page-fault", format!("it {verb} {place}"))
    }

    fn step(&mut self, registers: &mut Registers) {
        while self.observe(registers) {}
    }

    /// Looks at the instruction that comes next. `true` if it is carried out
    /// already.
    fn observe(&mut self, registers: &mut Registers) -> bool {
        if let Some(access) = self.observation.read.take() {
            self.report_read(&access, registers);
        }
        let offset = self.image_offset(registers.next());
        let Some(offset) = offset.filter(|_| self.observation.on) else {
            // The model's own code is not observed; the gate turns it on again.
            registers.set_stepping(false);
            return false;
        };
        registers.set_stepping(true);
        self.observation.count += 1;
        if self.observation.cover {
            let offset = u32::try_from(offset).unwrap_or(u32::MAX);
            self.observation.covered.insert(offset);
        }
        let length = self.readable(registers.next(), instruction::LONGEST);
        let start = registers.next() as *const u8;
        // SAFETY: these bytes lie in one section, which is accessible now.
        let code = unsafe { core::slice::from_raw_parts(start, length) };
        if let Some(irql) = written_irql(code, registers) {
            self.set_irql(irql);
            return false;
        }
        if let Some(access) = access(code, registers) {
            self.observe_access(access, registers);
            return false;
        }
        carry_out(code, registers, |address, width, write| {
            self.check_memory(address, width.into(), write, "").is_ok()
        })
    }

    fn observe_access(&mut self, access: Access, registers: &mut Registers) {
        let observed = match access.target {
            Target::Port(_) => true,
            Target::Memory(address) => self
                .region(address, 1)
                .is_some_and(|region| region.kind == Kind::Registers),
        };
        if !observed {
            return;
        }
        if let Target::Port(port) = access.target
            && !self.port_assigned(port, access.width)
        {
            let text = format!(
                "it touches port 0x{port:x}, {} wide, which is not assigned to a device that has \
                 its hardware; see \"Finding and Mapping Hardware Resources\"",
                access.width
            );
            self.stop_driver(registers, "port-not-assigned", &text);
            return;
        }
        if let Some(value) = access.written {
            let count = self.observation.count;
            self.observation.to_output.get_or_insert(count);
            let line = self.access_line("register_write", &access);
            self.report(line.hex("value", value));
        } else {
            self.observation.read = Some(access);
        }
    }

    /// How many of `length` bytes at `address` lie in its section and can be read.
    fn readable(&self, address: u64, length: usize) -> usize {
        (1..=length)
            .rev()
            .find(|length| {
                self.check_memory(address, *length as u64, false, "")
                    .is_ok()
            })
            .unwrap_or(0)
    }

    fn port_assigned(&self, port: u16, width: u8) -> bool {
        self.devices
            .iter()
            .filter(|device| device.has_resources)
            .flat_map(|device| &device.description.resources)
            .any(|resource| match *resource {
                Resource::Port { start, length } => u64::from(port)
                    .checked_sub(start)
                    .is_some_and(|offset| offset + u64::from(width) <= length.into()),
                Resource::Memory { .. }
                | Resource::MappedPort { .. }
                | Resource::Interrupt { .. } => false,
            })
    }

    fn access_line(&self, kind: &str, access: &Access) -> Line {
        let line = Line::new(kind);
        let line = match access.target {
            Target::Port(port) => line.hex("port", port),
            Target::Memory(address) => {
                let start = self.region(address, 1).map_or(0, |region| region.start);
                line.number("offset", address - start)
            }
        };
        line.number("width", access.width)
    }

    fn report_read(&mut self, access: &Access, registers: &Registers) {
        let value = value_of(registers, access.destination) & mask(access.width);
        let line = self.access_line("register_read", access);
        self.report(line.hex("value", value));
    }

    /// Reports how many instructions a callback took.
    pub fn report_observation(&mut self, invocation: &Invocation) {
        if !self.observation.on || !self.bug_check {
            return;
        }
        let line = Line::new("observed")
            .text("callback", invocation.name)
            .number("instructions", self.observation.count);
        let line = match self.observation.to_output {
            Some(count) => line.number("instructions_to_output", count),
            None => line,
        };
        self.report(line);
    }

    /// Reports which instructions of the image ran, as offsets.
    pub fn report_coverage(&mut self) {
        if self.observation.cover {
            let covered = core::mem::take(&mut self.observation.covered);
            let offsets: Vec<_> = covered.iter().map(|offset| format!("{offset:x}")).collect();
            self.report(Line::new("covered").texts("offsets", offsets));
        }
    }
}
