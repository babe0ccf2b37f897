//! What libvirtd's own log says of a guest's events.
//!
//! Its lines name a monitor or a domain by address, and only some say which guest
//! that is. Addresses are used again, so the lines are read in order.

use std::collections::HashMap;

/// The steps that a panic event takes through libvirtd, as its log has them for one
/// guest: the monitor hears it, knows it, and the worker acts on it.
#[must_use]
pub fn steps(log: &str, guest: &str) -> Vec<String> {
    let mut guests: HashMap<&str, &str> = HashMap::new();
    let mut domains: HashMap<&str, &str> = HashMap::new();
    let mut workers: HashMap<&str, &str> = HashMap::new();
    let mut steps = Vec::new();
    for line in log.lines() {
        // DATE TIME: THREAD: LEVEL : FUNCTION:LINE : TEXT
        let fields: Vec<&str> = line.splitn(6, ' ').collect();
        let [_, _, thread, _, ":", rest] = fields[..] else {
            continue;
        };
        let Some((place, text)) = rest.split_once(" : ") else {
            continue;
        };
        let function = place.split(':').next().unwrap_or_default();
        let word = |key: &str| {
            text.split([' ', ','])
                .find_map(|word| word.strip_prefix(key)?.strip_prefix(['=', ':']))
                .map(|value| value.trim_matches('\''))
        };
        if let (Some(domain), Some(name)) = (word("vm"), word("name")) {
            guests.insert(domain, name);
        }
        if let (Some(monitor), Some(domain)) = (word("mon"), word("vm")) {
            domains.insert(monitor, domain);
        }
        if let ("qemuProcessEventHandler", Some(domain)) = (function, word("vm")) {
            workers.insert(thread, domain);
        }
        let of_monitor = || word("mon").and_then(|it| domains.get(it));
        let (domain, step) = match function {
            "qemuMonitorEmitEvent" => match word("event") {
                Some(event @ ("GUEST_PANICKED" | "GUEST_CRASHLOADED")) => {
                    (of_monitor(), format!("{function} {event}"))
                }
                _ => continue,
            },
            "qemuMonitorEmitGuestPanic" | "qemuMonitorEmitGuestCrashloaded" => {
                (of_monitor(), function.to_owned())
            }
            "processGuestPanicEvent" => (workers.get(thread), function.to_owned()),
            "processMonitorEOFEvent" if text.contains(&format!("'{guest}' closed without")) => {
                steps.push(format!("{function} assuming the domain crashed"));
                continue;
            }
            _ => continue,
        };
        if domain.and_then(|it| guests.get(it)) == Some(&guest) {
            steps.push(step);
        }
    }
    steps
}

#[cfg(test)]
mod tests {
    use super::steps;

    const LOG: &str = "\
2026-01-01 00:00:00.000+0000: 29: debug : qemuProcessInit:5896 : vm=0xa name='one' id=-1 migration=0
2026-01-01 00:00:00.000+0000: 30: debug : qemuProcessInit:5896 : vm=0xb name=two id=-1 migration=0
2026-01-01 00:00:00.000+0000: 29: debug : qemuMonitorSetCapabilities:1419 : mon:0x1 vm:0xa monfd:20
2026-01-01 00:00:00.000+0000: 30: debug : qemuMonitorSetCapabilities:1419 : mon:0x2 vm:0xb monfd:21
2026-01-01 00:00:00.000+0000: 99: debug : qemuMonitorEmitEvent:1055 : mon=0x1 event=GUEST_PANICKED
2026-01-01 00:00:00.000+0000: 98: debug : qemuMonitorEmitEvent:1055 : mon=0x2 event=GUEST_CRASHLOADED
2026-01-01 00:00:00.000+0000: 99: debug : qemuMonitorEmitGuestPanic:1102 : mon=0x1
2026-01-01 00:00:00.000+0000: 98: debug : qemuMonitorEmitEvent:1055 : mon=0x2 event=STOP
2026-01-01 00:00:00.000+0000: 98: debug : qemuMonitorEmitGuestCrashloaded:1411 : mon=0x2
2026-01-01 00:00:00.000+0000: 50: debug : qemuProcessEventHandler:4074 : vm=0xa, event=1
2026-01-01 00:00:00.000+0000: 50: debug : processGuestPanicEvent:3529 : Preserving lock state '<null>'
2026-01-01 00:00:00.000+0000: 29: debug : qemuProcessInit:5896 : vm=0xa name=three id=-1 migration=0
2026-01-01 00:00:00.000+0000: 50: debug : processMonitorEOFEvent:3878 : Monitor connection to 'three' closed without SHUTDOWN event; assuming the domain crashed
";

    #[test]
    fn the_lines_of_each_guest_are_told_apart() {
        assert_eq!(
            steps(LOG, "one"),
            [
                "qemuMonitorEmitEvent GUEST_PANICKED",
                "qemuMonitorEmitGuestPanic",
                "processGuestPanicEvent"
            ]
        );
        assert_eq!(
            steps(LOG, "two"),
            [
                "qemuMonitorEmitEvent GUEST_CRASHLOADED",
                "qemuMonitorEmitGuestCrashloaded"
            ]
        );
        assert_eq!(
            steps(LOG, "three"),
            ["processMonitorEOFEvent assuming the domain crashed"]
        );
    }
}
