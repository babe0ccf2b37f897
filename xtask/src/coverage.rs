//! `coverage`: which source lines of the driver run in the scenarios of the test
//! kernel. The shipped image is single-stepped; its debug information says which
//! line an instruction is of.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    io::Write,
    path::Path,
    process::{Command, ExitCode, Stdio},
};

use anyhow::{Context, Result, anyhow, bail, ensure};
use serde_json::Value;

/// For branches of which the compiler made two copies.
const COPIED: &str = "the compiler copied the branch for refusals with and without hardware, and each \
                      refusal has one of them only";

/// Why a line does not run, or not all of its instructions do: the file, the line
/// as it is written, and the reason.
const EXPLAINED: &[(&str, &str, &str)] = &[
    (
        "driver/protocol/src/acpi.rs",
        "let path = path.strip_suffix(&[0]).unwrap_or(path);",
        "the ACPI driver ends every path with a zero, and only a path without one gets there",
    ),
    (
        "driver/src/device.rs",
        "match unsafe { start(device, translated) } {",
        COPIED,
    ),
    (
        "driver/src/device.rs",
        "let address = state.hardware.map_or(0, |hardware| hardware.address);",
        COPIED,
    ),
    (
        "driver/src/refusal.rs",
        "Self::NotMapped => STATUS_INSUFFICIENT_RESOURCES,",
        COPIED,
    ),
];

/// What is known of one source line.
#[derive(Clone, Debug, Default)]
struct Line {
    instructions: u32,
    ran: u32,
}

/// By file and line number.
type Lines = BTreeMap<(String, u64), Line>;

/// Prints the coverage of each file of the driver, and what did not run.
///
/// # Errors
///
/// If a tool is missing or says something else than expected.
pub fn coverage() -> Result<ExitCode> {
    kit::setup(kit::Purpose::Test)?;
    let driver = kit::build_driver(kit::Architecture::X64)?;
    let ran = executed(&driver)?;
    let code = instructions(&driver)?;
    let (lines, others) = map(&driver, &code, &ran)?;
    let mut by_file: BTreeMap<&str, (u32, u32)> = BTreeMap::new();
    for ((file, _), line) in &lines {
        let (covered, all) = by_file.entry(file.as_str()).or_default();
        *covered += u32::from(line.ran > 0);
        *all += 1;
    }
    for (file, (covered, all)) in &by_file {
        println!("  {file:<36} {covered:>3} of {all:>3} lines");
    }
    let (mut covered, mut all) = (0, 0);
    for (of, with) in by_file.values() {
        covered += of;
        all += with;
    }
    println!(
        "  {} of {} instructions of other sources (libraries, the entry stub)\n",
        others.ran, others.instructions
    );
    let problems = explain(&lines)?;
    println!(
        "\n{covered} of {all} lines with code run, {} are explained, {problems} are not as explained",
        EXPLAINED.len()
    );
    ensure!(all > 0, "the debug information names no line of the driver");
    Ok(if problems == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// Prints what did not run, with its explanation. The result is the number of
/// lines without one and of explanations without such a line.
fn explain(lines: &Lines) -> Result<usize> {
    let mut used = BTreeSet::new();
    let mut problems = 0;
    for ((file, number), line) in lines.iter().filter(|(_, it)| it.ran < it.instructions) {
        let path = kit::root().join(file);
        let source =
            fs::read_to_string(&path).with_context(|| format!("can't read {}", path.display()))?;
        let index = usize::try_from(number.saturating_sub(1))?;
        let text = source.lines().nth(index).unwrap_or_default().trim();
        let explained = EXPLAINED
            .iter()
            .position(|(of, written, _)| of == file && *written == text);
        let why = explained.map_or("NOT EXPLAINED", |index| EXPLAINED[index].2);
        println!(
            "  {file}:{number}: {} of {} instructions\n      {text}\n      {why}",
            line.ran, line.instructions
        );
        match explained {
            Some(index) => {
                used.insert(index);
            }
            None => problems += 1,
        }
    }
    for (index, (file, text, _)) in EXPLAINED.iter().enumerate() {
        if !used.contains(&index) {
            println!(
                "  {file}: all of it runs, or it is gone: remove the explanation of\n      {text}"
            );
            problems += 1;
        }
    }
    Ok(problems)
}

/// The offsets of the instructions that ran.
fn executed(driver: &Path) -> Result<BTreeSet<u64>> {
    let mut command = Command::new("cargo");
    command
        .args(["run", "--quiet", "--locked", "--release"])
        .args(["--package", "host", "--", "cover", "--driver"])
        .arg(driver)
        .current_dir(kit::root());
    let text = output(command, None)?;
    text.lines().map(hexadecimal).collect()
}

/// The offsets of all instructions.
fn instructions(driver: &Path) -> Result<Vec<u64>> {
    let base = image_base(driver)?;
    let mut command = tool("llvm-objdump");
    command.args(["-d", "--no-show-raw-insn"]).arg(driver);
    let text = output(command, None)?;
    // `  180001000:<tab>…`; names of functions stand without the indent or end in `>:`.
    text.lines()
        .filter_map(|line| line.split_once(':'))
        .filter(|(address, rest)| rest.starts_with(char::is_whitespace) && !address.is_empty())
        .filter_map(|(address, _)| u64::from_str_radix(address.trim(), 16).ok())
        .map(|address| {
            address
                .checked_sub(base)
                .ok_or_else(|| anyhow!("an instruction below the image"))
        })
        .collect()
}

fn image_base(driver: &Path) -> Result<u64> {
    let image = fs::read(driver).with_context(|| format!("can't read {}", driver.display()))?;
    // Of the optional header, behind the signature and the file header.
    let field = crate::patch::header(&image)? + 4 + 20 + 24;
    image
        .get(field..field + 8)
        .and_then(|bytes| bytes.try_into().ok())
        .map(u64::from_le_bytes)
        .context("the image is cut off")
}

/// Asks the debug information beside the driver for each instruction's line, and
/// counts. The second result is what belongs to no source of the driver's.
fn map(driver: &Path, code: &[u64], ran: &BTreeSet<u64>) -> Result<(Lines, Line)> {
    let mut command = tool("llvm-symbolizer");
    command
        .args(["--inlines", "--relative-address", "--output-style=JSON"])
        .arg(format!("--obj={}", driver.display()));
    let questions: Vec<String> = code.iter().map(|at| format!("{at:#x}")).collect();
    let answers = output(command, Some(questions.join("\n") + "\n"))?;
    let root = format!("{}/", kit::root().display());
    let (mut lines, mut others, mut count) = (Lines::new(), Line::default(), 0);
    for (answer, offset) in answers.lines().zip(code) {
        let answer: Value = serde_json::from_str(answer)
            .with_context(|| format!("llvm-symbolizer said {answer:?}"))?;
        count += 1;
        // The innermost frame of the driver's own: what is inlined into it from a
        // library counts as its line.
        let place = answer["Symbol"]
            .as_array()
            .into_iter()
            .flatten()
            .find_map(|frame| {
                let file = frame["FileName"].as_str()?.strip_prefix(&root)?;
                let line = frame["Line"].as_u64().filter(|line| *line > 0)?;
                file.starts_with("driver/").then(|| (file.to_owned(), line))
            });
        let line = place.map_or(&mut others, |place| lines.entry(place).or_default());
        line.instructions += 1;
        line.ran += u32::from(ran.contains(offset));
    }
    ensure!(
        count == code.len(),
        "llvm-symbolizer answered {count} of {} questions",
        code.len()
    );
    Ok((lines, others))
}

/// A tool of LLVM.
pub fn tool(name: &str) -> Command {
    Command::new(format!("{name}-19"))
}

/// What a command prints; `input` is given to it.
///
/// # Errors
///
/// If it can't be run, fails, or prints no text.
pub fn output(mut command: Command, input: Option<String>) -> Result<String> {
    let name = command.get_program().to_string_lossy().into_owned();
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .with_context(|| format!("can't run {name}: `cargo xtask setup` installs it"))?;
    let pipe = child.stdin.take();
    // Written by a thread: both pipes are short.
    let writer = std::thread::spawn(move || {
        if let (Some(mut pipe), Some(input)) = (pipe, input) {
            // Its answer tells if it did not read all.
            let _ = pipe.write_all(input.as_bytes());
        }
    });
    let output = child.wait_with_output()?;
    if writer.join().is_err() || !output.status.success() {
        bail!("{name} ended with {}", output.status);
    }
    String::from_utf8(output.stdout).with_context(|| format!("{name} printed no text"))
}

fn hexadecimal(text: &str) -> Result<u64> {
    u64::from_str_radix(text, 16).with_context(|| format!("{text:?} is no offset"))
}
