//! Every situation that libvirt is tried in, and what its operator must see.

/// Who crashes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Guest {
    /// The test kernel with the shipped driver.
    Driver,
    /// Debian's kernel with its own driver.
    Linux,
}

/// `<panic>` elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Model {
    /// What they are called in the table.
    pub name: &'static str,
    /// The elements.
    pub xml: &'static str,
    /// How many devices they are.
    devices: usize,
}

const ISA: Model = Model {
    name: "isa",
    xml: "<panic model='isa'/>",
    devices: 1,
};
const ISA_PORT: Model = Model {
    name: "isa, iobase 0x5c0",
    xml: "<panic model='isa'><address type='isa' iobase='0x5c0'/></panic>",
    devices: 1,
};
const DEFAULT: Model = Model {
    name: "<panic/>",
    xml: "<panic/>",
    devices: 1,
};
const PCI: Model = Model {
    name: "pvpanic",
    xml: "<panic model='pvpanic'/>",
    devices: 1,
};
const BOTH: Model = Model {
    name: "isa and pvpanic",
    xml: "<panic model='isa'/><panic model='pvpanic'/>",
    devices: 2,
};

/// How the guest ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Crash {
    /// It crashes and has no crash dump to write.
    NoDump,
    /// It crashes and writes a crash dump; Linux starts a crash kernel for that.
    Dump,
    /// The same, and the driver reports that the dump is finished.
    DumpReported,
    /// It crashes and writes a crash dump, and the device offers `PANICKED` only.
    DumpPanickedOnly,
    /// It does not crash: its QEMU gets a SIGKILL.
    Killed,
}

impl Crash {
    /// What it is called in the table.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::NoDump => "no dump",
            Self::Dump => "dump",
            Self::DumpReported => "dump, ReportDumpEnd 2",
            Self::DumpPanickedOnly => "dump, events=1",
            Self::Killed => "QEMU is killed",
        }
    }

    const fn reports_panic(self) -> bool {
        matches!(
            self,
            Self::NoDump | Self::DumpReported | Self::DumpPanickedOnly
        )
    }

    const fn reports_dump(self) -> bool {
        matches!(self, Self::Dump | Self::DumpReported)
    }
}

/// One situation.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// Who crashes.
    pub guest: Guest,
    /// On which panic devices.
    pub model: Model,
    /// On which machine.
    pub machine: &'static str,
    /// `<on_crash>`.
    pub on_crash: &'static str,
    /// How.
    pub crash: Crash,
}

/// What an operator sees of one guest.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sight {
    /// `virsh event`: crashes, stops and reboots, in order.
    pub events: Vec<String>,
    /// `virsh domstate --reason`.
    pub state: String,
    /// How many dumps are in `auto_dump_path`.
    pub dumps: usize,
    /// The steps of the panic event through libvirtd's log.
    pub log: Vec<String>,
    /// The arguments after the guest's name of each call of the hook, in order.
    pub hook: Vec<String>,
    /// How often the guest booted, by its serial console.
    pub boots: usize,
    /// Whether the serial console has the reason of the crash.
    pub reason: bool,
    /// Whether the guest ran on after its last event.
    pub ran_on: bool,
}

impl Sight {
    /// In a few words.
    #[must_use]
    pub fn summary(&self) -> String {
        let events: Vec<&str> = self
            .events
            .iter()
            .map(|event| event.strip_prefix("Crashed ").unwrap_or(event))
            .collect();
        let events = if events.is_empty() {
            "nothing".to_owned()
        } else {
            events.join(", ")
        };
        let dump = if self.dumps == 0 { "" } else { "; core" };
        format!("{events}; {}{dump}", self.state)
    }

    /// What differs from `expected`, if anything does.
    #[must_use]
    pub fn difference(&self, expected: &Self) -> Option<String> {
        fn line<T: std::fmt::Debug + PartialEq>(
            what: &str,
            expected: &T,
            seen: &T,
        ) -> Option<String> {
            (expected != seen).then(|| format!("{what}: expected {expected:?}, seen {seen:?}"))
        }
        let lines: Vec<String> = [
            line("virsh event", &expected.events, &self.events),
            line("virsh domstate --reason", &expected.state, &self.state),
            line("dumps", &expected.dumps, &self.dumps),
            line("libvirtd's log", &expected.log, &self.log),
            line("the hook's arguments", &expected.hook, &self.hook),
            line("boots", &expected.boots, &self.boots),
            line(
                "reason on the serial console",
                &expected.reason,
                &self.reason,
            ),
            line("the guest ran on", &expected.ran_on, &self.ran_on),
        ]
        .into_iter()
        .flatten()
        .collect();
        (!lines.is_empty()).then(|| lines.join("\n"))
    }
}

/// How the hook is called for a guest that starts, and for one that ends in a crash.
const HOOK_AT_START: [&str; 3] = ["prepare begin -", "start begin -", "started begin -"];
const HOOK_AT_END: [&str; 2] = ["stopped end -", "release end crashed"];

impl Row {
    /// What must be seen.
    #[must_use]
    pub fn expected(&self) -> Sight {
        let mut sight = Sight {
            state: "running (booted)".to_owned(),
            hook: HOOK_AT_START.map(str::to_owned).to_vec(),
            boots: 1,
            reason: self.crash != Crash::Killed,
            ran_on: self.crash == Crash::Dump,
            ..Sight::default()
        };
        if self.crash.reports_dump() {
            for _ in 0..self.model.devices {
                sight.events.push("Crashed Crashloaded".to_owned());
                sight
                    .log
                    .push("qemuMonitorEmitEvent GUEST_CRASHLOADED".to_owned());
                sight.log.push("qemuMonitorEmitGuestCrashloaded".to_owned());
            }
        }
        if self.crash.reports_panic() {
            self.expect_policy(&mut sight);
        }
        if self.crash == Crash::Killed {
            sight.events.push("Stopped Failed".to_owned());
            "shut off (crashed)".clone_into(&mut sight.state);
            sight
                .log
                .push("processMonitorEOFEvent assuming the domain crashed".to_owned());
            sight.hook.extend(HOOK_AT_END.map(str::to_owned));
        }
        sight
    }

    /// QEMU has stopped the guest at the event, and libvirt does as it is told.
    fn expect_policy(&self, sight: &mut Sight) {
        sight.events.push("Crashed Panicked".to_owned());
        sight.log.extend(
            [
                "qemuMonitorEmitEvent GUEST_PANICKED",
                "qemuMonitorEmitGuestPanic",
                "processGuestPanicEvent",
            ]
            .map(str::to_owned),
        );
        sight.dumps = usize::from(self.on_crash.starts_with("coredump-"));
        let (event, state) = match self.on_crash.trim_start_matches("coredump-") {
            "destroy" => (Some("Stopped Crashed"), "shut off (crashed)"),
            "restart" => (Some("reboot"), "running (crashed)"),
            _ => (None, "crashed (panicked)"),
        };
        sight.events.extend(event.map(str::to_owned));
        state.clone_into(&mut sight.state);
        if self.on_crash.ends_with("destroy") {
            sight.hook.extend(HOOK_AT_END.map(str::to_owned));
        }
        sight.boots = if self.on_crash.ends_with("restart") {
            2
        } else {
            1
        };
    }
}

/// All rows. A Linux guest's stands below the driver's.
#[must_use]
pub fn rows() -> Vec<Row> {
    let mut rows = Vec::new();
    let mut row = |guest, model, machine, on_crash, crash| {
        rows.push(Row {
            guest,
            model,
            machine,
            on_crash,
            crash,
        });
    };
    let both = [Guest::Driver, Guest::Linux];
    for (model, machine) in [
        (ISA, "q35"),
        (ISA_PORT, "pc"),
        (DEFAULT, "pc"),
        (PCI, "pc"),
        (BOTH, "pc"),
        (BOTH, "q35"),
    ] {
        row(Guest::Driver, model, machine, "destroy", Crash::NoDump);
    }
    for on_crash in POLICIES {
        for guest in both {
            row(guest, ISA, "pc", on_crash, Crash::NoDump);
        }
    }
    for on_crash in POLICIES {
        row(Guest::Driver, PCI, "q35", on_crash, Crash::NoDump);
        if ["destroy", "coredump-restart"].contains(&on_crash) {
            row(Guest::Linux, PCI, "q35", on_crash, Crash::NoDump);
        }
    }
    for on_crash in POLICIES {
        row(Guest::Driver, ISA, "pc", on_crash, Crash::Dump);
    }
    for guest in both {
        row(guest, PCI, "q35", "destroy", Crash::Dump);
    }
    row(Guest::Driver, BOTH, "pc", "destroy", Crash::Dump);
    for on_crash in ["destroy", "coredump-destroy"] {
        row(Guest::Driver, ISA, "pc", on_crash, Crash::DumpReported);
        row(Guest::Driver, ISA, "pc", on_crash, Crash::DumpPanickedOnly);
    }
    for guest in both {
        row(guest, ISA, "pc", "destroy", Crash::Killed);
    }
    rows
}

const POLICIES: [&str; 5] = [
    "preserve",
    "destroy",
    "restart",
    "coredump-destroy",
    "coredump-restart",
];

#[cfg(test)]
mod tests {
    use super::Sight;

    #[test]
    fn a_difference_names_each_field_with_both_values() {
        let expected = Sight::default();
        let seen = Sight {
            events: vec!["an event".to_owned()],
            state: "a state".to_owned(),
            dumps: 1,
            log: vec!["a step".to_owned()],
            hook: vec!["a call".to_owned()],
            boots: 2,
            reason: true,
            ran_on: true,
        };
        let lines = [
            r#"virsh event: expected [], seen ["an event"]"#,
            r#"virsh domstate --reason: expected "", seen "a state""#,
            "dumps: expected 0, seen 1",
            r#"libvirtd's log: expected [], seen ["a step"]"#,
            r#"the hook's arguments: expected [], seen ["a call"]"#,
            "boots: expected 0, seen 2",
            "reason on the serial console: expected false, seen true",
            "the guest ran on: expected false, seen true",
        ];
        assert_eq!(seen.difference(&expected), Some(lines.join("\n")));
        assert_eq!(seen.difference(&seen), None);
    }
}
