//! What is decided, on machines of every kind, and what is left when any call
//! fails.

mod machine;

use installer_logic::{
    Before, Device, Failed, Restart, Verdict, Win32Error, install, judge, look, remove,
    remove_older, restore_after_install, restore_after_remove,
};
use machine::{Machine, Session, ours, theirs};

const TODAY: &str = "11/21/2026";

fn this() -> String {
    ours(TODAY, "0.2.0.0")
}

fn device(index: usize, inf: Option<&'static str>) -> Device {
    Device {
        instance: format!(r"ACPI\QEMU0001\{index}").leak(),
        inf,
    }
}

fn machine(store: &[(&str, String)], devices: &[Option<&'static str>]) -> Machine {
    Machine {
        store: store
            .iter()
            .map(|(name, text)| ((*name).to_owned(), text.clone()))
            .collect(),
        devices: devices
            .iter()
            .enumerate()
            .map(|(index, inf)| device(index, *inf))
            .collect(),
    }
}

/// Machines as they are found, by name.
fn machines() -> Vec<(&'static str, Machine)> {
    let other = || {
        (
            "oem3.inf",
            "[Version]\r\nProvider=X\r\nDriverVer=01/01/2020,1.0.0.0\r\n".to_owned(),
        )
    };
    vec![
        ("no device", machine(&[], &[])),
        ("a device without a driver", machine(&[other()], &[None])),
        (
            "virtio-win's driver, older",
            machine(
                &[("oem1.inf", theirs("01/01/2025"))],
                &[Some("oem1.inf"); 2],
            ),
        ),
        (
            "virtio-win's driver, newer",
            machine(
                &[other(), ("oem1.inf", theirs("01/01/2030"))],
                &[Some("oem1.inf"); 2],
            ),
        ),
        (
            "an older one of ours",
            machine(
                &[("oem1.inf", ours("10/01/2026", "0.1.0.0"))],
                &[Some("oem1.inf")],
            ),
        ),
        (
            "an older one of ours, chosen over a newer one of virtio-win's",
            machine(
                &[
                    ("oem1.inf", ours("10/01/2026", "0.1.0.0")),
                    ("oem2.inf", theirs("01/01/2030")),
                ],
                &[Some("oem1.inf")],
            ),
        ),
        (
            "this one, on every device",
            machine(&[("oem1.inf", this())], &[Some("oem1.inf"); 2]),
        ),
        (
            "this one in the store, and virtio-win's on the device",
            machine(
                &[("oem1.inf", this()), ("oem2.inf", theirs("01/01/2030"))],
                &[Some("oem2.inf")],
            ),
        ),
    ]
}

fn before(session: &mut Session) -> Before {
    let before = look(session, r"C:\pvpanic\", this().as_bytes()).expect("it can be looked at");
    session.calls = 0;
    before
}

fn installed(machine: &Machine) -> bool {
    machine.store.iter().any(|(name, text)| {
        *text == this()
            && machine
                .devices
                .iter()
                .all(|device| device.inf == Some(name))
    })
}

#[test]
fn whatever_the_devices_run_they_run_this_package_afterwards() {
    for (name, machine) in machines() {
        let mut session = Session::new(machine, &this());
        let before = before(&mut session);
        assert_eq!(
            install(&mut session, &before),
            Ok(Restart::NotNeeded),
            "{name}"
        );
        assert!(installed(&session.machine), "{name}: {:?}", session.machine);
    }
}

#[test]
fn without_a_device_the_package_is_staged_and_says_so() {
    let mut session = Session::new(machine(&[], &[]), &this());
    let before = before(&mut session);
    install(&mut session, &before).expect("staging is enough");
    assert_eq!(session.machine.store.len(), 1);
    assert!(
        session
            .reports
            .iter()
            .any(|it| it.contains("when one appears"))
    );
}

#[test]
fn a_newer_one_of_ours_keeps_its_device() {
    let newer = [("oem1.inf", ours("12/01/2026", "0.3.0.0"))];
    let mut session = Session::new(machine(&newer, &[Some("oem1.inf")]), &this());
    let before = before(&mut session);
    install(&mut session, &before).expect("that is no failure");
    assert_eq!(session.machine.devices[0].inf, Some("oem1.inf"));
}

#[test]
fn nothing_is_forced_where_that_would_take_a_newer_one_of_ours() {
    let store = [
        ("oem1.inf", ours("12/01/2026", "0.3.0.0")),
        ("oem2.inf", theirs("01/01/2030")),
    ];
    let start = machine(&store, &[Some("oem1.inf"), Some("oem2.inf")]);
    let mut session = Session::new(start.clone(), &this());
    let before = before(&mut session);
    assert_eq!(
        install(&mut session, &before),
        Err(Failed),
        "one device can't have it"
    );
    let message = session.failures.concat();
    assert!(
        message.contains(r"ACPI\QEMU0001\1 still runs oem2.inf"),
        "{message}"
    );
    restore_after_install(&mut session, &before).expect("it can be restored");
    assert_eq!(session.machine, start);
}

#[test]
fn a_driver_that_stays_after_all_is_a_failure_with_its_name_and_the_cure() {
    let start = machine(&[("oem1.inf", theirs("01/01/2030"))], &[Some("oem1.inf")]);
    let mut session = Session::new(start.clone(), &this());
    session.stubborn = true;
    let before = before(&mut session);
    assert_eq!(install(&mut session, &before), Err(Failed), "it stayed");
    let message = session.failures.concat();
    for part in ["oem1.inf", r"ACPI\QEMU0001\0", "Have Disk"] {
        assert!(message.contains(part), "{message}");
    }
    restore_after_install(&mut session, &before).expect("it can be restored");
    assert_eq!(session.machine, start);
}

#[test]
fn a_restart_that_windows_wants_is_passed_on() {
    for (name, machine) in machines().into_iter().skip(1) {
        let mut session = Session::new(machine, &this());
        session.restart = Restart::Needed;
        let before = before(&mut session);
        let there_already = installed(&session.machine);
        let expected = if there_already {
            Restart::NotNeeded
        } else {
            Restart::Needed
        };
        assert_eq!(install(&mut session, &before), Ok(expected), "{name}");
        assert_eq!(remove(&mut session, &before), Ok(Restart::Needed), "{name}");
    }
}

#[test]
fn removal_takes_this_one_then_older_ones_of_ours_and_nothing_else() {
    let store = [
        ("oem1.inf", ours("10/01/2026", "0.1.0.0")),
        ("oem2.inf", this()),
        ("oem3.inf", ours("12/01/2026", "0.3.0.0")),
        ("oem4.inf", theirs("01/01/2025")),
    ];
    let mut session = Session::new(machine(&store, &[Some("oem2.inf")]), &this());
    let before = before(&mut session);
    remove(&mut session, &before).expect("it is there");
    assert_eq!(session.machine.store.len(), 3);
    remove_older(&mut session, &before).expect("it is there");
    let names: Vec<&str> = session
        .machine
        .store
        .iter()
        .map(|it| it.0.as_str())
        .collect();
    assert_eq!(names, ["oem3.inf", "oem4.inf"]);
}

#[test]
fn a_package_that_is_gone_already_is_removed_without_a_word() {
    let start = machine(&[("oem4.inf", theirs("01/01/2025"))], &[Some("oem4.inf")]);
    let mut session = Session::new(start.clone(), &this());
    let before = before(&mut session);
    assert_eq!(remove(&mut session, &before), Ok(Restart::NotNeeded));
    assert_eq!(session.machine, start);
}

#[test]
fn after_an_upgrade_only_the_older_ones_of_ours_go() {
    let store = [
        ("oem1.inf", ours("10/01/2026", "0.1.0.0")),
        ("oem2.inf", this()),
    ];
    let mut session = Session::new(machine(&store, &[Some("oem2.inf")]), &this());
    let before = before(&mut session);
    remove_older(&mut session, &before).expect("it is there");
    assert_eq!(session.machine.store, [("oem2.inf".to_owned(), this())]);
}

#[test]
fn a_signer_that_is_not_trusted_is_named_with_the_cure() {
    let mut session = Session::new(machine(&[], &[]), &this());
    let verdict = |refused| Verdict {
        signer: Some("pvpanic test"),
        refused,
    };
    assert_eq!(judge(&mut session, verdict(None)), Ok(()));
    let refused = Some(Win32Error(0x800B_0109));
    assert_eq!(judge(&mut session, verdict(refused)), Err(Failed));
    let message = session.failures.concat();
    for part in [
        "pvpanic test",
        "0x800B0109",
        "TrustedPublisher",
        "Nothing was changed",
    ] {
        assert!(message.contains(part), "{message}");
    }
}

#[test]
fn another_makers_inf_in_the_installer_is_refused() {
    let mut session = Session::new(machine(&[], &[]), &this());
    assert!(look(&mut session, r"C:\pvpanic\", theirs(TODAY).as_bytes()).is_err());
}

/// Every call of `action` fails in turn, with every kind of code; `restore`
/// must bring back what was there, and the failure must say what to do.
fn each_call_fails(
    prepare: impl Fn(&mut Session, &Before),
    action: fn(&mut Session, &Before) -> Result<Restart, Failed>,
    restore: fn(&mut Session, &Before) -> Result<Restart, Failed>,
) -> usize {
    let mut failures = 0;
    for (name, start) in machines() {
        for code in [5, 32, 112, 1260, 3018, 0xE000_0247, 0x1234_5678] {
            for failing in 1.. {
                let mut session = Session::new(start.clone(), &this());
                let look_at = before(&mut session);
                prepare(&mut session, &look_at);
                let look_at = before(&mut session);
                let start = session.machine.clone();
                session.calls = 0;
                session.code = Win32Error(code);
                session.failing = Some(failing);
                let result = action(&mut session, &look_at);
                if session.calls < failing {
                    break;
                }
                assert_eq!(result, Err(Failed), "a call failed");
                let message = session.failures.concat();
                assert!(message.contains(Win32Error(code).label()), "{message}");
                assert!(message.contains(Win32Error(code).explain().1), "{message}");
                session.failing = None;
                restore(&mut session, &look_at).expect("nothing fails any more");
                assert!(
                    same(&session.machine, &start),
                    "{name}, call {failing}:\n{:?}\n{start:?}",
                    session.machine
                );
                failures += 1;
            }
        }
    }
    failures
}

/// The same packages, by their text, on the same devices: a package that comes
/// back may get another number.
fn same(one: &Machine, other: &Machine) -> bool {
    let text = |machine: &Machine, inf: Option<&str>| {
        let found = machine.store.iter().find(|it| Some(it.0.as_str()) == inf);
        found.map(|it| it.1.clone())
    };
    let store = |machine: &Machine| {
        let mut texts: Vec<String> = machine.store.iter().map(|it| it.1.clone()).collect();
        texts.sort();
        texts
    };
    let devices = |machine: &Machine| -> Vec<_> {
        let each = machine.devices.iter();
        each.map(|device| text(machine, device.inf)).collect()
    };
    store(one) == store(other) && devices(one) == devices(other)
}

#[test]
fn an_installation_that_fails_at_any_call_leaves_what_was_there() {
    let count = each_call_fails(|_, _| {}, install, restore_after_install);
    assert!(count > 200, "only {count} failures");
}

#[test]
fn a_removal_that_fails_at_any_call_leaves_what_was_there() {
    let count = each_call_fails(
        |session, before| {
            install(session, before).expect("nothing fails yet");
        },
        remove,
        restore_after_remove,
    );
    assert!(count > 100, "only {count} failures");
}

#[test]
fn a_restoration_that_fails_itself_says_so() {
    for (name, start) in machines() {
        let mut session = Session::new(start, &this());
        let before = before(&mut session);
        install(&mut session, &before).expect("nothing fails yet");
        for failing in 1.. {
            let mut attempt = session.clone();
            attempt.calls = 0;
            attempt.failing = Some(failing);
            let result = restore_after_install(&mut attempt, &before);
            if attempt.calls < failing {
                break;
            }
            assert!(result.is_err(), "{name}, call {failing}");
        }
    }
}

#[test]
fn a_machine_that_cant_be_looked_at_is_not_touched() {
    for (name, start) in machines() {
        for failing in 1.. {
            let mut session = Session::new(start.clone(), &this());
            session.failing = Some(failing);
            let result = look(&mut session, r"C:\pvpanic\", this().as_bytes());
            if session.calls < failing {
                break;
            }
            assert!(result.is_err(), "{name}, call {failing}");
            assert_eq!(session.machine, start, "{name}");
        }
    }
}
