//! Signing with real keys: a PKCS#12 file, a token, and a timestamp.

use std::ffi::OsStr;
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::thread;

use anyhow::{Context as _, Result, ensure};

use super::refusals::{PASSWORD, command, key};
use super::{Place, Tally};
use crate::tool::Tool;
use crate::verify;

const PIN: &str = "271828";
const MODULE: &str = "/usr/lib/softhsm/libsofthsm2.so";
const TOKEN: &str = "pkcs11:token=pvpanic;object=driver;type=private";

pub(super) fn run(place: &Place, work: &Path, keys: &Path, tally: &mut Tally) {
    tally.take(
        "a package is signed with a PKCS#12 key",
        pkcs12(place, work, keys),
    );
    tally.take(
        "the password is in no command line, file or output",
        secrecy(place, work, keys),
    );
    let token = tally.take("a token holds a key", token(&work.join("token")));
    if let Some(folder) = token {
        tally.take(
            "a package is signed with a token's key",
            token_signs(place, &folder),
        );
        tally.take(
            "a token's wrong PIN is refused, and nothing is left behind",
            wrong_pin(place, &folder),
        );
    }
    tally.take(
        "a package is signed with a timestamp",
        timestamp(place, &work.join("timestamp")),
    );
}

/// The command line that packs the driver into `out`.
fn package(place: &Place, out: &Path, password: Option<&str>) -> Result<Command> {
    let mut command = command(place, out, password)?;
    command
        .arg("--driver")
        .arg(&place.driver)
        .arg("--pdb")
        .arg(&place.symbols)
        .arg("--sign");
    Ok(command)
}

fn succeeds(command: &mut Command) -> Result<Output> {
    let output = command.output()?;
    ensure!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(output)
}

fn good(keys: &Path) -> String {
    format!("pfx:{}", keys.join("good.pfx").display())
}

fn pkcs12(place: &Place, work: &Path, keys: &Path) -> Result<()> {
    let out = work.join("pfx");
    succeeds(package(place, &out, Some(PASSWORD))?.arg(good(keys)))?;
    verify::verify(&out.join("x64"), Some(&keys.join("good.pem"))).map(drop)
}

/// Puts a program before `osslsigncode` that writes down what it is given.
fn secrecy(place: &Place, work: &Path, keys: &Path) -> Result<()> {
    let (bin, log, out) = (work.join("bin"), work.join("log"), work.join("secrecy"));
    fs::create_dir_all(&bin)?;
    let spy = bin.join("osslsigncode");
    let path = std::env::var("PATH").unwrap_or_default();
    fs::write(
        &spy,
        format!(
            "#!/bin/sh\nprintf '%s\\n' \"$@\" >>{log}\nenv >>{log}\nPATH={path} exec osslsigncode \"$@\"\n",
            log = log.display()
        ),
    )?;
    Tool::new("chmod").arg("+x").arg(&spy).run()?;
    let output = succeeds(
        package(place, &out, Some(PASSWORD))?
            .env("PATH", format!("{}:{path}", bin.display()))
            .arg(good(keys)),
    )?;
    let said = [output.stdout, output.stderr].concat();
    let written = fs::read_to_string(&log).context("osslsigncode was not called")?;
    ensure!(
        written.contains("good.pfx"),
        "the program in between saw no key"
    );
    for (what, text) in [
        ("a command line or the environment", written.as_str()),
        ("the output", &String::from_utf8_lossy(&said)),
    ] {
        ensure!(!text.contains(PASSWORD), "the password is in {what}");
    }
    ensure!(
        Tool::new("grep")
            .args(["-rqF", PASSWORD])
            .arg(&out)
            .run()
            .is_err(),
        "the password is in a file of the package"
    );
    Ok(())
}

/// A token in software, with one key and its certificate beside it.
fn token(folder: &Path) -> Result<PathBuf> {
    fs::create_dir_all(folder.join("tokens"))?;
    fs::write(
        folder.join("softhsm.conf"),
        format!(
            "directories.tokendir = {}\n",
            folder.join("tokens").display()
        ),
    )?;
    key(
        folder,
        "driver",
        &["-days", "30"],
        &[
            "basicConstraints=critical,CA:false",
            "extendedKeyUsage=codeSigning",
            "keyUsage=critical,digitalSignature",
        ],
    )?;
    Tool::new("openssl")
        .directory(folder)
        .args([
            "pkcs8",
            "-topk8",
            "-nocrypt",
            "-in",
            "driver.key",
            "-out",
            "driver.p8",
        ])
        .run()?;
    let softhsm = |arguments: &[&str]| {
        Tool::new("softhsm2-util")
            .directory(folder)
            .env("SOFTHSM2_CONF", folder.join("softhsm.conf"))
            .args(arguments)
            .args(["--pin", PIN])
            .run()
    };
    softhsm(&[
        "--init-token",
        "--free",
        "--label",
        "pvpanic",
        "--so-pin",
        "314159",
    ])?;
    softhsm(&[
        "--import",
        "driver.p8",
        "--token",
        "pvpanic",
        "--label",
        "driver",
        "--id",
        "01",
    ])?;
    Ok(folder.to_owned())
}

fn with_token(place: &Place, folder: &Path, out: &str, pin: &str) -> Result<Command> {
    let mut command = package(place, &folder.join(out), Some(pin))?;
    command
        .arg(TOKEN)
        .args(["--pkcs11-module", MODULE, "--certificates"])
        .arg(folder.join("driver.pem"))
        .env("SOFTHSM2_CONF", folder.join("softhsm.conf"));
    Ok(command)
}

fn token_signs(place: &Place, folder: &Path) -> Result<()> {
    succeeds(&mut with_token(place, folder, "dist", PIN)?)?;
    verify::verify(&folder.join("dist/x64"), Some(&folder.join("driver.pem"))).map(drop)
}

fn wrong_pin(place: &Place, folder: &Path) -> Result<()> {
    let output = with_token(place, folder, "refused", "000000")?.output()?;
    let error = String::from_utf8_lossy(&output.stderr);
    ensure!(!output.status.success(), "it was accepted");
    ensure!(error.contains("PIN incorrect"), "the error is: {error}");
    ensure!(
        fs::read_dir(folder.join("refused"))?.next().is_none(),
        "something is left behind"
    );
    Ok(())
}

/// A package with timestamps of a server of ours.
fn timestamp(place: &Place, folder: &Path) -> Result<()> {
    fs::create_dir_all(folder)?;
    key(
        folder,
        "authority",
        &["-days", "30000"],
        &[
            "basicConstraints=critical,CA:false",
            "extendedKeyUsage=critical,timeStamping",
            "keyUsage=critical,digitalSignature",
        ],
    )?;
    fs::write(folder.join("serial"), "01\n")?;
    fs::write(
        folder.join("tsa.cnf"),
        "[tsa]\ndefault_tsa=t\n[t]\nserial=serial\nsigner_digest=sha256\n\
         default_policy=1.2.3.4\ndigests=sha256,sha384,sha512\naccuracy=secs:1\n\
         ess_cert_id_alg=sha256\n",
    )?;
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    let server = folder.to_owned();
    // The thread ends with the tests.
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            if let Err(error) = answer(stream, &server) {
                eprintln!("timestamp server: {error:#}");
            }
        }
    });
    let out = folder.join("dist");
    succeeds(
        package(place, &out, None)?
            .arg("test")
            .args(["--timestamp", &format!("http://{address}/")]),
    )?;
    for name in ["pvpanic.sys", "pvpanic.cat"] {
        let verified = Tool::new("osslsigncode")
            .args([OsStr::new("verify"), OsStr::new("-CAfile")])
            .arg(place.target.join("sign/test-root.pem"))
            .arg("-TSA-CAfile")
            .arg(folder.join("authority.pem"))
            .arg("-in")
            .arg(out.join("x64").join(name))
            .run()
            .with_context(|| name.to_owned())?;
        ensure!(
            verified.contains("Timestamp Server Signature verification: ok"),
            "{name} has no timestamp:\n{verified}"
        );
    }
    Ok(())
}

/// Answers one request as RFC 3161 over HTTP.
fn answer(mut stream: TcpStream, folder: &Path) -> Result<()> {
    let mut request = Vec::new();
    let body = loop {
        let mut part = [0; 4096];
        let count = stream.read(&mut part)?;
        ensure!(count > 0, "the request is cut short");
        request.extend_from_slice(part.get(..count).unwrap_or_default());
        if let Some(body) = body(&request) {
            break body;
        }
    };
    fs::write(folder.join("query.tsq"), body)?;
    Tool::new("openssl")
        .directory(folder)
        .args([
            "ts",
            "-reply",
            "-config",
            "tsa.cnf",
            "-queryfile",
            "query.tsq",
        ])
        .args([
            "-inkey",
            "authority.key",
            "-signer",
            "authority.pem",
            "-out",
            "reply.tsr",
        ])
        .run()?;
    let reply = fs::read(folder.join("reply.tsr"))?;
    write!(
        stream,
        "HTTP/1.1 200 OK\r\nContent-Type: application/timestamp-reply\r\n\
         Content-Length: {}\r\nConnection: close\r\n\r\n",
        reply.len()
    )?;
    stream.write_all(&reply)?;
    Ok(())
}

/// The body of an HTTP request, when all of it is there.
fn body(request: &[u8]) -> Option<Vec<u8>> {
    let end = request
        .windows(4)
        .position(|window| window == b"\r\n\r\n")?
        + 4;
    let head = String::from_utf8_lossy(request.get(..end)?).to_ascii_lowercase();
    let length: usize = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length:"))?
        .trim()
        .parse()
        .ok()?;
    request.get(end..end + length).map(<[u8]>::to_vec)
}
