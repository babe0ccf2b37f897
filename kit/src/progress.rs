//! A line on standard error that says what is going on.

use std::{
    io::{IsTerminal, Write, stderr},
    time::{Duration, Instant},
};

/// How often a line is printed where there is no terminal to rewrite one on.
const PERIOD: Duration = Duration::from_secs(20);

/// One piece of work that takes a while.
pub struct Progress {
    title: String,
    started: Instant,
    printed: Option<Instant>,
    terminal: bool,
}

impl Progress {
    /// Nothing is printed before the first step: work that turns out to be done
    /// already is silent.
    pub fn new(title: impl Into<String>) -> Self {
        Self {
            title: title.into(),
            started: Instant::now(),
            printed: None,
            terminal: stderr().is_terminal(),
        }
    }

    /// Says what the work is at now.
    pub fn step(&mut self, step: &str) {
        let due = self.printed.is_none_or(|last| last.elapsed() >= PERIOD);
        if !self.terminal && !due {
            return;
        }
        let line = format!(
            "{}: {step} ({} s)",
            self.title,
            self.started.elapsed().as_secs()
        );
        let mut out = stderr().lock();
        // A line that can't be printed is no reason to stop building.
        let _ = if self.terminal {
            write!(out, "\r\x1b[K{}", line.chars().take(79).collect::<String>())
        } else {
            writeln!(out, "{line}")
        };
        let _ = out.flush();
        self.printed = Some(Instant::now());
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if self.printed.is_some() {
            let mut out = stderr().lock();
            let _ = if self.terminal {
                write!(out, "\r\x1b[K")
            } else {
                writeln!(
                    out,
                    "{}: {} s",
                    self.title,
                    self.started.elapsed().as_secs()
                )
            };
        }
    }
}
