//! The INF: stamping it, reading it, and the rules it must obey.

pub mod model;
pub mod parse;
pub mod rules;
pub mod stamp;

use std::fmt;

/// One breach of a rule. Its text goes after the file's name and a colon, as a
/// compiler reports it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Line in the INF, from 1.
    pub line: usize,
    /// Name of the rule.
    pub rule: &'static str,
    /// What is wrong.
    pub what: String,
    /// What to do about it.
    pub help: &'static str,
}

impl Finding {
    pub(crate) fn new(
        line: usize,
        rule: &'static str,
        what: impl Into<String>,
        help: &'static str,
    ) -> Self {
        Self {
            line,
            rule,
            what: what.into(),
            help,
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}: error[{}]: {}\n  help: {}",
            self.line, self.rule, self.what, self.help
        )
    }
}

/// All findings in the INF `bytes` of a package, in the order of its lines.
#[must_use]
pub fn lint(bytes: &[u8], surroundings: &rules::Surroundings) -> Vec<Finding> {
    let text = match parse::decode(bytes) {
        Ok(text) => text,
        Err(finding) => return vec![finding],
    };
    let (inf, mut findings) = parse::parse(&text);
    rules::apply(&inf, surroundings, &mut findings);
    findings.sort_by_key(|finding| finding.line);
    findings
}
