//! What can't be packed or signed is refused with a clear error, and nothing
//! half-made is left.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};

use super::{Place, Tally};
use crate::sign::PASSWORD_VARIABLE;
use crate::tool::Tool;

/// The password of every key here; it must appear in no command line.
pub(super) const PASSWORD: &str = "correct horse battery staple";

/// A run of the command line that must fail.
struct Refusal {
    name: &'static str,
    /// Options in place of the right ones.
    options: Vec<String>,
    password: Option<&'static str>,
    /// What the error must say.
    says: &'static str,
}

pub(super) fn run(place: &Place, work: &Path, tally: &mut Tally) {
    let keys = work.join("keys");
    let Some(keys) = tally.take("keys for the refusals are made", make_keys(&keys)) else {
        return;
    };
    let cases = unsuitable_keys(&keys)
        .into_iter()
        .chain(unsuitable_files(place, work))
        .chain(unsuitable_options());
    for case in cases {
        let name = format!("{} is refused, and nothing is left behind", case.name);
        tally.take(&name, refused(place, work, &case));
    }
    tally.take(
        "a tool that is missing is named, and nothing is left behind",
        missing_tool(place, work),
    );
    super::signing::run(place, work, &keys, tally);
}

fn unsuitable_keys(keys: &Path) -> Vec<Refusal> {
    [
        (
            "an expired certificate",
            "expired",
            Some(PASSWORD),
            "expired on",
        ),
        (
            "a certificate that is not yet valid",
            "early",
            Some(PASSWORD),
            "valid from",
        ),
        (
            "a certificate for another purpose",
            "purpose",
            Some(PASSWORD),
            "not for code signing",
        ),
        (
            "a certificate without a purpose",
            "plain",
            Some(PASSWORD),
            "not for code signing",
        ),
        (
            "an authority's certificate",
            "authority",
            Some(PASSWORD),
            "authority's",
        ),
        (
            "a key that may not sign",
            "usage",
            Some(PASSWORD),
            "digitalSignature",
        ),
        (
            "a wrong password",
            "good",
            Some("wrong"),
            "could not be signed",
        ),
        ("no password", "good", None, PASSWORD_VARIABLE),
        (
            "a key that is not there",
            "none",
            Some(PASSWORD),
            "none.pfx can't be read",
        ),
    ]
    .into_iter()
    .map(|(name, key, password, says)| Refusal {
        name,
        options: words(&["--sign", &format!("pfx:{}/{key}.pfx", keys.display())]),
        password,
        says,
    })
    .collect()
}

fn unsuitable_files(place: &Place, work: &Path) -> Vec<Refusal> {
    let text = work.join("no-image.sys");
    // A file that could not be written shows as another error than expected.
    drop(fs::write(&text, "MZ but nothing more"));
    let other = wrong_version(&place.driver, work).unwrap_or_default();
    let symbols = place.symbols.display().to_string();
    [
        (
            "a driver that is not there",
            vec!["--driver", "/none/pvpanic.sys", "--pdb", &symbols],
            "/none/pvpanic.sys can't be read",
        ),
        (
            "a driver without its symbols",
            vec!["--driver", "/none/pvpanic.sys"],
            "/none/pvpanic.pdb can't be read",
        ),
        (
            "a driver that is no image",
            vec!["--driver", &text.display().to_string(), "--pdb", &symbols],
            "not a PE32+ image",
        ),
        (
            "a driver of another version",
            vec!["--driver", &other, "--pdb", &symbols],
            "driverver-resource",
        ),
    ]
    .into_iter()
    .map(|(name, options, says)| Refusal {
        name,
        options: words(&options),
        password: None,
        says,
    })
    .collect()
}

fn unsuitable_options() -> Vec<Refusal> {
    [
        (
            "an output folder that can't be made",
            &["--out", "/proc/pvpanic"][..],
            "/proc/pvpanic can't be made",
        ),
        (
            "an output folder within a file",
            &["--out", "/etc/hostname/dist"],
            "/etc/hostname/dist can't be made",
        ),
        (
            "a timestamp server that does not answer",
            &["--sign", "test", "--timestamp", "http://127.0.0.1:9/"],
            "could not be signed",
        ),
        (
            "a token without its library",
            &["--sign", "pkcs11:object=key"],
            "--pkcs11-module",
        ),
        (
            "an unknown signer",
            &["--sign", "somebody"],
            "say none, test, pfx:FILE",
        ),
        ("an unknown option", &["--sing", "test"], "--sing"),
    ]
    .into_iter()
    .map(|(name, options, says)| Refusal {
        name,
        options: words(options),
        password: None,
        says,
    })
    .collect()
}

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

fn make_keys(folder: &Path) -> Result<PathBuf> {
    fs::create_dir_all(folder)?;
    let leaf = ["basicConstraints=critical,CA:false"];
    let code = "extendedKeyUsage=codeSigning";
    let usage = "keyUsage=critical,digitalSignature";
    key(folder, "good", &["-days", "30"], &[leaf[0], code, usage])?;
    key(
        folder,
        "purpose",
        &["-days", "30"],
        &[leaf[0], usage, "extendedKeyUsage=serverAuth"],
    )?;
    key(folder, "plain", &["-days", "30"], &[leaf[0], usage])?;
    key(
        folder,
        "usage",
        &["-days", "30"],
        &[leaf[0], code, "keyUsage=critical,keyEncipherment"],
    )?;
    key(
        folder,
        "authority",
        &["-days", "30"],
        &["basicConstraints=critical,CA:true", code],
    )?;
    dated(folder, "expired", "20200101000000Z", "20210101000000Z")?;
    dated(folder, "early", "20480101000000Z", "20490101000000Z")?;
    Ok(folder.to_owned())
}

/// Makes a key and a certificate for itself, as PEM and as PKCS#12.
pub(super) fn key(folder: &Path, name: &str, validity: &[&str], extensions: &[&str]) -> Result<()> {
    let mut openssl = Tool::new("openssl");
    openssl
        .directory(folder)
        .args([
            "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=test",
        ])
        .args([
            "-keyout",
            &format!("{name}.key"),
            "-out",
            &format!("{name}.pem"),
        ])
        .args(validity.iter().copied());
    for extension in extensions {
        openssl.args(["-addext", extension]);
    }
    openssl.run()?;
    pfx(folder, name)
}

/// A certificate of other days: only `openssl ca` takes dates.
fn dated(folder: &Path, name: &str, from: &str, to: &str) -> Result<()> {
    let ca = folder.join(format!("{name}-ca"));
    fs::create_dir_all(&ca)?;
    fs::write(ca.join("index.txt"), "")?;
    fs::write(
        ca.join("ca.cnf"),
        "[ca]\ndefault_ca=d\n[d]\ndatabase=index.txt\nnew_certs_dir=.\nrand_serial=yes\n\
         default_md=sha256\npolicy=p\nx509_extensions=x\n[p]\ncommonName=supplied\n\
         [x]\nextendedKeyUsage=codeSigning\nkeyUsage=critical,digitalSignature\n",
    )?;
    let request = format!("../{name}.csr");
    let secret = format!("../{name}.key");
    Tool::new("openssl")
        .directory(&ca)
        .args([
            "req", "-new", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=test",
        ])
        .args(["-keyout", &secret, "-out", &request])
        .run()?;
    Tool::new("openssl")
        .directory(&ca)
        .args(["ca", "-batch", "-selfsign", "-config", "ca.cnf", "-notext"])
        .args([
            "-in",
            &request,
            "-keyfile",
            &secret,
            "-out",
            &format!("../{name}.pem"),
        ])
        .args(["-startdate", from, "-enddate", to])
        .run()?;
    pfx(folder, name)
}

fn pfx(folder: &Path, name: &str) -> Result<()> {
    fs::write(folder.join("password"), PASSWORD)?;
    Tool::new("openssl")
        .directory(folder)
        .args(["pkcs12", "-export", "-passout", "file:password"])
        .args([
            "-inkey",
            &format!("{name}.key"),
            "-in",
            &format!("{name}.pem"),
        ])
        .args(["-out", &format!("{name}.pfx")])
        .run()
        .map(drop)
}

/// A driver whose version resource says 0.1.0.9 or the like.
fn wrong_version(driver: &Path, work: &Path) -> Result<String> {
    let mut bytes = fs::read(driver)?;
    let signature = 0xFEEF_04BD_u32.to_le_bytes();
    let at = bytes
        .windows(4)
        .position(|word| word == signature)
        .context("the driver has no version resource")?;
    let low = bytes
        .get_mut(at + 12)
        .context("the resource is cut short")?;
    *low = low.wrapping_add(9);
    let path = work.join("other-version.sys");
    fs::write(&path, bytes)?;
    Ok(path.display().to_string())
}

/// The command line that packs into `out`, with only `password` in its
/// environment.
pub(super) fn command(place: &Place, out: &Path, password: Option<&str>) -> Result<Command> {
    let mut command = Command::new(std::env::current_exe()?);
    command
        .arg("package")
        .env("CARGO_TARGET_DIR", &place.target)
        .env_remove(PASSWORD_VARIABLE)
        .env_remove("WDKContentRoot")
        .stdin(std::process::Stdio::null());
    if let Some(password) = password {
        command.env(PASSWORD_VARIABLE, password);
    }
    command.arg("--out").arg(out);
    Ok(command)
}

fn refused(place: &Place, work: &Path, case: &Refusal) -> Result<()> {
    let out = work.join("refused");
    fs::create_dir_all(&out)?;
    fs::write(out.join("SHA256SUMS"), "an earlier package\n")?;
    let mut command = command(place, &out, case.password)?;
    if !case.options.iter().any(|option| option == "--driver") {
        command.arg("--driver").arg(&place.driver);
        if !case.options.iter().any(|option| option == "--pdb") {
            command.arg("--pdb").arg(&place.symbols);
        }
    }
    let output = command.args(&case.options).output()?;
    let error = String::from_utf8_lossy(&output.stderr);
    ensure!(!output.status.success(), "it was accepted");
    ensure!(error.starts_with("error: "), "no error but: {error}");
    ensure!(error.contains(case.says), "the error is: {error}");
    ensure!(!error.contains(PASSWORD), "the error has the password");
    let left: Vec<_> = fs::read_dir(&out)?
        .map(|entry| entry.map(|entry| entry.file_name()))
        .collect::<Result<_, _>>()?;
    ensure!(left == ["SHA256SUMS"], "left behind: {left:?}");
    ensure!(
        fs::read_to_string(out.join("SHA256SUMS"))? == "an earlier package\n",
        "the earlier package was touched"
    );
    Ok(())
}

/// Runs where there is nothing but what cargo and the date need.
fn missing_tool(place: &Place, work: &Path) -> Result<()> {
    let (bin, out) = (work.join("few"), work.join("without-tools"));
    fs::create_dir_all(&bin)?;
    let path = std::env::var_os("PATH").context("no PATH")?;
    for name in ["cargo", "git", "rustc"] {
        let program = std::env::split_paths(&path)
            .map(|folder| folder.join(name))
            .find(|program| program.is_file())
            .with_context(|| format!("{name} is not installed"))?;
        Tool::new("ln")
            .arg("-s")
            .arg(program)
            .arg(bin.join(name))
            .run()?;
    }
    let output = command(place, &out, None)?
        .env("PATH", &bin)
        .arg("--driver")
        .arg(&place.driver)
        .arg("--pdb")
        .arg(&place.symbols)
        .output()?;
    let error = String::from_utf8_lossy(&output.stderr);
    ensure!(!output.status.success(), "it was accepted");
    ensure!(
        error.contains("xorriso is not installed"),
        "the error is: {error}"
    );
    ensure!(
        fs::read_dir(&out)?.next().is_none(),
        "something is left behind"
    );
    Ok(())
}
