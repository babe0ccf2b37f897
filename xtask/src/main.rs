//! The commands of this repository.

mod bench;
mod command;
mod coverage;
#[cfg(test)]
mod documents;
mod elsewhere;
mod mutants;
mod options;
mod package;
mod patch;
mod run;
mod story;
mod test;
mod windows;

use std::process::ExitCode;

use anyhow::Result;
use lexopt::Parser;

use crate::command::Command;

fn main() -> ExitCode {
    match Command::parse(&mut Parser::from_env()).and_then(run_command) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::from(2)
        }
    }
}

fn run_command(command: Command) -> Result<ExitCode> {
    match command {
        Command::Help => print!("{}", command::USAGE),
        Command::Setup => kit::setup(kit::Purpose::Test)?,
        Command::Build(architecture) => {
            println!("{}", run::built_driver(architecture)?.display());
        }
        Command::Demo(options) => return run::demo(&options),
        Command::Run(options) => return run::run(&options),
        Command::Windows(options) => return windows::windows(&options),
        Command::Package(options) => return package::package(options),
        Command::Test(suite) => return test::test(suite),
        Command::Mutants => return mutants::run(),
        Command::Coverage => return coverage::coverage(),
        Command::Bench => bench::bench()?,
    }
    Ok(ExitCode::SUCCESS)
}
