//! What is delivered: other programs read it as it was meant, and one changed
//! byte is noticed.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::{Value, json};

use super::{Place, Tally};
use crate::commit;
use crate::driver_package::Driver;
use crate::image::Image;
use crate::pack::{self, Delivery, Order, VERSION};
use crate::sign::{self, Signer, Signing};
use crate::tool::Tool;
use crate::verify;

/// The catalogue, read by somebody else's ASN.1.
const SECOND_READER: &str = include_str!("second_reader.py");

/// A package that was made, and the certificate that signed it.
struct Made {
    out: PathBuf,
    folder: PathBuf,
    root: PathBuf,
    delivery: Delivery,
}

type Test = fn(&Place, &Path, &Made) -> Result<()>;

pub(super) fn run(place: &Place, work: &Path, tally: &mut Tally) {
    let made = tally.take(
        "a package signed for test machines is made",
        made(place, work),
    );
    let Some(made) = made else {
        return;
    };
    let tests: [(&str, Test); 12] = [
        (
            "the package has every artefact that its users take",
            artefacts,
        ),
        (
            "osslsigncode accepts the .sys, the catalogue and the .sys in it",
            signatures,
        ),
        (
            "asn1crypto reads every field of the catalogue as Microsoft's has it",
            second_reader,
        ),
        ("a changed byte anywhere in the INF is noticed", changed_inf),
        ("a changed byte in the .sys is noticed", changed_driver),
        (
            "a changed byte in the catalogue is noticed",
            changed_catalogue,
        ),
        (
            "a changed byte in any artefact is noticed by its checksum",
            changed_artefacts,
        ),
        (
            "isoinfo reads virtio-win's layout and the same bytes from the CD image",
            iso,
        ),
        ("unzip and cabextract read the same files", archives),
        (
            "the bill of materials names the driver's crates and files",
            bill,
        ),
        (
            "a file added later is signed and listed in SHA256SUMS",
            added,
        ),
        (
            "two clones give the same bytes when nobody signs",
            reproducible,
        ),
    ];
    for (name, test) in tests {
        tally.take(name, test(place, work, &made));
    }
    super::damage::run(&made.folder, tally);
    super::documents::run(place, work, &made.out, tally);
    super::have_disk::run(place, work, &made.folder, tally);
}

fn order(place: &Place, repository: &Path, out: PathBuf, signer: Signer) -> Order {
    Order {
        repository: repository.to_owned(),
        target: place.target.clone(),
        drivers: vec![Driver {
            image: place.driver.clone(),
            symbols: place.symbols.clone(),
        }],
        actions: Vec::new(),
        out,
        signing: Signing {
            signer,
            ..Signing::default()
        },
    }
}

fn made(place: &Place, work: &Path) -> Result<Made> {
    let out = work.join("signed");
    let delivery = pack::pack(&order(place, &place.repository, out.clone(), Signer::Test))?;
    Ok(Made {
        folder: out.join("x64"),
        root: place.target.join("sign/test-root.pem"),
        out,
        delivery,
    })
}

fn artefacts(_: &Place, _: &Path, made: &Made) -> Result<()> {
    let names = [
        "x64/pvpanic.sys".to_owned(),
        "x64/pvpanic.inf".to_owned(),
        "x64/pvpanic.cat".to_owned(),
        "x64/pvpanic.pdb".to_owned(),
        format!("pvpanic-{VERSION}-x64.zip"),
        format!("pvpanic-{VERSION}-x64.cab"),
        format!("pvpanic-{VERSION}.iso"),
        format!("pvpanic-{VERSION}.cdx.json"),
        "SHA256SUMS".to_owned(),
    ];
    for name in &names {
        let artefact = made
            .delivery
            .artefacts
            .iter()
            .find(|artefact| artefact.name == *name)
            .with_context(|| format!("{name} is not listed"))?;
        let size = fs::metadata(made.out.join(name))?.len();
        ensure!(
            u64::try_from(artefact.size)? == size,
            "{name} has {size} bytes"
        );
    }
    ensure!(
        made.delivery.artefacts.len() == names.len(),
        "more is listed than was meant"
    );
    Ok(())
}

fn signatures(_: &Place, _: &Path, made: &Made) -> Result<()> {
    let report = verify::verify(&made.folder, Some(&made.root))?;
    ensure!(report.len() == 5, "{report:?}");
    sign::verify(
        &made.out.join(format!("pvpanic-{VERSION}-x64.cab")),
        &made.root,
        None,
    )
}

/// The catalogue field by field. The expected form is what `makecat` of the
/// Windows SDK writes for `CatalogVersion=2`, as in osslsigncode's own test
/// file, and `Inf2Cat`'s names for systems and devices.
fn second_reader(place: &Place, work: &Path, made: &Made) -> Result<()> {
    let script = work.join("second_reader.py");
    fs::write(&script, SECOND_READER)?;
    let output = Tool::new("/usr/bin/python3")
        .arg(&script)
        .arg(made.folder.join("pvpanic.cat"))
        .arg(made.folder.join("pvpanic.inf"))
        .run()?;
    let read: Value = serde_json::from_str(&output)?;
    let image = Image::read(&fs::read(made.folder.join("pvpanic.sys"))?)?;
    let inf = text(&read, "file_sha256");
    let pair = |name: &str, value: &str| {
        json!([
            "1.3.6.1.4.1.311.12.2.1",
            [name, "0x10010001", format!("{value}\0")]
        ])
    };
    let member = |digest: &str, name: &str, kind: &str, subject: &str, data: &str| {
        json!([
            digest,
            [
                ["1.3.6.1.4.1.311.12.2.3", kind],
                pair("OSAttr", "2:10.0"),
                pair("File", name),
                [
                    "1.3.6.1.4.1.311.2.1.4",
                    subject,
                    data,
                    "2.16.840.1.101.3.4.2.1",
                    digest
                ],
            ]
        ])
    };
    let short = |digest: &str, kind: &str| json!([digest, [["1.3.6.1.4.1.311.12.2.3", kind]]]);
    let mut members = vec![
        member(
            inf,
            "pvpanic.inf",
            "8200",
            "1.3.6.1.4.1.311.2.1.25",
            "a2028000",
        ),
        short(text(&read, "file_sha1"), "8200"),
        member(
            &hex(&image.sha256)?,
            "pvpanic.sys",
            "8000",
            "1.3.6.1.4.1.311.2.1.15",
            "300a030205a0a004a2028000",
        ),
        short(&hex(&image.sha1)?, "8000"),
    ];
    members.sort_by_key(|member| member[0].as_str().map(str::to_owned));
    let expected = json!({
        "message": "1.2.840.113549.1.7.2",
        "content": "1.3.6.1.4.1.311.10.1",
        "usage": ["1.3.6.1.4.1.311.12.1.1"],
        "identifier_bytes": 16,
        "updated": commit::date(&place.repository)?.seconds,
        "algorithm": "1.3.6.1.4.1.311.12.1.3",
        "members": members,
        "extensions": [
            pair("OS", "_v100_X64"),
            pair("HWID1", r"acpi\qemu0001"),
            pair("HWID2", r"pci\ven_1b36&dev_0011&subsys_11001af4&rev_01"),
            pair("HWID3", r"pci\ven_1b36&dev_0011"),
        ],
        "signers": 1,
        "file_sha256": inf,
        "file_sha1": text(&read, "file_sha1"),
    });
    ensure!(read == expected, "read {read:#}\nexpected {expected:#}");
    Ok(())
}

fn hex(bytes: &[u8]) -> Result<String> {
    let mut text = String::new();
    for byte in bytes {
        write!(text, "{byte:02x}")?;
    }
    Ok(text)
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value.get(key).and_then(Value::as_str).unwrap_or_default()
}

/// A copy of the package with one byte of `file` changed.
fn changed(work: &Path, made: &Made, file: &str, at: usize) -> Result<PathBuf> {
    let folder = work.join("changed");
    fs::create_dir_all(&folder)?;
    for name in ["pvpanic.sys", "pvpanic.inf", "pvpanic.cat"] {
        let mut bytes = fs::read(made.folder.join(name))?;
        if name == file {
            let byte = bytes.get_mut(at).context("the file is shorter")?;
            // Not 0x20: names in certificates are compared without case.
            *byte ^= 1;
        }
        fs::write(folder.join(name), bytes)?;
    }
    Ok(folder)
}

fn is_noticed(folder: &Path, root: Option<&Path>, what: &str) -> Result<()> {
    match verify::verify(folder, root) {
        Ok(_) => bail!("{what} was not noticed"),
        Err(_) => Ok(()),
    }
}

fn changed_inf(_: &Place, work: &Path, made: &Made) -> Result<()> {
    let length = fs::read(made.folder.join("pvpanic.inf"))?.len();
    for at in (0..length).step_by(7) {
        let folder = changed(work, made, "pvpanic.inf", at)?;
        is_noticed(&folder, None, &format!("byte {at} of the INF"))?;
    }
    Ok(())
}

/// Every part of the image that Windows maps. The signature behind it has
/// fields that nobody signs, which `changed_artefacts` covers.
fn changed_driver(place: &Place, work: &Path, made: &Made) -> Result<()> {
    let image = fs::read(&place.driver)?;
    let header = image
        .get(0x3C..0x40)
        .and_then(|field| field.try_into().ok())
        .map(u32::from_le_bytes)
        .context("no PE header")?;
    // Authenticode leaves out the checksum and the signature's place.
    let optional = usize::try_from(header)? + 4 + 20;
    let unsigned = [optional + 64..optional + 68, optional + 144..optional + 152];
    for at in (0..image.len()).step_by(image.len() / 60) {
        if !unsigned.iter().any(|range| range.contains(&at)) {
            let folder = changed(work, made, "pvpanic.sys", at)?;
            is_noticed(&folder, None, &format!("byte {at} of the .sys"))?;
            is_noticed_in_signature(&folder, "pvpanic.sys", made, at)?;
        }
    }
    Ok(())
}

/// Every part of the list; the signature behind it is as in the image.
fn changed_catalogue(_: &Place, work: &Path, made: &Made) -> Result<()> {
    let bytes = fs::read(made.folder.join("pvpanic.cat"))?;
    let last: Vec<u8> = "HWID3".encode_utf16().flat_map(u16::to_be_bytes).collect();
    let end = bytes
        .windows(last.len())
        .position(|window| window == last)
        .context("the catalogue has no third device")?;
    for at in (0..end).step_by(end / 60) {
        let folder = changed(work, made, "pvpanic.cat", at)?;
        is_noticed(
            &folder,
            Some(&made.root),
            &format!("byte {at} of the catalogue"),
        )?;
    }
    Ok(())
}

fn is_noticed_in_signature(folder: &Path, name: &str, made: &Made, at: usize) -> Result<()> {
    ensure!(
        sign::verify(&folder.join(name), &made.root, None).is_err(),
        "osslsigncode did not notice byte {at} of {name}"
    );
    Ok(())
}

fn changed_artefacts(_: &Place, work: &Path, made: &Made) -> Result<()> {
    Tool::new("sha256sum")
        .directory(&made.out)
        .args(["--check", "--strict", "--quiet", "SHA256SUMS"])
        .run()?;
    let copy = work.join("sums");
    fs::create_dir_all(copy.join("x64"))?;
    for artefact in &made.delivery.artefacts {
        fs::copy(made.out.join(&artefact.name), copy.join(&artefact.name))?;
    }
    for artefact in &made.delivery.artefacts {
        let path = copy.join(&artefact.name);
        let whole = fs::read(&path)?;
        let mut bytes = whole.clone();
        let at = bytes.len() / 2;
        if let Some(byte) = bytes.get_mut(at) {
            *byte ^= 1;
        }
        fs::write(&path, bytes)?;
        ensure!(
            verify::checksums(&copy).is_err(),
            "{} was changed unnoticed",
            artefact.name
        );
        fs::write(&path, whole)?;
    }
    Ok(())
}

fn iso(_: &Place, work: &Path, made: &Made) -> Result<()> {
    let image = made.out.join(format!("pvpanic-{VERSION}.iso"));
    let listing = Tool::new("isoinfo")
        .args(["-J", "-f", "-i"])
        .arg(&image)
        .run()?;
    let mut files = 0;
    for system in ["2k16", "2k19", "2k22", "2k25", "w10", "w11"] {
        for name in ["pvpanic.inf", "pvpanic.cat", "pvpanic.sys"] {
            let path = format!("/pvpanic/{system}/amd64/{name}");
            ensure!(
                listing.lines().any(|line| line == path),
                "{path} is not on it"
            );
            files += 1;
        }
    }
    let listed = listing
        .lines()
        .filter(|line| line.contains("/amd64/"))
        .count();
    ensure!(listed == files, "{listed} files are on it, not {files}");
    let tree = work.join("iso");
    Tool::new("xorriso")
        .args(["-osirrox", "on", "-indev"])
        .arg(&image)
        .args(["-extract", "/"])
        .arg(&tree)
        .run()?;
    for name in ["pvpanic.inf", "pvpanic.cat", "pvpanic.sys"] {
        same(
            &tree.join("pvpanic/2k25/amd64").join(name),
            &made.folder.join(name),
        )?;
    }
    Ok(())
}

fn same(a: &Path, b: &Path) -> Result<()> {
    ensure!(
        fs::read(a)? == fs::read(b)?,
        "{} differs from {}",
        a.display(),
        b.display()
    );
    Ok(())
}

fn archives(_: &Place, work: &Path, made: &Made) -> Result<()> {
    let base = made.out.join(format!("pvpanic-{VERSION}-x64"));
    let (unzipped, uncabbed) = (work.join("zip"), work.join("cab"));
    Tool::new("unzip")
        .args(["-q", "-o"])
        .arg(base.with_file_name(format!("pvpanic-{VERSION}-x64.zip")))
        .arg("-d")
        .arg(&unzipped)
        .run()?;
    Tool::new("cabextract")
        .args(["-q", "-d"])
        .arg(&uncabbed)
        .arg(base.with_file_name(format!("pvpanic-{VERSION}-x64.cab")))
        .run()?;
    for name in ["pvpanic.inf", "pvpanic.cat", "pvpanic.sys", "pvpanic.pdb"] {
        same(&unzipped.join("x64").join(name), &made.folder.join(name))?;
        same(
            &uncabbed.join("pvpanic").join(name),
            &made.folder.join(name),
        )?;
    }
    Ok(())
}

fn bill(_: &Place, _: &Path, made: &Made) -> Result<()> {
    let bill: Value = serde_json::from_slice(&fs::read(
        made.out.join(format!("pvpanic-{VERSION}.cdx.json")),
    )?)?;
    ensure!(
        text(&bill, "bomFormat") == "CycloneDX" && text(&bill, "specVersion") == "1.5",
        "not CycloneDX 1.5"
    );
    let names: Vec<&str> = bill
        .get("components")
        .and_then(Value::as_array)
        .context("no components")?
        .iter()
        .map(|component| text(component, "name"))
        .collect();
    for name in [
        "pvpanic-protocol",
        "wdk",
        "wdk-sys",
        "x64/pvpanic.sys",
        "x64/pvpanic.inf",
        "x64/pvpanic.cat",
    ] {
        ensure!(names.contains(&name), "{name} is not in {names:?}");
    }
    // What only makes the build run is not in the driver.
    for name in ["bindgen", "syn", "anyhow"] {
        ensure!(
            !names.contains(&name),
            "{name} is in the bill and not in the driver"
        );
    }
    Ok(())
}

/// Added twice, as a file is that is made anew.
fn added(place: &Place, work: &Path, made: &Made) -> Result<()> {
    let key = Signing {
        signer: Signer::Test,
        ..Signing::default()
    }
    .key(&place.target)?;
    let file = work.join("added.sys");
    fs::copy(&place.driver, &file)?;
    let before = verify::checksums(&made.out)?.len();
    for _ in 0..2 {
        pack::add(&made.out, std::slice::from_ref(&file), key.as_ref())?;
        let after = verify::checksums(&made.out)?.len();
        ensure!(
            after == before + 1,
            "{after} files are listed, not one more than {before}"
        );
        sign::verify(&made.out.join("added.sys"), &made.root, None)?;
    }
    Ok(())
}

fn reproducible(place: &Place, work: &Path, _: &Made) -> Result<()> {
    let mut outputs = Vec::new();
    for name in ["one", "two"] {
        let clone = work.join(name);
        Tool::new("git")
            .args(["clone", "--quiet", "--no-hardlinks"])
            .arg(&place.repository)
            .arg(&clone)
            .run()?;
        let out = clone.join("target/dist");
        let delivery = pack::pack(&order(place, &clone, out.clone(), Signer::None))?;
        ensure!(
            delivery
                .notes
                .iter()
                .any(|note| note.contains("not signed")),
            "nothing says that Windows will not load it"
        );
        outputs.push((out, delivery));
    }
    let [(one, delivery), (two, _)] = &outputs[..] else {
        bail!("not two packages");
    };
    for artefact in &delivery.artefacts {
        same(&one.join(&artefact.name), &two.join(&artefact.name))?;
    }
    Ok(())
}
