//! What the documents say of this repository holds: each command that they name
//! is one, each link leads somewhere, each file is there. And the other way round:
//! what the command line takes is written down.

use std::{
    collections::BTreeSet,
    ffi::OsString,
    fs,
    iter::once,
    path::{Path, PathBuf},
};

use anyhow::Result;
use pulldown_cmark::{CodeBlockKind, Event, Options, Parser, Tag, TagEnd};

use crate::{
    command::{COMMANDS, Command, USAGE},
    test::SUITES,
};

/// Folders that hold no document of ours.
const OTHERS: [&str; 2] = ["target", ".git"];

/// What a Markdown file says, as far as it can be held against something.
#[derive(Debug, Default)]
struct Document {
    /// Code within a line.
    spans: Vec<String>,
    /// All code, but for blocks marked `text`: diagrams and output.
    code: String,
    /// What it gives cargo to do.
    commands: Vec<String>,
    /// Where links lead.
    links: Vec<String>,
    /// The names of its headings.
    anchors: Vec<String>,
}

impl Document {
    fn new(text: &str) -> Self {
        let mut document = Self::default();
        let mut heading: Option<String> = None;
        let mut block: Option<String> = None;
        for event in Parser::new_ext(text, Options::ENABLE_TABLES) {
            match event {
                Event::Start(Tag::CodeBlock(CodeBlockKind::Fenced(language)))
                    if &*language == "text" => {}
                Event::Start(Tag::CodeBlock(_)) => block = Some(String::new()),
                Event::End(TagEnd::CodeBlock) => document.take(&block.take().unwrap_or_default()),
                Event::Start(Tag::Heading { .. }) => heading = Some(String::new()),
                Event::End(TagEnd::Heading(_)) => {
                    let anchor = document.anchor(&heading.take().unwrap_or_default());
                    document.anchors.push(anchor);
                }
                Event::Start(Tag::Link { dest_url, .. } | Tag::Image { dest_url, .. }) => {
                    document.links.push(dest_url.to_string());
                }
                Event::Text(text) => {
                    for open in [&mut heading, &mut block].into_iter().flatten() {
                        open.push_str(&text);
                    }
                }
                Event::Code(code) => {
                    if let Some(heading) = &mut heading {
                        heading.push_str(&code);
                    }
                    document.take(&code);
                    document.spans.push(code.to_string());
                }
                _ => {}
            }
        }
        document
    }

    /// The name that GitHub gives a heading.
    fn anchor(&self, heading: &str) -> String {
        let name: String = heading
            .to_lowercase()
            .chars()
            .filter(|it| it.is_alphanumeric() || " -_".contains(*it))
            .map(|it| if it == ' ' { '-' } else { it })
            .collect();
        let mut anchor = name.clone();
        let mut before = 0;
        while self.anchors.contains(&anchor) {
            before += 1;
            anchor = format!("{name}-{before}");
        }
        anchor
    }

    fn take(&mut self, code: &str) {
        let code = code.replace("\\\n", " ");
        self.commands.extend(code.lines().filter_map(command));
        self.code.push_str(&code);
        self.code.push('\n');
    }
}

/// What stands after `cargo` in a line of shell, up to a comment or the next command.
fn command(line: &str) -> Option<String> {
    let (before, after) = line.split_once("cargo ")?;
    if before.contains(|it: char| it.is_alphanumeric() || it == '#') {
        return None;
    }
    let end = [" #", "|", "&", ";", ">"]
        .into_iter()
        .filter_map(|it| after.find(it));
    Some(after[..end.min().unwrap_or(after.len())].trim().to_owned())
}

/// The same in a workflow, where a step may begin in its line.
fn command_of_workflow(line: &str) -> Option<String> {
    let line = line.trim_start_matches(['-', ' ']);
    command(line.strip_prefix("run:").unwrap_or(line))
}

/// The same in the comments and messages of a source file.
fn commands_of_source(text: &str) -> Vec<String> {
    text.split("`cargo ")
        .skip(1)
        .filter_map(|rest| rest.split_once('`'))
        .map(|(command, _)| command.to_owned())
        .collect()
}

/// Parses a command line of cargo's as this repository's programs do, and runs none
/// of it.
fn parse(line: &str) -> Result<()> {
    let words: Vec<&str> = line
        .split_whitespace()
        .map(|word| word.trim_matches(['"', '\'']))
        .collect();
    match words[..] {
        ["xtask", ref words @ ..] => match Command::parse(&mut lexopt::Parser::from_args(words))? {
            Command::Package(options) => {
                package::parse(once(OsString::from("package")).chain(options)).map(drop)
            }
            _ => Ok(()),
        },
        ["run", "-p", "package", "--", ref words @ ..] => {
            package::parse(words.iter().map(OsString::from)).map(drop)
        }
        _ => Ok(()),
    }
}

/// Every file of the repository with that ending, in order, and its text.
fn files(extension: &str) -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    let mut folders = vec![kit::root()];
    while let Some(folder) = folders.pop() {
        let entries = fs::read_dir(&folder).expect("a folder of the repository can be read");
        for entry in entries {
            let path = entry.expect("it can be listed").path();
            if path.is_dir() {
                if !OTHERS.iter().any(|other| path.ends_with(other)) {
                    folders.push(path);
                }
            } else if path.extension().is_some_and(|it| it == extension) {
                let text = fs::read_to_string(&path).expect("it is text");
                found.push((path, text));
            }
        }
    }
    found.sort();
    found
}

fn documents() -> Vec<(PathBuf, Document)> {
    let documents: Vec<_> = files("md")
        .into_iter()
        .map(|(path, text)| (path, Document::new(&text)))
        .collect();
    assert!(documents.len() > 5, "the documents were not found");
    documents
}

/// What is wrong with a link that stands in the file `from`.
fn broken(from: &Path, link: &str) -> Option<&'static str> {
    if ["https://", "http://", "mailto:"]
        .iter()
        .any(|it| link.starts_with(it))
    {
        return None;
    }
    let (path, anchor) = link
        .split_once('#')
        .map_or((link, None), |(path, anchor)| (path, Some(anchor)));
    let target = if path.is_empty() {
        from.to_path_buf()
    } else {
        from.with_file_name(path)
    };
    if !target.exists() {
        return Some("there is no such file");
    }
    let anchor = anchor?;
    let text = fs::read_to_string(target).unwrap_or_default();
    (!Document::new(&text).anchors.iter().any(|it| it == anchor))
        .then_some("the file has no such heading")
}

/// Whether code within a line of the file `from` names a file of the repository
/// that is not there. A path is taken for one if its first folder is one: the
/// repository's, or one beside the document.
fn missing(from: &Path, code: &str) -> bool {
    let Some((first, _)) = code.split_once('/') else {
        return false;
    };
    let plain = |it: char| it.is_ascii_alphanumeric() || "/._-".contains(it);
    if first.is_empty()
        || first.starts_with("..")
        || OTHERS.contains(&first)
        || !code.chars().all(plain)
    {
        return false;
    }
    let root = kit::root();
    let bases = [Some(&*root), from.parent()];
    let homes: Vec<&Path> = bases
        .into_iter()
        .flatten()
        .filter(|base| base.join(first).is_dir())
        .collect();
    !homes.is_empty() && !homes.iter().any(|base| base.join(code).exists())
}

/// The long options that a source file's parser takes.
fn options(source: &str) -> BTreeSet<String> {
    source
        .split("Long(\"")
        .skip(1)
        .filter_map(|rest| rest.split_once("\")").map(|(name, _)| format!("--{name}")))
        .collect()
}

/// Whether `text` has the word, as a whole.
fn has(text: &str, word: &str) -> bool {
    text.split(|it: char| !(it.is_ascii_alphanumeric() || "-_".contains(it)))
        .any(|it| it == word)
}

fn nothing(faults: &[String]) {
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}

#[test]
fn every_command_that_is_named_anywhere_is_one_that_the_command_line_takes() {
    let mut faults = Vec::new();
    let mut seen = 0;
    let workflows = files("yml")
        .into_iter()
        .map(|(path, text)| (path, text.lines().filter_map(command_of_workflow).collect()));
    let sources = files("rs")
        .into_iter()
        .map(|(path, text)| (path, commands_of_source(&text)));
    let documents = documents()
        .into_iter()
        .map(|(path, it)| (path, it.commands));
    for (path, commands) in documents.chain(workflows).chain(sources) {
        for line in commands {
            seen += usize::from(line.starts_with("xtask"));
            if let Err(error) = parse(&line) {
                let reason = error.root_cause().to_string();
                let reason = reason.lines().next().unwrap_or_default();
                faults.push(format!("{}: cargo {line}: {reason}", path.display()));
            }
        }
    }
    nothing(&faults);
    assert!(seen > 10, "only {seen} commands were found");
}

#[test]
fn every_command_suite_and_option_is_documented() {
    let documents = documents();
    let documented: BTreeSet<&str> = documents
        .iter()
        .flat_map(|(_, document)| &document.commands)
        .filter_map(|line| line.strip_prefix("xtask ")?.split_whitespace().next())
        .collect();
    let code: String = documents.iter().map(|(_, it)| &*it.code).collect();
    let commands = COMMANDS
        .iter()
        .filter(|(name, _)| !documented.contains(*name))
        .map(|(name, _)| format!("no document names the command `{name}`"));
    let suites = SUITES
        .iter()
        .filter(|(name, _)| !has(&code, name))
        .map(|(name, _)| format!("no document names the suite `{name}`"));
    let sources = files("rs")
        .into_iter()
        .filter(|(path, _)| {
            path.ends_with("package/src/command_line.rs")
                || path.starts_with(kit::root().join("xtask"))
        })
        .flat_map(|(_, text)| options(&text))
        .filter(|option| option != "--help" && !has(&code, option))
        .map(|option| format!("no document names the option `{option}`"));
    nothing(&commands.chain(suites).chain(sources).collect::<Vec<_>>());
}

#[test]
fn every_command_suite_and_option_is_in_the_usage() {
    let names = COMMANDS.iter().map(|(name, _)| (*name).to_owned());
    let suites = SUITES.iter().map(|(name, _)| (*name).to_owned());
    let options = files("rs")
        .into_iter()
        .filter(|(path, _)| path.starts_with(kit::root().join("xtask")))
        .flat_map(|(_, text)| options(&text));
    let lacking: Vec<String> = names
        .chain(suites)
        .chain(options)
        .filter(|it| !has(USAGE, it) && it != "--help")
        .collect();
    nothing(&lacking);
}

#[test]
fn every_link_in_a_document_leads_somewhere() {
    let mut faults = Vec::new();
    for (path, document) in documents() {
        for link in document.links {
            if let Some(fault) = broken(&path, &link) {
                faults.push(format!("{}: {link}: {fault}", path.display()));
            }
        }
    }
    nothing(&faults);
}

#[test]
fn every_file_that_a_document_names_is_there() {
    let mut faults = Vec::new();
    for (path, document) in documents() {
        for code in document.spans {
            if missing(&path, &code) {
                faults.push(format!("{}: `{code}` is not there", path.display()));
            }
        }
    }
    nothing(&faults);
}

#[test]
fn a_command_line_that_is_none_is_refused() {
    for good in [
        "xtask",
        "xtask demo --machine q35 --qemu-device pvpanic-pci,events=1",
        "xtask test unit",
        "xtask package --sign pfx:release.pfx --timestamp http://timestamp.example",
        "run -p package -- verify --out there",
        "test",
    ] {
        parse(good).expect(good);
    }
    for bad in [
        "xtask demon",
        "xtask demo --frob",
        "xtask demo --machine x",
        "xtask test units",
        "xtask bench more",
        "xtask package --sign nobody",
        "xtask package --sing test",
        "xtask package more",
        "run -p package -- sign --sign test",
        "run -p package -- verfy",
    ] {
        assert!(parse(bad).is_err(), "{bad} was accepted");
    }
}

#[test]
fn commands_are_found_in_lines_blocks_workflows_and_sources() {
    let text = "Run `cargo xtask setup`, or\n\n```sh\ncd x   # cargo xtask no\n\
                cargo xtask demo --dump \\\n   on | less # why\n```\n\n\
                ```text\ncargo xtask ── no\n```\n\n    cargo xtask bench\n";
    assert_eq!(
        Document::new(text).commands,
        ["xtask setup", "xtask demo --dump     on", "xtask bench"]
    );
    assert_eq!(commands_of_source(text), ["xtask setup"]);
    assert_eq!(
        command_of_workflow("      - run: cargo xtask test").as_deref(),
        Some("xtask test")
    );
    assert_eq!(command_of_workflow("  # cargo xtask test"), None);
}

#[test]
fn a_link_to_no_file_or_heading_is_found() {
    let readme = kit::root().join("README.md");
    assert_eq!(broken(&readme, "docs/testing.md#figures"), None);
    assert_eq!(broken(&readme, "https://example.org/nowhere"), None);
    for bad in ["docs/testng.md", "docs/testing.md#figure", "#nowhere"] {
        assert!(broken(&readme, bad).is_some(), "{bad} was accepted");
    }
}

#[test]
fn headings_are_named_as_github_names_them() {
    let text = "# The MSI by the crates `msi` and `cab`\n## What?\n## What\n## What, 1\n";
    assert_eq!(
        Document::new(text).anchors,
        [
            "the-msi-by-the-crates-msi-and-cab",
            "what",
            "what-1",
            "what-1-1"
        ]
    );
}

#[test]
fn a_file_that_is_not_there_is_found() {
    let readme = kit::root().join("tests/nt/README.md");
    for good in [
        "driver/src/bugcheck.rs",
        "src/rules.rs",
        "read/write",
        "a b",
        "/dev/kvm",
    ] {
        assert!(!missing(&readme, good), "{good} was refused");
    }
    for bad in ["driver/src/bugchek.rs", "src/rule.rs"] {
        assert!(missing(&readme, bad), "{bad} was accepted");
    }
}

/// The folders of this repository's crates that a manifest's dependencies name.
fn uses(folder: &Path, manifest: &str) -> BTreeSet<PathBuf> {
    let mut section = "";
    let mut used = BTreeSet::new();
    for line in manifest.lines() {
        if line.starts_with('[') {
            section = line;
        }
        let path = line
            .split_once("path = \"")
            .and_then(|(_, rest)| rest.split_once('"'));
        if let Some((path, _)) = path
            && section.ends_with("dependencies]")
            && !section.contains("dev-")
        {
            used.extend(folder.join(path).canonicalize());
        }
    }
    used
}

#[test]
fn the_crates_use_each_other_as_the_architecture_says() {
    let root = kit::root().canonicalize().expect("the repository is there");
    let manifests = files("toml")
        .into_iter()
        .filter(|(path, text)| path.ends_with("Cargo.toml") && text.contains("[package]"));
    let used: BTreeSet<(PathBuf, BTreeSet<PathBuf>)> = manifests
        .map(|(path, text)| {
            let folder = path.with_file_name("").canonicalize().expect("it is there");
            let used = uses(&folder, &text);
            (folder, used)
        })
        .collect();
    let text = fs::read_to_string(root.join("docs/architecture.md")).expect("it is there");
    let (_, table) = text
        .split_once("| What it uses |\n")
        .expect("there is a table of crates");
    let crates = |cell: &str| -> Vec<PathBuf> {
        let names = cell.split('`').skip(1).step_by(2);
        names.map(|name| root.join(name)).collect()
    };
    let documented: BTreeSet<_> = table
        .lines()
        .skip(1)
        .take_while(|line| line.starts_with('|'))
        .map(|line| {
            let cells: Vec<&str> = line.split('|').collect();
            (
                crates(cells[1])[0].clone(),
                crates(cells[3]).into_iter().collect(),
            )
        })
        .collect();
    let faults: Vec<String> = used
        .symmetric_difference(&documented)
        .map(|(folder, used)| {
            let by = if documented.contains(&(folder.clone(), used.clone())) {
                "docs/architecture.md"
            } else {
                "the manifest"
            };
            format!("{} uses {used:?}, says {by}", folder.display())
        })
        .collect();
    nothing(&faults);
}
