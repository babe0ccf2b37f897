//! `package`: makes, signs and verifies the driver package.

use std::process::ExitCode;

fn main() -> ExitCode {
    package::cli(std::env::args_os().skip(1))
}
