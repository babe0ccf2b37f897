//! The report of the test kernel: one JSON object on each line of the guest's
//! serial port (`tests/nt/README.md`).

use std::time::Instant;

use anyhow::{Result, anyhow};
use serde_json::Value;

/// One line of the report: its kind, its content, and when it arrived.
#[derive(Clone, Debug)]
pub struct Line {
    /// The key of the JSON object, for example `started`.
    pub kind: String,
    /// Its value.
    pub content: Value,
    /// When this process read it.
    pub at: Instant,
}

/// All that a guest reported.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// The lines, in order.
    pub lines: Vec<Line>,
}

impl Report {
    /// Takes one line of the serial port. Firmware writes there too, before the
    /// guest does: a line that starts with no brace is not the report's.
    ///
    /// # Errors
    ///
    /// If it looks like a report and is none.
    pub fn take(&mut self, text: &str, at: Instant) -> Result<()> {
        if !text.starts_with('{') {
            return Ok(());
        }
        let line: Value = serde_json::from_str(text)
            .map_err(|error| anyhow!("the guest reported {text:?}, which is no JSON: {error}"))?;
        let (kind, content) = line
            .as_object()
            .and_then(|object| object.iter().next())
            .ok_or_else(|| anyhow!("the guest reported {text:?}, which names nothing"))?;
        self.lines.push(Line {
            kind: kind.clone(),
            content: content.clone(),
            at,
        });
        Ok(())
    }

    /// The contents of all lines of one kind.
    pub fn all<'a>(&'a self, kind: &'a str) -> impl Iterator<Item = &'a Value> {
        self.lines
            .iter()
            .filter(move |line| line.kind == kind)
            .map(|line| &line.content)
    }

    /// The content of the first line of one kind.
    #[must_use]
    pub fn first(&self, kind: &str) -> Option<&Value> {
        self.lines
            .iter()
            .find(|line| line.kind == kind)
            .map(|line| &line.content)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_firmware_writes_is_not_the_report() {
        let mut report = Report::default();
        report
            .take("SeaBIOS (version 1.16)", Instant::now())
            .expect("no report");
        report
            .take(r#"{"started":{"status":"0x00000000"}}"#, Instant::now())
            .expect("a report");
        assert_eq!(report.lines.len(), 1);
        assert_eq!(
            report.first("started").and_then(|it| it["status"].as_str()),
            Some("0x00000000")
        );
    }

    #[test]
    fn a_broken_report_is_an_error() {
        let mut report = Report::default();
        assert!(report.take("{\"started\":", Instant::now()).is_err());
        assert!(report.take("{}", Instant::now()).is_err());
    }
}
