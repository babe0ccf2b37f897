//! The commands on a Windows host: what needs the real kit. Everything else runs
//! QEMU and Debian's tools, on Linux.

use std::process::ExitCode;

use anyhow::{Result, bail};
use lexopt::{Arg::Value, Parser};

use crate::{package, sizes};

/// Runs the command line `parser`, without the program's name.
///
/// # Errors
///
/// For a command that a Windows host does not have, and whatever fails.
pub fn run(parser: &mut Parser) -> Result<ExitCode> {
    let command = match parser.next()? {
        Some(Value(command)) => command.to_string_lossy().into_owned(),
        _ => String::new(),
    };
    match command.as_str() {
        "build" => {
            if let Some(argument) = parser.next()? {
                return Err(argument.unexpected().into());
            }
            println!("{}", kit::build_driver(kit::Architecture::X64)?.display());
            Ok(ExitCode::SUCCESS)
        }
        "package" => package::package(parser.raw_args()?.collect()),
        "sizes" => sizes::sizes(sizes::parse(parser)?.as_deref()),
        _ => bail!("a Windows host has `build`, `package` and `sizes`; the rest runs on Linux"),
    }
}
