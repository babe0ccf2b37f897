//! Running the programs of others.

use std::ffi::OsStr;
use std::io::{ErrorKind, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};

use crate::sign::PASSWORD_VARIABLE;

/// A program to run. It is found on `PATH`; on Debian each comes in the
/// package that the error names when it is missing.
#[derive(Debug)]
pub struct Tool {
    name: String,
    command: Command,
    input: Vec<u8>,
}

impl Tool {
    /// The program `name`.
    #[must_use]
    pub fn new(name: &str) -> Self {
        let mut command = Command::new(name);
        // Programs get a password by their input or not at all.
        command.env("LC_ALL", "C").env_remove(PASSWORD_VARIABLE);
        Self {
            name: name.to_owned(),
            command,
            input: Vec::new(),
        }
    }

    /// The program at `path`.
    #[must_use]
    pub fn at(path: &Path) -> Self {
        Self::new(&path.to_string_lossy())
    }

    /// Gives it this standard input.
    pub fn input(&mut self, input: &[u8]) -> &mut Self {
        self.input = input.to_vec();
        self
    }

    /// Adds an argument.
    pub fn arg(&mut self, argument: impl AsRef<OsStr>) -> &mut Self {
        self.command.arg(argument);
        self
    }

    /// Adds arguments.
    pub fn args<A: AsRef<OsStr>>(&mut self, arguments: impl IntoIterator<Item = A>) -> &mut Self {
        self.command.args(arguments);
        self
    }

    /// Runs it there.
    pub fn directory(&mut self, directory: &Path) -> &mut Self {
        self.command.current_dir(directory);
        self
    }

    /// Sets an environment variable.
    pub fn env(&mut self, name: &str, value: impl AsRef<OsStr>) -> &mut Self {
        self.command.env(name, value);
        self
    }

    /// Gives a password to `osslsigncode` through its standard input.
    pub fn password(&mut self, password: &[u8]) -> &mut Self {
        self.args(["-readpass", "/dev/stdin"]).input(password)
    }

    /// Runs the program and returns what it printed.
    ///
    /// # Errors
    /// The program is missing, or failed: the error has its last lines.
    pub fn run(&mut self) -> Result<String> {
        let mut child = match self
            .command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
        {
            Err(error) if error.kind() == ErrorKind::NotFound => {
                bail!("{} is not installed: run `cargo xtask setup`", self.name)
            }
            other => other.with_context(|| format!("{} could not be started", self.name))?,
        };
        if let Some(mut stdin) = child.stdin.take() {
            // A program that does not read its input may have closed it.
            match stdin.write_all(&self.input) {
                Err(error) if error.kind() != ErrorKind::BrokenPipe => return Err(error.into()),
                _ => {}
            }
        }
        let output = child.wait_with_output()?;
        let mut text = String::from_utf8_lossy(&output.stdout).into_owned();
        if !output.status.success() {
            text.push_str(&String::from_utf8_lossy(&output.stderr));
            let lines: Vec<&str> = text
                .lines()
                .filter(|line| !line.trim().is_empty())
                .collect();
            let last = lines[lines.len().saturating_sub(12)..].join("\n  ");
            bail!("{} failed ({}):\n  {last}", self.name, output.status);
        }
        Ok(text)
    }
}
