//! What the documents promise: the files beside them are well formed, name
//! what is there, and tables are in step with the source.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use hcl_edit::parser::parse_body;
use hcl_edit::structure::BlockLabel;

use super::{Place, Tally};
use crate::image::Architecture;
use crate::media;
use crate::pack::VERSION;
use crate::tool::Tool;

/// Prints every path in the answer file, one a line.
const PATHS: &str = "import sys, xml.etree.ElementTree as tree
name = '{urn:schemas-microsoft-com:unattend}'
root = tree.parse(sys.argv[1]).getroot()
assert root.tag == name + 'unattend'
for settings in root.findall(name + 'settings[@pass=\"offlineServicing\"]'):
    for component in settings:
        assert component.get('name') == 'Microsoft-Windows-PnpCustomizationsNonWinPE'
        for path in component.iter(name + 'Path'):
            print(path.text)
";

/// `dist` is where a package was made.
pub(super) fn run(place: &Place, work: &Path, dist: &Path, tally: &mut Tally) {
    let docs = place.repository.join("docs");
    tally.take(
        "docs/install.md explains every status that the driver refuses with",
        statuses(&place.repository),
    );
    tally.take(
        "the answer file is well formed and names folders of the CD image",
        answer_file(&docs.join("golden-images/autounattend.xml")),
    );
    tally.take(
        "the Packer template is HCL, and every variable and file it names is there",
        packer_template(&docs.join("golden-images")),
    );
    tally.take(
        "the event program for libvirt is Python",
        event_program(&docs.join("hosts/panic-events.py")),
    );
    tally.take(
        "a folder for virt-v2v has virtio-win's drivers and our pvpanic",
        virtio_win(&docs.join("golden-images"), &work.join("virtio-win"), dist),
    );
}

fn statuses(repository: &Path) -> Result<()> {
    let source = fs::read_to_string(repository.join("driver/src/refusal.rs"))?;
    let document = fs::read_to_string(repository.join("docs/install.md"))?;
    let (_, table) = document
        .split_once("### Code 10")
        .context("docs/install.md has no section for Code 10")?;
    let named: Vec<&str> = source
        .lines()
        .filter_map(|line| line.trim().strip_prefix("Self::")?.split_once("=> STATUS_"))
        .map(|(_, status)| status.trim_end_matches(','))
        .collect();
    ensure!(!named.is_empty(), "driver/src/refusal.rs names no status");
    let rows: Vec<&str> = table
        .lines()
        .filter(|line| line.starts_with("| 0x"))
        .filter_map(|line| line.split_once("`STATUS_")?.1.split_once('`'))
        .map(|(status, _)| status)
        .collect();
    for status in &named {
        ensure!(rows.contains(status), "STATUS_{status} has no row");
    }
    for row in &rows {
        ensure!(named.contains(row), "the driver never answers STATUS_{row}");
    }
    Ok(())
}

fn answer_file(path: &Path) -> Result<()> {
    let paths = Tool::new("/usr/bin/python3")
        .args(["-c", PATHS])
        .arg(path)
        .run()?;
    ensure!(paths.lines().count() > 0, "the answer file names no driver");
    let (systems, architecture) = media::systems(Architecture::X64);
    for path in paths.lines() {
        let known = systems
            .iter()
            .any(|system| path.get(1..) == Some(&format!(r":\pvpanic\{system}\{architecture}")));
        ensure!(known, "{path} is not on the CD image");
    }
    Ok(())
}

fn packer_template(folder: &Path) -> Result<()> {
    let text = fs::read_to_string(folder.join("windows.pkr.hcl"))?;
    let body = parse_body(&text).context("windows.pkr.hcl")?;
    let labels = |kind: &str| -> Vec<String> {
        body.get_blocks(kind)
            .map(|block| {
                let names: Vec<&str> = block.labels.iter().map(BlockLabel::as_str).collect();
                names.join(".")
            })
            .collect()
    };
    ensure!(
        labels("source") == ["qemu.windows"],
        "there is no source qemu.windows"
    );
    for block in ["packer", "build"] {
        ensure!(body.has_blocks(block), "there is no block {block}");
    }
    let variables = labels("variable");
    for used in text.split("var.").skip(1) {
        let name: String = used
            .chars()
            .take_while(|letter| letter.is_ascii_alphanumeric() || *letter == '_')
            .collect();
        ensure!(variables.contains(&name), "var.{name} is not declared");
    }
    for file in ["autounattend.xml", "../../installer/Get-PvPanicStatus.ps1"] {
        ensure!(text.contains(&format!("\"{file}\"")), "{file} is not used");
        ensure!(folder.join(file).exists(), "{file} is not there");
    }
    Ok(())
}

fn event_program(path: &Path) -> Result<()> {
    Tool::new("/usr/bin/python3")
        .args([
            "-c",
            "import sys; compile(open(sys.argv[1]).read(), sys.argv[1], 'exec')",
        ])
        .arg(path)
        .run()
        .map(drop)
}

/// Runs the script of the documents with a small ISO in virtio-win's layout.
fn virtio_win(folder: &Path, work: &Path, dist: &Path) -> Result<()> {
    let script = folder.join("virtio-win-with-pvpanic.sh");
    let ours = dist.join(format!("pvpanic-{VERSION}.iso"));
    let whole = image(
        work,
        "whole",
        &[
            "viostor/w11/amd64/viostor.sys",
            "NetKVM/w11/amd64/netkvm.sys",
            "pvpanic/w11/amd64/pvpanic.sys",
            "pvpanic/w7/amd64/pvpanic.sys",
        ],
    )?;
    let result = work.join("result");
    Tool::new("sh")
        .arg(&script)
        .arg(&whole)
        .arg(&ours)
        .arg(&result)
        .run()?;
    for name in [
        "viostor/w11/amd64/viostor.sys",
        "NetKVM/w11/amd64/netkvm.sys",
    ] {
        ensure!(
            fs::read_to_string(result.join(name))? == name,
            "{name} was changed"
        );
    }
    for name in ["pvpanic.inf", "pvpanic.cat", "pvpanic.sys"] {
        ensure!(
            fs::read(result.join("pvpanic/w11/amd64").join(name))?
                == fs::read(dist.join("x64").join(name))?,
            "{name} is not ours"
        );
    }
    ensure!(
        !result.join("pvpanic/w7").exists(),
        "virtio-win's pvpanic is still there"
    );
    let alone = work.join("alone");
    let refused = Tool::new("sh")
        .arg(&script)
        .arg(&ours)
        .arg(&ours)
        .arg(&alone)
        .run();
    ensure!(
        refused.is_err_and(|error| format!("{error:#}").contains("it is no virtio-win.iso")),
        "an ISO without viostor was accepted"
    );
    Ok(())
}

/// An ISO with `files`, each of which contains its own name.
fn image(work: &Path, name: &str, files: &[&str]) -> Result<std::path::PathBuf> {
    let tree = work.join(name);
    for file in files {
        let path = tree.join(file);
        fs::create_dir_all(path.parent().unwrap_or(&tree))?;
        fs::write(path, file)?;
    }
    let image = work.join(format!("{name}.iso"));
    Tool::new("xorriso")
        .args(["-as", "mkisofs", "-quiet", "-J", "-r", "-o"])
        .arg(&image)
        .arg(&tree)
        .run()?;
    Ok(image)
}
