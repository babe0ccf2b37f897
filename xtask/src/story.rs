//! What happened, as a short timeline.

use std::time::Instant;

use e2e::{
    guest::Line,
    run::{End, Outcome},
};
use serde_json::Value;

/// Prints the timeline of a run.
pub fn print(outcome: &Outcome) {
    let start = outcome.start;
    let qemu = format!("QEMU {} lets the guest run", outcome.qemu);
    let mut moments = vec![(start, "host", qemu)];
    for line in &outcome.report.lines {
        if let Some(text) = sentence(line) {
            moments.push((line.at, "guest", text));
        }
    }
    for event in &outcome.events {
        if event.name != "RESUME" {
            moments.push((event.at, "host", event.name.clone()));
        }
    }
    // The two channels are read by two threads; each keeps its own order.
    moments.sort_by_key(|(at, ..)| *at);
    for (at, who, text) in moments {
        println!("{}", moment(start, at, who, &text));
    }
    match &outcome.end {
        End::Complete => {}
        End::Paused(state) => println!(
            "  {:>8}  {:<5}  the guest stays in state {state}",
            "", "host"
        ),
        End::Exited(code) => println!(
            "  {:>8}  {:<5}  QEMU ends with exit status {}",
            "",
            "host",
            code.map_or_else(|| "unknown".to_owned(), |code| code.to_string())
        ),
    }
}

/// One line of a timeline.
pub fn moment(start: Instant, at: Instant, who: &str, what: &str) -> String {
    let seconds = at.saturating_duration_since(start).as_secs_f64();
    format!("  {:>8}  {who:<5}  {what}", format!("{seconds:.3} s"))
}

/// One line of the report in words, if a person wants to read it.
fn sentence(line: &Line) -> Option<String> {
    let it = &line.content;
    let word = |key: &str| {
        it[key]
            .as_str()
            .map_or_else(|| it[key].to_string(), str::to_owned)
    };
    Some(match line.kind.as_str() {
        "image" => format!(
            "the driver: {} bytes, SHA-256 {}…",
            word("size"),
            word("sha256").get(..16).unwrap_or_default()
        ),
        "bound" => format!("bound to KMDF {}", word("kmdf")),
        "device" => format!("{} is on the bus", word("id")),
        "loaded" if it["status"] != "0x00000000" => {
            format!("DriverEntry failed: NTSTATUS {}", word("status"))
        }
        "acpi" => format!(
            "the driver evaluates {}: {}",
            word("method"),
            word("result")
        ),
        "acpi_children" => format!(
            "the driver looks for {}: {}",
            word("name"),
            it["found"]
                .as_array()
                .and_then(|found| found.first())
                .and_then(|path| path.as_str())
                .unwrap_or("not there")
        ),
        "mapped" => format!(
            "the driver maps {} byte(s) at {}",
            word("length"),
            word("physical")
        ),
        "register_read" => format!("the driver reads {} from {}", word("value"), place(it)),
        "register_write" => format!("the driver writes {} to {}", word("value"), place(it)),
        "callback" if it["registered"] == true => format!("the driver registers {}", callback(it)),
        "callback" => format!("the driver deregisters {}", callback(it)),
        "started" if it["started"] == true => format!("{} is started", word("id")),
        "started" => format!("{} does NOT start: NTSTATUS {}", word("id"), word("status")),
        "bugcheck" => format!("STOP {}", word("code")),
        "refused" => word("reason"),
        "violation" => format!("rule {} is broken: {}", word("rule"), word("text")),
        _ => return None,
    })
}

/// Where a register access went.
fn place(it: &Value) -> String {
    it["port"].as_str().map_or_else(
        || format!("the mapped register, byte {}", it["offset"]),
        |port| format!("port {port}"),
    )
}

/// A bug-check callback, by the name of what registers it.
fn callback(it: &Value) -> &str {
    it["kind"].as_str().unwrap_or("a bug-check callback")
}
