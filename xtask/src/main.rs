//! The commands of this repository.

#[cfg(unix)]
mod bench;
#[cfg(unix)]
mod command;
#[cfg(unix)]
mod coverage;
#[cfg(all(test, unix))]
mod documents;
#[cfg(unix)]
mod elsewhere;
#[cfg(unix)]
mod mutants;
#[cfg(unix)]
mod options;
mod package;
#[cfg(unix)]
mod patch;
#[cfg(unix)]
mod run;
mod sizes;
#[cfg(unix)]
mod story;
#[cfg(unix)]
mod test;
#[cfg(unix)]
mod windows;
#[cfg(not(unix))]
mod windows_host;
#[cfg(unix)]
mod windows_image;

use std::process::ExitCode;

#[cfg(unix)]
use anyhow::Result;
use lexopt::Parser;

#[cfg(unix)]
use crate::command::Command;

fn main() -> ExitCode {
    match dispatch(&mut Parser::from_env()) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::from(2)
        }
    }
}

#[cfg(not(unix))]
use windows_host::run as dispatch;

#[cfg(unix)]
fn dispatch(parser: &mut Parser) -> Result<ExitCode> {
    match Command::parse(parser)? {
        Command::Help => print!("{}", command::USAGE),
        Command::Setup => kit::setup(kit::Purpose::Test)?,
        Command::Build(architecture) => {
            println!("{}", run::built_driver(architecture)?.display());
        }
        Command::Demo(options) => return run::demo(&options),
        Command::Run(options) => return run::run(&options),
        Command::Windows(options) => return windows::windows(&options),
        Command::WindowsImage(options) => return windows_image::windows_image(&options),
        Command::Package(options) => return package::package(options),
        Command::Test(suite) => return test::test(suite),
        Command::Mutants => return mutants::run(),
        Command::Coverage => return coverage::coverage(),
        Command::Bench => bench::bench()?,
        Command::Sizes(against) => return sizes::sizes(against.as_deref()),
    }
    Ok(ExitCode::SUCCESS)
}
