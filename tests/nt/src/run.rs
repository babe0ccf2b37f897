//! Taking a driver through a scenario.

use alloc::{
    format,
    string::{String, ToString},
    vec::Vec,
};

use sha2::{Digest, Sha256};

use crate::{
    Machine, Outcome,
    bugcheck::{self, Dump},
    kernel::{Kernel, Stop},
    pnp::{self, Phase},
    report::{Line, hex_bytes},
    scenario::{self, Step},
    status::is_success,
};

/// Why a run ends before its scenario does.
enum End {
    Driver(Stop),
    Refused(String),
    /// Windows has crashed.
    Crashed,
}

impl From<Stop> for End {
    fn from(stop: Stop) -> Self {
        Self::Driver(stop)
    }
}

/// A run under way.
struct Run<'k, 'm> {
    kernel: &'k Kernel<'m>,
    image: &'k [u8],
    matches: Vec<String>,
    loaded: bool,
}

pub fn run(machine: &mut dyn Machine, image: &[u8], text: &str) -> Outcome {
    machine.report(
        &Line::new("image")
            .text("sha256", &hex_bytes(&Sha256::digest(image)))
            .number("size", image.len() as u64)
            .end(),
    );
    let kernel = Kernel::new(machine);
    let outcome = {
        let _active = kernel.activate();
        let mut run = Run {
            kernel: &kernel,
            image,
            matches: Vec::new(),
            loaded: false,
        };
        let result = scenario::parse(text)
            .map_err(|error| End::Refused(error.to_string()))
            .and_then(|steps| {
                for (line, step) in steps {
                    run.step(step).map_err(|end| match end {
                        End::Refused(reason) => {
                            End::Refused(format!("scenario line {line}: {reason}"))
                        }
                        end => end,
                    })?;
                }
                Ok(())
            });
        run.conclude(result)
    };
    kernel.with(|state| {
        state.report_totals();
        let name = match outcome {
            Outcome::Complete => "complete",
            Outcome::Violation => "violation",
            Outcome::Refused => "refused",
        };
        state.report(Line::new("end").text("outcome", name));
    });
    outcome
}

impl Run<'_, '_> {
    fn conclude(&self, result: Result<(), End>) -> Outcome {
        match result {
            Ok(()) | Err(End::Crashed) => Outcome::Complete,
            Err(End::Refused(reason)) => {
                self.kernel
                    .with(|state| state.report(Line::new("refused").text("reason", &reason)));
                Outcome::Refused
            }
            Err(End::Driver(Stop::Violation { rule, text })) => {
                self.kernel.with(|state| {
                    state.report(
                        Line::new("violation")
                            .text("rule", rule)
                            .text("text", &text),
                    );
                });
                Outcome::Violation
            }
            // The driver itself crashed Windows.
            Err(End::Driver(Stop::BugCheck(code))) => {
                self.kernel
                    .with(|state| state.report(Line::new("crashed_by_driver").hex("code", code)));
                let result = bugcheck::bug_check(self.kernel, code, Dump::Written, 0);
                self.conclude(result.map_err(End::Driver))
            }
        }
    }

    /// The number of the device that `name` picks.
    fn device(&self, name: &str) -> Result<usize, End> {
        self.kernel.with(|state| {
            let present = |index: &usize| state.devices[*index].phase != Phase::Gone;
            let by_index = name
                .parse::<usize>()
                .ok()
                .filter(|index| *index < state.devices.len());
            let by_id = (0..state.devices.len()).filter(present).find(|index| {
                let id = &state.devices[*index].description.id;
                id.get(..name.len())
                    .is_some_and(|start| start.eq_ignore_ascii_case(name))
            });
            by_index.or(by_id).ok_or_else(|| {
                let known: Vec<&str> = state
                    .devices
                    .iter()
                    .map(|device| device.description.id.as_str())
                    .collect();
                End::Refused(format!(
                    "there is no device \"{name}\"; there are: {}",
                    if known.is_empty() {
                        "none (load lists them)".into()
                    } else {
                        known.join(", ")
                    }
                ))
            })
        })
    }

    fn phase(&self, device: usize) -> Phase {
        self.kernel.with(|state| state.devices[device].phase)
    }

    /// Starts a device that has no driver yet, if there is a driver.
    fn start(&self, device: usize) -> Result<(), End> {
        let startable = matches!(self.phase(device), Phase::Bare | Phase::Failed);
        if self.loaded && startable {
            pnp::start(self.kernel, device)?;
        }
        Ok(())
    }

    fn take_off(&self, name: &str, how: &str) -> Result<usize, End> {
        let device = self.device(name)?;
        pnp::remove(self.kernel, device, how)?;
        Ok(device)
    }

    fn load(&mut self) -> Result<(), End> {
        if self.loaded {
            return Err(End::Refused("the driver is already loaded".into()));
        }
        pnp::enumerate(self.kernel, &self.matches);
        self.kernel
            .with(|state| state.load_image(self.image))
            .map_err(|error| End::Refused(error.to_string()))?;
        self.loaded = is_success(pnp::enter_driver(self.kernel)?);
        Ok(())
    }

    fn rescan(&self) -> Result<(), End> {
        for gone in pnp::enumerate(self.kernel, &self.matches) {
            pnp::remove(self.kernel, gone, "surprise-remove")?;
            self.kernel
                .with(|state| state.devices[gone].phase = Phase::Gone);
        }
        self.start_all()
    }

    fn start_all(&self) -> Result<(), End> {
        for device in 0..self.kernel.with(|state| state.devices.len()) {
            if self.phase(device) == Phase::Bare {
                self.start(device)?;
            }
        }
        Ok(())
    }

    fn step(&mut self, step: Step) -> Result<(), End> {
        let kernel = self.kernel;
        match step {
            Step::Build(build) => kernel.with(|state| state.build = build),
            Step::Parameter(name, value) => {
                kernel.with(|state| state.parameters.insert(name, value));
            }
            Step::Match(id) => self.matches.push(id),
            Step::Fail(injection) => kernel.with(|state| state.injections.push(injection)),
            Step::Observe => kernel.with(|state| state.observation.on = true),
            Step::Cover => kernel.with(|state| {
                state.observation.on = true;
                state.observation.cover = true;
            }),
            Step::Trace => kernel.with(|state| state.trace = true),
            Step::Other(foreign) => kernel.with(|state| state.add_foreign_record(foreign))?,
            Step::Load => self.load()?,
            Step::Start(None) => self.start_all()?,
            Step::Start(Some(name)) => self.start(self.device(&name)?)?,
            Step::Stop(name) => pnp::stop(kernel, self.device(&name)?)?,
            Step::Restart(name) => {
                let device = self.device(&name)?;
                pnp::stop(kernel, device)?;
                pnp::enumerate(kernel, &self.matches);
                if self.phase(device) == Phase::Stopped {
                    pnp::restart(kernel, device)?;
                }
            }
            Step::Disable(name) => {
                let device = self.device(&name)?;
                // Device Manager does not offer it then.
                if kernel.with(|state| state.can_be_disabled(device)) {
                    pnp::remove(kernel, device, "disable")?;
                }
            }
            Step::Enable(name) => {
                let device = self.device(&name)?;
                if self.phase(device) == Phase::Disabled {
                    pnp::start(kernel, device)?;
                }
            }
            Step::SurpriseRemove(name) => {
                self.take_off(&name, "surprise-remove")?;
            }
            Step::Remove(name) => {
                self.take_off(&name, "remove")?;
            }
            Step::Eject(name) => {
                let device = self.take_off(&name, "eject")?;
                kernel.with(|state| {
                    let description = state.devices[device].description.clone();
                    let done = state.machine.eject(&description);
                    let line = Line::new("ejected").text("id", &description.id);
                    state.report(line.flag("by_bus", done));
                });
            }
            Step::Open(name) => pnp::open(kernel, self.device(&name)?)?,
            Step::Suspend(decode_off) => pnp::suspend(kernel, decode_off)?,
            Step::Resume => pnp::resume(kernel)?,
            Step::Rescan => self.rescan()?,
            Step::Wait(word) => kernel.with(|state| {
                state.report(Line::new("waiting").text("for", &word));
                state.machine.wait_for_host();
            }),
            Step::Unload => {
                if self.loaded {
                    self.loaded = false;
                    pnp::unload(kernel)?;
                }
            }
            Step::Idle(dump) => {
                let crashed_by = kernel.with(|state| {
                    state.report(Line::new("idle"));
                    state.machine.idle()
                });
                let Some(crashed_by) = crashed_by else {
                    return Err(End::Refused("nobody can crash this machine".into()));
                };
                bugcheck::bug_check(kernel, bugcheck::stop_code(crashed_by), dump, 0)?;
                return Err(End::Crashed);
            }
            Step::BugCheck(code, dump, processor) => {
                let mut result = Ok(());
                let run_on = kernel.with(|state| state.machine.run_on());
                let ran = run_on(processor, &mut || {
                    result = bugcheck::bug_check(kernel, code, dump, processor);
                });
                if !ran {
                    return Err(End::Refused(format!("there is no processor {processor}")));
                }
                result?;
                return Err(End::Crashed);
            }
        }
        Ok(())
    }
}
