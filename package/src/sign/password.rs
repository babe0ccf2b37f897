//! Passwords: from the environment or the terminal, to a tool's standard
//! input; never an argument, a file or a log.

use std::fmt;
use std::io::IsTerminal as _;

use anyhow::{Context as _, Result, bail};

/// The variable that holds the password where nobody can be asked.
pub const VARIABLE: &str = "PVPANIC_SIGN_PASSWORD";

/// A password. It can't be printed.
pub struct Password(String);

impl Password {
    /// The bytes for the tool.
    pub const fn bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password")
    }
}

/// The password from the environment, or from the user.
///
/// # Errors
/// Neither is there.
pub fn get(what: &str) -> Result<Password> {
    if let Ok(password) = std::env::var(VARIABLE) {
        return Ok(Password(password));
    }
    if !std::io::stdin().is_terminal() {
        bail!("the {what} is not known: set {VARIABLE}, or run this in a terminal to be asked");
    }
    rpassword::prompt_password(format!("{what}: "))
        .map(Password)
        .context("the password could not be read from the terminal")
}
