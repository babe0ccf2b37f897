//! Reading lines of the report: one JSON object each, with one key and no object
//! within.

/// The text behind `key`, as it is spelt in the line.
pub fn text<'a>(line: &'a str, key: &str) -> Option<&'a str> {
    let start = line.find(&format!("\"{key}\":\""))? + key.len() + 4;
    line.get(start..)?.split('"').next()
}

/// The number behind `key`; 0 where there is none.
pub fn number(line: &str, key: &str) -> u32 {
    let start = line
        .find(&format!("\"{key}\":"))
        .map(|at| at + key.len() + 3);
    let digits = start.and_then(|at| line.get(at..)).unwrap_or_default();
    let end = digits.find(|digit: char| !digit.is_ascii_digit());
    digits[..end.unwrap_or(digits.len())].parse().unwrap_or(0)
}

/// The kind of a line.
pub fn kind(line: &str) -> &str {
    line.strip_prefix("{\"")
        .and_then(|line| line.split('"').next())
        .unwrap_or_default()
}
