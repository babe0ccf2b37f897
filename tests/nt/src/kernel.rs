//! The kernel that the driver meets: IRQL, calls into and out of the driver, and
//! what every rule has in common.

use alloc::{
    collections::{BTreeMap, VecDeque},
    format,
    string::{String, ToString},
    vec::Vec,
};
use core::{
    cell::RefCell,
    ptr::NonNull,
    sync::atomic::{AtomicPtr, Ordering},
};

use crate::{
    function::{self, Function},
    gate::{self, ARGUMENTS, Exit, Frame, Returned},
    image::Section,
    kmdf_driver::Framework,
    machine::{Machine, PAGE_SIZE, Protection},
    memory::{Kind, Region},
    object::Objects,
    observe::Observation,
    pnp::Device,
    record::Record,
    report::Line,
};

/// Thread context; everything is permitted.
pub const PASSIVE_LEVEL: u8 = 0;
/// Asynchronous procedure calls held off.
pub const APC_LEVEL: u8 = 1;
/// The dispatcher held off: no page faults from here on.
pub const DISPATCH_LEVEL: u8 = 2;
/// The highest level of a device's interrupts.
pub const DEVICE_LEVEL: u8 = 12;
/// All interrupts held off.
pub const HIGH_LEVEL: u8 = 15;

/// Pages of a kernel stack ("Using the Kernel Stack": 24 KiB on x64, and no other
/// number for ARM64).
pub const STACK_PAGES: usize = 6;
const STACK_PAINT: u64 = 0xC3A5_5A3C_C3A5_5A3C;

/// Why driver code was stopped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stop {
    /// It broke a rule.
    Violation {
        /// The rule's name.
        rule: &'static str,
        /// What the driver did, where, and what Windows demands.
        text: String,
    },
    /// It called `KeBugCheckEx` with this code.
    BugCheck(u32),
}

/// A broken rule.
pub fn violation(rule: &'static str, text: impl Into<String>) -> Stop {
    debug_assert!(crate::rules::is_known(rule), "every rule is in the list");
    Stop::Violation {
        rule,
        text: text.into(),
    }
}

/// The driver's image in memory.
pub struct Image {
    /// Address of its first byte.
    pub base: u64,
    /// Its size in bytes.
    pub size: u64,
    /// Its sections.
    pub sections: Vec<Section>,
    /// Address of its entry point.
    pub entry: u64,
    /// Whether the discardable sections are gone.
    pub discarded: bool,
}

/// A call into the driver.
#[derive(Clone, Debug)]
pub struct Invocation {
    /// The callback's name, as the kit's headers have it.
    pub name: &'static str,
    /// Its address.
    pub target: u64,
    /// Its arguments.
    pub arguments: [u64; ARGUMENTS],
}

impl Invocation {
    /// A call of `target`, which is the driver's `name`.
    pub fn new(name: &'static str, target: u64, arguments: &[u64]) -> Self {
        let mut all = [0; ARGUMENTS];
        for (slot, argument) in all.iter_mut().zip(arguments) {
            *slot = *argument;
        }
        Self {
            name,
            target,
            arguments: all,
        }
    }
}

/// What remains to be done when a function of the model has returned.
#[derive(Clone, Debug)]
pub enum Pending {
    /// Call the driver.
    Call(Invocation),
    /// Forget an object, its context and its handle.
    Forget(u64),
}

/// A call that is to fail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Injection {
    /// The function; `None` for any that can fail.
    pub function: Option<String>,
    /// Which of the calls, counted from 1.
    pub occurrence: u32,
    /// Which of the ways to fail, counted from 0.
    pub way: usize,
}

/// A mapping of registers that the driver made.
#[derive(Clone, Copy, Debug)]
pub struct Mapping {
    /// Where the driver sees it.
    pub address: u64,
    /// Its length in bytes.
    pub length: u64,
    /// The device on whose behalf it was made.
    pub owner: Option<usize>,
}

/// Everything that the model knows.
pub struct State<'m> {
    pub machine: &'m mut dyn Machine,
    /// The Windows build that is modelled.
    pub build: u32,
    pub irql: u8,
    pub image: Option<Image>,
    pub regions: Vec<Region>,
    pub pages: Vec<(NonNull<u8>, usize)>,
    pub objects: Objects,
    pub framework: Framework,
    pub devices: Vec<Device>,
    /// The device whose callback runs.
    pub current: Option<usize>,
    pub records: Vec<Record>,
    /// Addresses of the two list heads of bug-check records.
    pub record_heads: [u64; 2],
    pub mappings: Vec<Mapping>,
    /// Handles of ETW registrations.
    pub providers: BTreeMap<u64, String>,
    /// Values of the service's Parameters key.
    pub parameters: BTreeMap<String, u32>,
    pub pending: VecDeque<Pending>,
    pub injections: Vec<Injection>,
    pub trace: bool,
    pub observation: Observation,
    pub bug_check: bool,
    /// A callback has crashed in it.
    pub crashed_again: bool,
    pub spin_locks_held: u32,
    /// Device properties by device and key: type and bytes.
    pub properties: BTreeMap<(String, String), (u32, Vec<u8>)>,
    /// The create request that the driver has not yet completed.
    pub create_request: Option<u64>,
    pub create_status: u32,
    /// ETW registrations made so far.
    pub registrations: u64,
    /// Address and length of mappings that are no more.
    pub unmapped: Vec<(u64, u64)>,
    pub driver_object: u64,
    pub registry_path: u64,
    /// Address of the stubs that imports and tables point at.
    pub stubs: u64,
    /// The driver's stack, and where its free part ends.
    pub stack_bottom: u64,
    pub stack_free: u64,
    depth: u32,
    running: Vec<&'static str>,
    stack_use: BTreeMap<&'static str, u64>,
    calls: BTreeMap<&'static str, u32>,
    calls_that_can_fail: u32,
    stop: Option<Stop>,
}

/// The model: its state, out of the driver's way while driver code runs.
pub struct Kernel<'m> {
    state: RefCell<State<'m>>,
}

static CURRENT: AtomicPtr<()> = AtomicPtr::new(core::ptr::null_mut());

/// The kernel whose driver code is running.
fn current() -> Option<&'static Kernel<'static>> {
    let kernel = CURRENT.load(Ordering::Acquire).cast::<Kernel<'static>>();
    // SAFETY: the pointer is set for as long as `Kernel::activate`'s guard lives,
    // and the kernel is only ever used through shared references.
    unsafe { kernel.as_ref() }
}

/// Makes a kernel the one that the gate finds, until it is dropped.
pub struct Active;

impl Drop for Active {
    fn drop(&mut self) {
        gate::set_stepping(false);
        CURRENT.store(core::ptr::null_mut(), Ordering::Release);
    }
}

/// Carries out a call from the driver; `None` where the driver is to be stopped.
pub fn dispatch(frame: &Frame) -> Option<u64> {
    let kernel = current()?;
    let result = kernel.dispatch(frame);
    match result {
        Ok(result) => Some(result),
        Err(stop) => {
            kernel.state.borrow_mut().stop = Some(stop);
            None
        }
    }
}

/// Hands an exception in driver code to the running kernel.
pub fn trap(registers: &mut crate::Registers, trap: crate::Trap) -> bool {
    let Some(kernel) = current() else {
        return false;
    };
    let Ok(mut state) = kernel.state.try_borrow_mut() else {
        return false;
    };
    state.trap(registers, trap)
}

impl<'m> Kernel<'m> {
    /// A kernel on `machine` with nothing loaded.
    pub fn new(machine: &'m mut dyn Machine) -> Self {
        Self {
            state: RefCell::new(State {
                machine,
                build: 26100,
                irql: PASSIVE_LEVEL,
                image: None,
                regions: Vec::new(),
                pages: Vec::new(),
                objects: Objects::default(),
                framework: Framework::default(),
                devices: Vec::new(),
                current: None,
                records: Vec::new(),
                record_heads: [0; 2],
                mappings: Vec::new(),
                providers: BTreeMap::new(),
                parameters: BTreeMap::new(),
                pending: VecDeque::new(),
                injections: Vec::new(),
                trace: false,
                observation: Observation::default(),
                bug_check: false,
                crashed_again: false,
                spin_locks_held: 0,
                properties: BTreeMap::new(),
                create_request: None,
                create_status: 0,
                registrations: 0,
                unmapped: Vec::new(),
                driver_object: 0,
                registry_path: 0,
                stubs: 0,
                stack_bottom: 0,
                stack_free: 0,
                depth: 0,
                running: Vec::new(),
                stack_use: BTreeMap::new(),
                calls: BTreeMap::new(),
                calls_that_can_fail: 0,
                stop: None,
            }),
        }
    }

    /// Makes this the kernel that driver code meets.
    pub fn activate(&self) -> Active {
        let this: *const Self = self;
        CURRENT.store(this.cast_mut().cast(), Ordering::Release);
        Active
    }

    /// Does something with the state; driver code must not run meanwhile.
    pub fn with<R>(&self, action: impl FnOnce(&mut State<'m>) -> R) -> R {
        action(&mut self.state.borrow_mut())
    }

    /// Calls the driver.
    ///
    /// # Errors
    ///
    /// The rule that was broken on the way.
    pub fn call(&self, invocation: &Invocation) -> Result<u64, Stop> {
        let (stack_top, irql) = self.with(|state| state.before_call(invocation))?;
        let mut returned = Returned::default();
        // SAFETY: `before_call` has checked that the target is code of the image
        // and gave a part of the driver's stack.
        let exit = unsafe {
            gate::enter(
                invocation.target,
                &invocation.arguments,
                stack_top,
                &mut returned,
            )
        };
        let result =
            self.with(|state| state.after_call(invocation, stack_top, irql, exit, &returned))?;
        self.finish_pending()?;
        Ok(result)
    }

    /// Calls the driver where it has such a callback; `otherwise` is the result
    /// where it has none.
    ///
    /// # Errors
    ///
    /// The rule that was broken on the way.
    pub fn call_if(&self, invocation: &Invocation, otherwise: u64) -> Result<u64, Stop> {
        if invocation.target == 0 {
            return Ok(otherwise);
        }
        self.call(invocation)
    }

    /// Does what the model's functions left to be done.
    ///
    /// # Errors
    ///
    /// The rule that was broken on the way.
    pub fn finish_pending(&self) -> Result<(), Stop> {
        while let Some(next) = self.with(|state| state.pending.pop_front()) {
            match next {
                Pending::Call(invocation) => {
                    self.call(&invocation)?;
                }
                Pending::Forget(handle) => self.with(|state| state.forget_object(handle))?,
            }
        }
        Ok(())
    }

    fn dispatch(&self, frame: &Frame) -> Result<u64, Stop> {
        let (function, result, free) = self.with(|state| {
            let free = state.stack_free;
            match state.called(frame) {
                Ok((function, result)) => Ok((function, result, free)),
                Err(stop) => {
                    if let Some(function) = function::numbered(frame.index) {
                        state.trace_call(frame, function, None);
                    }
                    Err(stop)
                }
            }
        })?;
        if self.with(|state| !state.pending.is_empty()) {
            // What the function calls in turn goes on below its caller's stack.
            self.with(|state| state.stack_free = (frame.stack_before_call() - 0x80) & !15);
            self.finish_pending()?;
            self.with(|state| state.stack_free = free);
        }
        self.with(|state| state.trace_call(frame, function, Some(result)));
        Ok(result)
    }
}

impl Drop for Kernel<'_> {
    fn drop(&mut self) {
        self.state.get_mut().free_everything();
    }
}

impl State<'_> {
    /// Writes a line of the report.
    pub fn report(&mut self, line: Line) {
        self.machine.report(&line.end());
    }

    /// Reports a call while tracing; one that ended the run has no result.
    fn trace_call(&mut self, frame: &Frame, function: &Function, result: Option<u64>) {
        if !self.trace {
            return;
        }
        let mut line = Line::new("call")
            .text("name", function.name)
            .text("by", self.running.last().unwrap_or(&""))
            .hex("at", self.image_offset(frame.caller()).unwrap_or(0))
            .number("irql", self.irql);
        if let Some(result) = result {
            line = line.hex("result", result);
        }
        self.report(line);
    }

    /// Reports something that Windows lets pass but that is wrong.
    pub fn warn(&mut self, rule: &str, text: &str) {
        let line = Line::new("warning").text("rule", rule).text("text", text);
        self.report(line);
    }

    /// Changes the IRQL and with it what is accessible.
    pub fn set_irql(&mut self, irql: u8) {
        let was = self.irql >= DISPATCH_LEVEL;
        self.irql = irql;
        self.machine.set_irql(irql);
        let is = irql >= DISPATCH_LEVEL;
        if was != is {
            self.protect_pageable(is);
        }
    }

    fn protect_pageable(&mut self, hide: bool) {
        let Some(image) = &self.image else { return };
        for section in image.sections.iter().filter(|section| section.pageable) {
            if section.discardable && image.discarded {
                continue;
            }
            let protection = if hide {
                Protection::None
            } else {
                section.protection
            };
            if let Some(start) = NonNull::new((image.base + u64::from(section.start)) as *mut u8) {
                self.machine
                    .protect(start, section.size as usize / PAGE_SIZE, protection);
            }
        }
    }

    fn before_call(&mut self, invocation: &Invocation) -> Result<(u64, u8), Stop> {
        let code = self.region(invocation.target, 1).is_some_and(|region| {
            matches!(region.kind, Kind::Section(index) if self.image.as_ref().is_some_and(
                |image| image.sections[index].protection == Protection::ReadExecute
                    && !(image.discarded && image.sections[index].discardable)
            ))
        });
        if !code {
            return Err(violation(
                "callback-not-code",
                format!(
                    "{} is at {}, which is no code of the driver's that is there now",
                    invocation.name,
                    self.describe(invocation.target)
                ),
            ));
        }
        if self.irql >= DISPATCH_LEVEL && self.is_pageable(invocation.target, 1) {
            return Err(violation(
                "pageable-memory-touched",
                format!(
                    "{} is called at IRQL {} but lies in pageable code, {}; see \"Making Drivers \
                     Pageable\"",
                    invocation.name,
                    self.irql,
                    self.describe(invocation.target)
                ),
            ));
        }
        if self.trace {
            let device = self.current.map(|index| &self.devices[index]);
            let id = device.map_or("", |device| device.description.id.as_str());
            let line = Line::new("enter")
                .text("callback", invocation.name)
                .text("id", id)
                .number("irql", self.irql);
            self.machine.report(&line.end());
        }
        self.running.push(invocation.name);
        if self.depth == 0 {
            self.paint_stack();
        }
        self.depth += 1;
        self.observation.begin();
        gate::set_stepping(self.observation.on);
        Ok((self.stack_free, self.irql))
    }

    fn after_call(
        &mut self,
        invocation: &Invocation,
        stack_top: u64,
        irql: u8,
        exit: Exit,
        returned: &Returned,
    ) -> Result<u64, Stop> {
        self.depth -= 1;
        gate::set_stepping(self.observation.on && self.depth > 0);
        if exit == Exit::Stopped {
            self.running.clear();
            return Err(self.stop.take().unwrap_or_else(|| {
                violation("exception", "the driver was stopped without a reason")
            }));
        }
        if let Some(broken) = returned.broken(stack_top) {
            return Err(violation(
                broken.rule,
                format!("{} returned {}", invocation.name, broken.what),
            ));
        }
        if self.spin_locks_held > 0 {
            return Err(violation(
                "spin-lock-held",
                format!(
                    "{} returned with a spin lock held; see \"Introduction to Spin Locks\"",
                    invocation.name
                ),
            ));
        }
        if self.irql != irql {
            return Err(violation(
                "irql-changed",
                format!(
                    "{} was called at IRQL {irql} and returned at {}; see \"Managing Hardware \
                     Priorities\"",
                    invocation.name, self.irql
                ),
            ));
        }
        self.check_records()?;
        if self.depth == 0 {
            let used = self.painted_over(stack_top);
            let most = self.stack_use.entry(invocation.name).or_default();
            *most = (*most).max(used);
        }
        self.report_observation(invocation);
        self.running.pop();
        Ok(returned.result)
    }

    fn paint_stack(&mut self) {
        let words = STACK_PAGES * PAGE_SIZE / 8;
        // SAFETY: the driver's stack is mapped writable, this long, and unused.
        let stack =
            unsafe { core::slice::from_raw_parts_mut(self.stack_bottom as *mut u64, words) };
        stack.fill(STACK_PAINT);
    }

    fn painted_over(&self, stack_top: u64) -> u64 {
        let words = STACK_PAGES * PAGE_SIZE / 8;
        // SAFETY: the driver's stack is mapped, this long, and no code runs on it.
        let stack = unsafe { core::slice::from_raw_parts(self.stack_bottom as *const u64, words) };
        let first = stack.iter().position(|word| *word != STACK_PAINT);
        first.map_or(0, |index| {
            (stack_top - gate::CALL_BYTES).saturating_sub(self.stack_bottom + index as u64 * 8)
        })
    }

    /// Checks and carries out a call from the driver.
    fn called(&mut self, frame: &Frame) -> Result<(&'static Function, u64), Stop> {
        let caller = frame.caller();
        let result = self.carry_out(frame);
        result.map_err(|stop| match stop {
            Stop::Violation { rule, text } => {
                let name = function::numbered(frame.index).map_or_else(
                    || crate::kmdf_driver::name_of(frame.index),
                    |function| function.name.to_string(),
                );
                let by = self.running.last().copied().unwrap_or("the driver");
                // A tail call leaves no address of the driver's.
                let at = self.image_offset(caller).map_or_else(
                    || "as its last act".into(),
                    |_| format!("before {}", self.describe(caller)),
                );
                Stop::Violation {
                    rule,
                    text: format!("{by} calls {name} {at}: {text}"),
                }
            }
            Stop::BugCheck(code) => Stop::BugCheck(code),
        })
    }

    fn carry_out(&mut self, frame: &Frame) -> Result<(&'static Function, u64), Stop> {
        let Some(function) = function::numbered(frame.index) else {
            let name = crate::kmdf_driver::name_of(frame.index);
            let index = frame.index - u64::from(function::UNMODELLED);
            return Err(violation(
                "not-modelled",
                format!("KMDF function {name} (index {index}) is not modelled"),
            ));
        };
        if let Some(broken) = frame.broken() {
            return Err(violation(broken.rule, broken.what));
        }
        if self.bug_check && !function.in_bug_check {
            return Err(violation(
                "call-in-bug-check",
                format!(
                    "it is called in a bug-check callback at IRQL {}, where only memory and \
                     registers may be touched; see \"Writing a Bug Check Callback Routine\"",
                    self.irql
                ),
            ));
        }
        if self.irql > function.irql {
            return Err(violation(
                "irql-too-high",
                format!(
                    "it is called at IRQL {}, but at most {} is permitted; see \"{}\"",
                    self.irql, function.irql, function.page
                ),
            ));
        }
        self.check_records()?;
        let count = self.calls.entry(function.name).or_default();
        *count += 1;
        let count = *count;
        if !function.failures.is_empty() {
            self.calls_that_can_fail += 1;
        }
        if let Some(result) = self.injected(function, count) {
            return Ok((function, result));
        }
        (function.body)(self, frame).map(|result| (function, result))
    }

    fn injected(&mut self, function: &'static Function, count: u32) -> Option<u64> {
        let total = self.calls_that_can_fail;
        let way = self
            .injections
            .iter()
            .find(|injection| {
                injection.function.as_ref().map_or_else(
                    || injection.occurrence == total && !function.failures.is_empty(),
                    |name| name == function.name && injection.occurrence == count,
                )
            })
            .map(|injection| injection.way)?;
        let failure = function.failures.get(way)?;
        self.report(
            Line::new("fault")
                .text("function", function.name)
                .number("call", count)
                .hex("result", failure.result()),
        );
        Some(failure.result())
    }

    /// Reports the calls and the stack that was used.
    pub fn report_totals(&mut self) {
        for (callback, bytes) in core::mem::take(&mut self.stack_use) {
            self.report(
                Line::new("stack")
                    .text("callback", callback)
                    .number("bytes", bytes),
            );
        }
        let total: u32 = self.calls.values().sum();
        self.report(
            Line::new("calls")
                .number("total", total)
                .number("can_fail", self.calls_that_can_fail),
        );
        self.report_coverage();
    }

    /// Stops the driver because of an exception in it.
    pub fn stop_driver(
        &mut self,
        registers: &mut crate::Registers,
        rule: &'static str,
        text: &str,
    ) {
        let by = self.running.last().copied().unwrap_or("the driver");
        let at = self.describe(registers.next());
        self.stop = Some(violation(rule, format!("{by} at {at}: {text}")));
        registers.go_on_at(gate::stop_address());
    }
}
