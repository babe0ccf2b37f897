//! The command line.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, Result, bail};
use lexopt::{Arg, Parser, ValueExt as _};
use serde_json::json;

use crate::check::{self, Place};
use crate::driver_package::Driver;
use crate::image::Architecture;
use crate::pack::{self, Artefact, Delivery, Order};
use crate::sign::{self, Signer, Signing};
use crate::verify;

const USAGE: &str = "\
usage: package <command> [options]

package   makes the driver package and everything that carries it
  --driver FILE         pvpanic.sys, once for each architecture (default: those for
                        x64 and arm64 below target/driver)
  --pdb FILE            its symbols (default: beside it)
  --actions FILE        the library with the installer's custom actions, for an MSI,
                        once for each architecture
  --out DIR             where to (default: target/dist)
  --sign WHO            none (default), test, pfx:FILE or pkcs11:URI
  --certificates FILE   PEM, for pkcs11: (default: from the token)
  --pkcs11-module FILE  the token's library, for pkcs11:
  --timestamp URL       an RFC 3161 server
  --json                print what was made as JSON
add FILE…              signs files, such as an installer, and puts them beside the
                        package and into SHA256SUMS (--out DIR, --sign …)
sign FILE…             signs .sys, .cat, .msi or .cab files (--sign, --timestamp …)
verify                  verifies what was made (--out DIR, --root FILE for signatures)
options                 says whether options of the above are right, and does nothing
check                   tests all of this, on two --driver FILE, for x64 and for ARM64

The password of a key comes from PVPANIC_SIGN_PASSWORD, or is asked for.";

struct Options {
    target: PathBuf,
    drivers: Vec<PathBuf>,
    symbols: Vec<PathBuf>,
    actions: Vec<PathBuf>,
    out: Option<PathBuf>,
    root: Option<PathBuf>,
    signing: Signing,
    json: bool,
    files: Vec<PathBuf>,
}

/// Runs the command line `arguments`, without the program's name.
pub fn cli(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    match parse(arguments).and_then(|work| work()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Parses the command line `arguments`; what they ask for is still to be done.
///
/// # Errors
///
/// For what is no command, and for an option or a signer that is none.
pub fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<impl FnOnce() -> Result<()>> {
    let mut parser = Parser::from_args(arguments);
    let Some(Arg::Value(command)) = parser.next()? else {
        bail!("{USAGE}");
    };
    let command = command.string()?;
    let work: fn(Options) -> Result<()> = match command.as_str() {
        "package" => package,
        "add" => |options| add_files(&options),
        "sign" => |options| sign_files(&options),
        "verify" => |options| verify_folder(&options),
        "check" => check_all,
        "options" => |_| Ok(()),
        other => bail!("{other} is no command\n{USAGE}"),
    };
    let options = options(parser)?;
    let takes_files = ["add", "sign"].contains(&command.as_str());
    match options.files.first() {
        None if takes_files => bail!("{command} which files? Name them behind it"),
        Some(file) if !takes_files => bail!("{} is one argument too many", file.display()),
        _ => {}
    }
    Ok(move || work(options))
}

fn options(mut parser: Parser) -> Result<Options> {
    let mut options = Options {
        target: std::env::var_os("CARGO_TARGET_DIR")
            .map_or_else(|| repository().join("target"), PathBuf::from),
        drivers: Vec::new(),
        symbols: Vec::new(),
        actions: Vec::new(),
        out: None,
        root: None,
        signing: Signing::default(),
        json: false,
        files: Vec::new(),
    };
    while let Some(argument) = parser.next()? {
        match argument {
            Arg::Long("driver") => options.drivers.push(parser.value()?.into()),
            Arg::Long("pdb") => options.symbols.push(parser.value()?.into()),
            Arg::Long("actions") => options.actions.push(parser.value()?.into()),
            Arg::Long("out") => options.out = Some(parser.value()?.into()),
            Arg::Long("root") => options.root = Some(parser.value()?.into()),
            Arg::Long("sign") => {
                options.signing.signer = Signer::parse(&parser.value()?.string()?)?;
            }
            Arg::Long("certificates") => {
                options.signing.certificates = Some(parser.value()?.into());
            }
            Arg::Long("pkcs11-module") => options.signing.module = Some(parser.value()?.into()),
            Arg::Long("timestamp") => options.signing.timestamp = Some(parser.value()?.string()?),
            Arg::Long("json") => options.json = true,
            Arg::Value(file) => options.files.push(file.into()),
            other => bail!("{}\n\n{USAGE}", other.unexpected()),
        }
    }
    Ok(options)
}

/// The repository that this program was built from.
fn repository() -> &'static Path {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    package.parent().unwrap_or(package)
}

impl Options {
    fn dist(&self) -> PathBuf {
        self.out.clone().unwrap_or_else(|| self.target.join("dist"))
    }

    fn order(self) -> Order {
        let out = self.dist();
        let mut images = self.drivers;
        if images.is_empty() {
            images.extend(Architecture::ALL.map(|architecture| {
                let folder = self.target.join("driver").join(architecture.name());
                folder.join("pvpanic.sys")
            }));
        }
        let mut symbols = self.symbols.into_iter();
        let drivers = images
            .into_iter()
            .map(|image| Driver {
                symbols: symbols
                    .next()
                    .unwrap_or_else(|| image.with_extension("pdb")),
                image,
            })
            .collect();
        Order {
            repository: repository().to_owned(),
            drivers,
            actions: self.actions,
            out,
            target: self.target,
            signing: self.signing,
        }
    }
}

fn package(options: Options) -> Result<()> {
    let json = options.json;
    let order = options.order();
    let delivery = pack::pack(&order)?;
    if json {
        println!("{:#}", as_json(&delivery));
        return Ok(());
    }
    print_artefacts(&delivery.artefacts);
    for line in delivery.verified.iter().chain(&delivery.notes) {
        println!("{line}");
    }
    println!("in {}", order.out.display());
    Ok(())
}

fn as_json(delivery: &Delivery) -> serde_json::Value {
    let artefacts: Vec<_> = delivery
        .artefacts
        .iter()
        .map(|artefact| {
            json!({ "name": artefact.name, "size": artefact.size, "sha256": artefact.sha256 })
        })
        .collect();
    json!({ "artefacts": artefacts, "verified": delivery.verified, "notes": delivery.notes })
}

fn add_files(options: &Options) -> Result<()> {
    let key = options.signing.key(&options.target)?;
    print_artefacts(&pack::add(&options.dist(), &options.files, key.as_ref())?);
    Ok(())
}

fn print_artefacts(artefacts: &[Artefact]) {
    for artefact in artefacts {
        println!(
            "{:>9}  {}  {}",
            artefact.size, artefact.sha256, artefact.name
        );
    }
}

fn sign_files(options: &Options) -> Result<()> {
    let key = options
        .signing
        .key(&options.target)?
        .context("nobody to sign: say --sign test, pfx:FILE or pkcs11:URI")?;
    for file in &options.files {
        sign::sign(&key, file)?;
        println!("{}: signed", file.display());
    }
    Ok(())
}

fn check_all(options: Options) -> Result<()> {
    let order = options.order();
    let [driver, arm64] = &order.drivers[..] else {
        bail!("check takes two drivers, for x64 and for ARM64");
    };
    let tally = check::run(&Place {
        driver: driver.image.clone(),
        symbols: driver.symbols.clone(),
        arm64: arm64.clone(),
        repository: order.repository,
        target: order.target,
    })?;
    println!("{} passed, {} failed", tally.passed, tally.failed);
    if tally.failed > 0 {
        bail!("{} tests failed", tally.failed);
    }
    Ok(())
}

fn verify_folder(options: &Options) -> Result<()> {
    let dist = options.dist();
    let mut report = verify::checksums(&dist)?;
    for architecture in Architecture::ALL {
        let folder = dist.join(architecture.name());
        if folder.exists() {
            report.extend(verify::verify(&folder, options.root.as_deref())?);
        }
    }
    for line in report {
        println!("{line}");
    }
    Ok(())
}
