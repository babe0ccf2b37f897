//! The commands of this repository.

mod bench;
mod coverage;
mod elsewhere;
mod mutants;
mod options;
mod package;
mod patch;
mod run;
mod story;
mod test;

use std::process::ExitCode;

use anyhow::{Result, bail};
use lexopt::{
    Arg::{Long, Short, Value},
    Parser,
};

use crate::options::{Command, Options};

const USAGE: &str = "\
usage: cargo xtask COMMAND

  setup    install what is missing, with apt
  build    build pvpanic.sys from the real crates, on Linux
  demo     build, boot, start, bug check, and what the host saw
             --machine pc|q35            the machine (pc)
             --qemu-device ARGS|none     a panic device, QEMU's -device; repeatable (pvpanic)
             --dump on|off               whether the guest writes a crash dump (off)
             --json                      one JSON object on standard output
  run      the same for any driver, whatever it does
             --driver FILE.sys           the driver
             --panic-action A            none, pause, shutdown or exit-failure (none)
             --expect EVENT[,EVENT]      compare the whole list of events; or none
             and the options of demo
  package  the driver package, its media and signatures, under target/dist
             --sign none|test|pfx:FILE|pkcs11:URI, --timestamp URL, --out DIR, --json
  test     all tests, or one suite: format, lint, unit, image, nt, same, qemu, crash,
           faults, errors, package or msi
  mutants  the driver with one fault in it, again and again
  coverage the driver's lines that run in the test kernel, and why others don't
  bench    sizes and times
";

fn main() -> ExitCode {
    match dispatch() {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::from(2)
        }
    }
}

fn dispatch() -> Result<ExitCode> {
    let mut parser = Parser::from_env();
    let command = match parser.next()? {
        Some(Value(command)) => command.to_string_lossy().into_owned(),
        None | Some(Long("help") | Short('h')) => {
            print!("{USAGE}");
            return Ok(ExitCode::SUCCESS);
        }
        Some(argument) => return Err(argument.unexpected().into()),
    };
    match command.as_str() {
        "setup" => {
            end_of(&mut parser)?;
            kit::setup(kit::Purpose::Test)?;
        }
        "build" => {
            end_of(&mut parser)?;
            println!("{}", run::built_driver()?.display());
        }
        "demo" => return run::demo(&Options::parse(Command::Demo, &mut parser)?),
        "run" => return run::run(&Options::parse(Command::Run, &mut parser)?),
        "bench" => {
            end_of(&mut parser)?;
            bench::bench()?;
        }
        "coverage" => {
            end_of(&mut parser)?;
            return coverage::coverage();
        }
        "mutants" => {
            end_of(&mut parser)?;
            return mutants::run();
        }
        "package" => return package::package(&mut parser),
        "test" => {
            let suite = match parser.next()? {
                None => None,
                Some(Value(suite)) => Some(suite.to_string_lossy().into_owned()),
                Some(argument) => return Err(argument.unexpected().into()),
            };
            end_of(&mut parser)?;
            return test::test(suite.as_deref());
        }
        other => bail!("no command {other}\n\n{USAGE}"),
    }
    Ok(ExitCode::SUCCESS)
}

fn end_of(parser: &mut Parser) -> Result<()> {
    parser
        .next()?
        .map_or(Ok(()), |argument| Err(argument.unexpected().into()))
}
