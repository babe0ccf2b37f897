//! Cargo, for the targets that have no standard library.

use std::{
    env,
    fs::File,
    io::{BufRead, BufReader, Write},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context, Result, bail};

use crate::{
    progress::Progress,
    toolchain::Toolchain,
    workspace::{create_folder, read},
};

/// Variables that would change what is built, or that the cargo which runs this
/// program set for it alone.
const UNWANTED: [&str; 9] = [
    "CARGO_BUILD_RUSTFLAGS",
    "CARGO_BUILD_TARGET",
    "CARGO_ENCODED_RUSTFLAGS",
    "CARGO_MANIFEST_DIR",
    "CARGO_MANIFEST_PATH",
    "CARGO_TARGET_DIR",
    "MAKEFLAGS",
    "RUSTC_WORKSPACE_WRAPPER",
    "RUSTFLAGS",
];

/// Cargo with the toolchain's compiler.
pub fn command(workspace: &Path, toolchain: &Toolchain) -> Command {
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    for name in UNWANTED {
        command.env_remove(name);
    }
    toolchain.apply(&mut command);
    command.current_dir(workspace);
    command
}

/// Where all of it is built. It has to be below the workspace: `wdk-build`
/// looks for Cargo.lock above its output.
pub fn target_folder(workspace: &Path) -> PathBuf {
    workspace.join("target/cross")
}

/// Runs cargo with a log and a line of progress.
///
/// # Errors
///
/// If it fails: with the errors that the log has, and the log's path.
pub fn run(mut command: Command, log: &Path, progress: &mut Progress) -> Result<()> {
    create_folder(log.parent().unwrap_or(log))?;
    let mut file = File::create(log).with_context(|| format!("can't write {}", log.display()))?;
    let mut child = command
        .env("CARGO_TERM_COLOR", "never")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .context("can't run cargo")?;
    if let Some(lines) = child.stderr.take() {
        for line in BufReader::new(lines).lines() {
            let line = line.context("can't read what cargo prints")?;
            writeln!(file, "{line}").with_context(|| format!("can't write {}", log.display()))?;
            if let Some(step) = step(&line) {
                progress.step(&step);
            }
        }
    }
    let status = child.wait().context("can't wait for cargo")?;
    if status.success() {
        return Ok(());
    }
    bail!(
        "the build failed ({status}). Its last lines, of {}:\n\n{}",
        log.display(),
        ending(&read(log)?)
    )
}

/// What a line of cargo's says about progress.
fn step(line: &str) -> Option<String> {
    let line = line.trim_start();
    for verb in ["Compiling ", "Checking ", "Downloading "] {
        if let Some(rest) = line.strip_prefix(verb) {
            let name: Vec<_> = rest.split_whitespace().take(2).collect();
            return Some(format!("{}{}", verb.to_lowercase(), name.join(" ")));
        }
    }
    line.starts_with("Blocking ")
        .then(|| "waiting for another build".to_owned())
}

/// The end of a log, from its first error on, without cargo's own chatter and
/// without what a build script says to cargo, but for its warnings.
fn ending(log: &str) -> String {
    const LINES: usize = 60;
    let mut to_cargo = false;
    let mut lines = Vec::new();
    for line in log.lines() {
        match line.trim() {
            "--- stdout" => to_cargo = true,
            "--- stderr" => to_cargo = false,
            text => {
                let warning = text.strip_prefix("cargo:warning=");
                if step(line).is_none() && (!to_cargo || warning.is_some()) {
                    lines.push(warning.unwrap_or(line));
                }
            }
        }
    }
    let first = lines
        .iter()
        .position(|line| line.starts_with("error"))
        .unwrap_or_else(|| lines.len().saturating_sub(LINES));
    lines
        .get(first..)
        .unwrap_or_default()
        .iter()
        .take(LINES)
        .copied()
        .collect::<Vec<_>>()
        .join("\n")
}

#[cfg(test)]
mod tests {
    use super::{ending, step};

    #[test]
    fn a_step_names_the_crate_without_its_folder() {
        assert_eq!(
            step("   Compiling core v0.0.0 (/a/b)").as_deref(),
            Some("compiling core v0.0.0")
        );
        assert_eq!(step("warning: unused"), None);
    }

    #[test]
    fn a_failure_shows_the_log_from_its_first_error_on() {
        let log = "   Compiling a v1\nwarning: b\nerror[E1]: c\n --> d\n   Compiling e v1\n";
        assert_eq!(ending(log), "error[E1]: c\n --> d");
    }

    #[test]
    fn of_what_a_build_script_tells_cargo_only_warnings_are_shown() {
        let log = "error: a\n  --- stdout\n  CC = None\n  cargo:warning=b\n  --- stderr\n  c\n";
        assert_eq!(ending(log), "error: a\nb\n  c");
    }
}
