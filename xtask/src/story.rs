//! What happened, as a short timeline.

use std::time::Instant;

use e2e::{
    guest::Line,
    run::{End, Outcome},
};

/// Prints the timeline of a run.
pub fn print(outcome: &Outcome) {
    println!(
        "  {:>8}  {:<5}  QEMU {} lets the guest run",
        "0.000 s", "host", outcome.qemu
    );
    let mut moments: Vec<(Instant, &str, String)> = Vec::new();
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
        let seconds = at.saturating_duration_since(outcome.start).as_secs_f64();
        println!("  {:>8}  {who:<5}  {text}", format!("{seconds:.3} s"));
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
            "driver loaded: {} bytes, SHA-256 {}",
            word("size"),
            word("sha256").chars().take(16).collect::<String>() + "…"
        ),
        "bound" => format!("bound to KMDF {}", word("kmdf")),
        "device" => format!("{} found", word("id")),
        "acpi" => format!(
            "{} evaluates {}: {}",
            word("id"),
            word("method"),
            word("result")
        ),
        "register_read" => format!("the driver reads {} at {}", word("value"), word("address")),
        "callback" => format!("{} {} {}", word("component"), word("action"), word("kind")),
        "started" if it["started"] == true => format!("{} started", word("id")),
        "started" => format!("{} did not start: NTSTATUS {}", word("id"), word("status")),
        "bugcheck" => format!("bug check {}", word("code")),
        "violation" | "error" => format!("{}: {}", word("rule"), word("text")),
        _ => return None,
    })
}
