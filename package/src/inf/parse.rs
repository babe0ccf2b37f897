//! The INF language: sections, entries, quotes, comments, continued lines and
//! `%strkey%` tokens (Microsoft: "General Syntax Rules for INF Files").

use super::Finding;

/// An INF file as written: nothing is merged, reordered or expanded, so that
/// every rule can name the line it speaks of.
#[derive(Debug, Default)]
pub struct Inf {
    /// The sections in file order. A name may occur twice: Windows merges
    /// such sections.
    pub sections: Vec<Section>,
}

/// One `[section]`.
#[derive(Debug)]
pub struct Section {
    /// The name as written.
    pub name: String,
    /// Line of the header, from 1.
    pub line: usize,
    /// The entries, in file order.
    pub entries: Vec<Entry>,
}

/// One entry, `key = value,value` or `value,value`.
#[derive(Debug)]
pub struct Entry {
    /// Line where the entry begins, from 1.
    pub line: usize,
    /// What stands left of `=`, without quotes, tokens unexpanded.
    pub key: Option<String>,
    /// The comma-separated fields, without quotes, tokens unexpanded.
    pub fields: Vec<String>,
}

impl Entry {
    /// The field at `index`, empty when the entry is shorter: Windows makes no
    /// difference between an omitted and an empty field.
    #[must_use]
    pub fn field(&self, index: usize) -> &str {
        self.fields.get(index).map_or("", String::as_str)
    }

    /// Whether the key is `name`, in any case.
    #[must_use]
    pub fn is(&self, name: &str) -> bool {
        self.key
            .as_deref()
            .is_some_and(|key| key.eq_ignore_ascii_case(name))
    }
}

impl Section {
    /// Whether the section is called `name`, in any case.
    #[must_use]
    pub fn is(&self, name: &str) -> bool {
        self.name.eq_ignore_ascii_case(name)
    }

    /// The first entry with the key `name`.
    #[must_use]
    pub fn entry(&self, name: &str) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.is(name))
    }
}

impl Inf {
    /// The first section called `name`.
    #[must_use]
    pub fn section(&self, name: &str) -> Option<&Section> {
        self.sections.iter().find(|section| section.is(name))
    }

    /// The value of the string `key` in `[Strings]`.
    #[must_use]
    pub fn string(&self, key: &str) -> Option<&str> {
        self.sections
            .iter()
            .filter(|section| section.is("Strings"))
            .find_map(|section| section.entry(key))
            .map(|entry| entry.field(0))
    }

    /// `text` with its `%strkey%` tokens replaced. Tokens that are numbers are
    /// directory identifiers and stay, as do undefined ones, which are the
    /// business of the rule `string-undefined`.
    #[must_use]
    pub fn expand(&self, text: &str) -> String {
        let mut expanded = String::new();
        for (index, part) in text.split('%').enumerate() {
            match (index % 2, part) {
                (0, plain) => expanded.push_str(plain),
                (_, "") => expanded.push('%'),
                (_, token) => {
                    if let Some(value) = self.string(token) {
                        expanded.push_str(value);
                    } else {
                        expanded.extend(["%", token, "%"]);
                    }
                }
            }
        }
        expanded
    }
}

/// The `%strkey%` tokens in `text`, without directory identifiers.
pub fn tokens(text: &str) -> impl Iterator<Item = &str> {
    text.split('%')
        .skip(1)
        .step_by(2)
        .filter(|token| !token.is_empty() && token.parse::<u32>().is_err())
}

/// The text of an INF file, or what Windows could misread in its bytes.
///
/// # Errors
/// A finding of the rule `encoding`: Windows reads an INF as UTF-16 when it
/// begins with that byte-order mark, and in the code page of the machine
/// otherwise, where only ASCII means the same everywhere.
pub fn decode(bytes: &[u8]) -> Result<String, Finding> {
    let refuse = |line, what: &str| {
        Err(Finding::new(
            line,
            "encoding",
            what,
            "save the INF as ASCII, or as UTF-16 (little endian) with a byte-order mark",
        ))
    };
    if let Some(utf16) = bytes.strip_prefix(b"\xFF\xFE") {
        let units: Vec<u16> = utf16
            .chunks(2)
            .map(|unit| u16::from_le_bytes([unit[0], unit.get(1).copied().unwrap_or(0)]))
            .collect();
        return String::from_utf16(&units).or_else(|_| refuse(1, "not valid UTF-16"));
    }
    for (index, line) in bytes.split(|byte| *byte == b'\n').enumerate() {
        if line.iter().any(|byte| !byte.is_ascii() || *byte == 0) {
            return refuse(
                index + 1,
                "a byte that is not ASCII in a file without the UTF-16 mark",
            );
        }
    }
    Ok(bytes.iter().copied().map(char::from).collect())
}

/// Parses the text of an INF. What does not parse is reported by the rule
/// `syntax` and skipped, so that the other rules can still speak.
#[must_use]
pub fn parse(text: &str) -> (Inf, Vec<Finding>) {
    let mut inf = Inf::default();
    let mut findings = Vec::new();
    let mut lines = text.lines().enumerate();
    while let Some((index, line)) = lines.next() {
        let number = index + 1;
        let mut logical = match split(line) {
            Ok(split) => split,
            Err(what) => {
                findings.push(syntax(number, what));
                continue;
            }
        };
        while logical.continued {
            let Some((next, line)) = lines.next() else {
                findings.push(syntax(number, "the file ends within a continued line"));
                break;
            };
            match split(line) {
                Ok(more) => logical.append(more),
                Err(what) => {
                    findings.push(syntax(next + 1, what));
                    break;
                }
            }
        }
        if let Err(what) = take(&mut inf, number, logical) {
            findings.push(syntax(number, what));
        }
    }
    (inf, findings)
}

fn syntax(line: usize, what: &str) -> Finding {
    Finding::new(
        line,
        "syntax",
        what,
        "Windows skips or misreads such a line: write [section], key = value,value or value,value",
    )
}

/// The pieces of one line: what stood left of `=`, and the fields.
struct Line {
    header: Option<String>,
    key: Option<String>,
    fields: Vec<String>,
    continued: bool,
}

impl Line {
    fn append(&mut self, more: Self) {
        // The break may stand within a field or after its comma: the last
        // field of this line and the first of the next are one.
        let mut fields = more.fields.into_iter();
        if let (Some(last), Some(first)) = (self.fields.last_mut(), fields.next()) {
            last.push_str(&first);
        }
        self.fields.extend(fields);
        self.continued = more.continued;
    }
}

fn split(line: &str) -> Result<Line, &'static str> {
    let trimmed = line.trim();
    if let Some(rest) = trimmed.strip_prefix('[') {
        let (name, after) = rest
            .split_once(']')
            .ok_or("a section header without its closing bracket")?;
        let after = after.trim();
        if !after.is_empty() && !after.starts_with(';') {
            return Err("text after a section header");
        }
        return Ok(Line {
            header: Some(name.trim().to_owned()),
            key: None,
            fields: Vec::new(),
            continued: false,
        });
    }
    let mut key = None;
    let mut fields = Vec::new();
    let mut field = Field::default();
    let mut continued = false;
    let mut characters = trimmed.chars().peekable();
    while let Some(character) = characters.next() {
        match character {
            '"' if field.quoted && characters.peek() == Some(&'"') => {
                characters.next();
                field.push('"');
            }
            '"' => field.quoted = !field.quoted,
            other if field.quoted => field.push(other),
            ';' => break,
            '\\' if is_end(characters.clone()) => {
                continued = true;
                break;
            }
            '=' if key.is_none() && fields.is_empty() => key = Some(field.take()),
            ',' => fields.push(field.take()),
            other => field.push_outside(other),
        }
    }
    if field.quoted {
        return Err("a quotation mark that is never closed");
    }
    fields.push(field.take());
    Ok(Line {
        header: None,
        key,
        fields,
        continued,
    })
}

/// Whether nothing but a comment follows.
fn is_end(mut rest: impl Iterator<Item = char>) -> bool {
    rest.find(|character| !character.is_whitespace())
        .is_none_or(|character| character == ';')
}

/// A field as it is read: white space counts within quotes and between words.
#[derive(Default)]
struct Field {
    text: String,
    pending: String,
    quoted: bool,
}

impl Field {
    fn push(&mut self, character: char) {
        self.text.push_str(&std::mem::take(&mut self.pending));
        self.text.push(character);
    }

    fn push_outside(&mut self, character: char) {
        if !character.is_whitespace() {
            self.push(character);
        } else if !self.text.is_empty() {
            self.pending.push(character);
        }
    }

    fn take(&mut self) -> String {
        self.pending.clear();
        std::mem::take(&mut self.text)
    }
}

fn take(inf: &mut Inf, number: usize, line: Line) -> Result<(), &'static str> {
    if let Some(name) = line.header {
        if name.is_empty() {
            return Err("a section without a name");
        }
        inf.sections.push(Section {
            name,
            line: number,
            entries: Vec::new(),
        });
        return Ok(());
    }
    if line.key.is_none() && line.fields.iter().all(String::is_empty) {
        return Ok(());
    }
    if line.key.as_deref() == Some("") {
        return Err("nothing stands left of the equals sign");
    }
    inf.sections
        .last_mut()
        .ok_or("an entry before the first section")?
        .entries
        .push(Entry {
            line: number,
            key: line.key,
            fields: line.fields,
        });
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(line: &str) -> Vec<String> {
        let (inf, findings) = parse(&format!("[S]\r\n{line}\r\n"));
        assert!(findings.is_empty(), "{findings:?}");
        inf.sections[0].entries[0].fields.clone()
    }

    #[test]
    fn quotes_keep_commas_semicolons_and_doubled_quotes() {
        assert_eq!(
            fields(r#"k = "a,b;c", "say ""no"""  ; x"#),
            ["a,b;c", r#"say "no""#]
        );
    }

    #[test]
    fn a_backslash_at_the_end_continues_the_line() {
        assert_eq!(fields("k = a, \\ ; more\r\n    b,c"), ["a", "b", "c"]);
    }

    #[test]
    fn a_backslash_within_a_path_does_not() {
        assert_eq!(fields("k = %12%\\pvpanic.sys"), ["%12%\\pvpanic.sys"]);
    }

    #[test]
    fn utf16_with_its_mark_is_read() {
        let bytes: Vec<u8> = std::iter::once(0xFEFF_u16)
            .chain("[A]\r\n".encode_utf16())
            .flat_map(u16::to_le_bytes)
            .collect();
        assert_eq!(decode(&bytes).as_deref(), Ok("[A]\r\n"));
    }

    #[test]
    fn tokens_are_expanded_and_directory_identifiers_are_not() {
        let (inf, _) = parse("[Strings]\nName = \"QEMU\"\n");
        assert_eq!(inf.expand("%12%\\%name%%%"), "%12%\\QEMU%");
    }
}
