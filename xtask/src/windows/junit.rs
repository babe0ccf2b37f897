//! A `JUnit` XML report, for CI systems that show one.

use std::{fmt::Write as _, fs, path::Path, time::Duration};

use anyhow::{Context, Result};

/// One test case.
#[derive(Debug)]
pub struct Case {
    /// What was tested.
    pub name: String,
    /// How long it took.
    pub time: Duration,
    /// What came of it.
    pub result: Result<(), Trouble>,
}

/// Why a test case has not passed.
#[derive(Debug)]
pub enum Trouble {
    /// It came to another end: a word for the kind of it, and a sentence.
    Failure(&'static str, String),
    /// It could not be tried at all.
    Error(String),
    /// It was not tried, because another failed.
    Skipped,
}

/// Writes the report of one run with what was said in it.
///
/// # Errors
///
/// If the file can't be written.
pub fn write(path: &Path, cases: &[Case], said: &str) -> Result<()> {
    fs::write(path, document(cases, said))
        .with_context(|| format!("can't write {}", path.display()))
}

fn document(cases: &[Case], said: &str) -> String {
    let seconds = |time: Duration| format!("{:.3}", time.as_secs_f64());
    let count = |is: fn(&Trouble) -> bool| {
        let troubles = cases.iter().filter_map(|case| case.result.as_ref().err());
        troubles.filter(|it| is(it)).count()
    };
    let mut body = String::new();
    for case in cases {
        let result = match &case.result {
            Ok(()) => String::new(),
            Err(Trouble::Failure(kind, message)) => format!(
                "<failure type=\"{}\" message=\"{}\"/>",
                escape(kind),
                escape(message)
            ),
            Err(Trouble::Error(message)) => format!("<error message=\"{}\"/>", escape(message)),
            Err(Trouble::Skipped) => "<skipped/>".to_owned(),
        };
        // Writing to a string can't fail.
        let _ = writeln!(
            body,
            "    <testcase classname=\"pvpanic.windows\" name=\"{}\" time=\"{}\">{result}</testcase>",
            escape(&case.name),
            seconds(case.time),
        );
    }
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites>\n  \
         <testsuite name=\"pvpanic\" tests=\"{}\" failures=\"{}\" errors=\"{}\" skipped=\"{}\" \
         time=\"{}\">\n{body}    <system-out>{}</system-out>\n  </testsuite>\n</testsuites>\n",
        cases.len(),
        count(|it| matches!(it, Trouble::Failure(..))),
        count(|it| matches!(it, Trouble::Error(_))),
        count(|it| matches!(it, Trouble::Skipped)),
        seconds(cases.iter().map(|case| case.time).sum()),
        escape(said)
    )
}

/// Text for an attribute or an element. What XML 1.0 has no way to say (most
/// control characters) becomes U+FFFD.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            // A reader makes a blank of them in an attribute.
            '\n' | '\t' | '\r' => {
                // Writing to a string can't fail.
                let _ = write!(escaped, "&#{};", u32::from(character));
            }
            '\0'..='\x1F' | '\u{FFFE}' | '\u{FFFF}' => escaped.push('\u{FFFD}'),
            character => escaped.push(character),
        }
    }
    escaped
}
