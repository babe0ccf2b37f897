//! Makes the MSI of a package, and checks it.

use std::process::ExitCode;

fn main() -> ExitCode {
    installer::command_line::run(std::env::args_os().skip(1))
}
