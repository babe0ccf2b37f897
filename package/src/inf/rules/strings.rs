//! Rules for `%strkey%` tokens, and for what stamping leaves behind.

use super::Surroundings;
use crate::inf::Finding;
use crate::inf::parse::{self, Inf};

pub(super) fn apply(inf: &Inf, _: &Surroundings, findings: &mut Vec<Finding>) {
    let mut used: Vec<&str> = Vec::new();
    for section in inf.sections.iter().filter(|section| !section.is("Strings")) {
        if section.name.contains('$') {
            placeholder(section.line, &section.name, findings);
        }
        for entry in &section.entries {
            for text in entry.key.iter().chain(&entry.fields) {
                if is_placeholder(text) {
                    placeholder(entry.line, text, findings);
                }
                for token in parse::tokens(text) {
                    used.push(token);
                    if inf.string(token).is_none() {
                        findings.push(Finding::new(
                            entry.line,
                            "string-undefined",
                            format!("%{token}% is not in [Strings]"),
                            "define it, or correct the name: Windows would show the token itself",
                        ));
                    }
                }
            }
        }
    }
    let strings = inf.sections.iter().filter(|section| section.is("Strings"));
    let entries: Vec<_> = strings.flat_map(|section| &section.entries).collect();
    for (index, entry) in entries.iter().enumerate() {
        let key = entry.key.as_deref().unwrap_or_default();
        if entries[..index].iter().any(|earlier| earlier.is(key)) {
            findings.push(Finding::new(
                entry.line,
                "string-duplicate",
                format!("{key} is defined again"),
                "keep one: which of them is shown is not defined",
            ));
        }
        if !used.iter().any(|token| token.eq_ignore_ascii_case(key)) {
            findings.push(Finding::new(
                entry.line,
                "string-unused",
                format!("nothing uses %{key}%"),
                "remove it, or use it where the text was meant to appear",
            ));
        }
    }
}

/// `$ARCH$` and the like; `$WINDOWS NT$` is no placeholder.
fn is_placeholder(text: &str) -> bool {
    text.split('$').skip(1).step_by(2).any(|name| {
        !name.is_empty() && name.chars().all(|character| character.is_ascii_uppercase())
    })
}

fn placeholder(line: usize, text: &str, findings: &mut Vec<Finding>) {
    findings.push(Finding::new(
        line,
        "placeholder",
        format!("{text} was not stamped"),
        "make the INF with `cargo xtask package`, not by copying the .inx",
    ));
}
