//! What Cargo knows of the driver: the framework it is built for, and the
//! crates that are linked into it.

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::{Context as _, Result};
use serde_json::Value;

use crate::inf::stamp::Framework;
use crate::tool::Tool;

/// The name of the driver's package.
const DRIVER: &str = "pvpanic";

/// What is read from `cargo metadata`.
#[derive(Debug)]
pub struct Workspace {
    /// `package.metadata.wdk` of the driver.
    pub framework: Framework,
    /// The crates in the driver, without the driver itself, by name.
    pub linked: Vec<Crate>,
}

/// A crate that is linked into the driver.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Crate {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Its licence, as its manifest says.
    pub license: Option<String>,
}

/// Asks Cargo about the workspace at `repository`.
///
/// # Errors
/// `cargo metadata` fails, or the driver is not there or names no framework.
pub fn read(repository: &Path) -> Result<Workspace> {
    let metadata: Value = serde_json::from_str(
        &Tool::new("cargo")
            .directory(repository)
            .args(["metadata", "--format-version", "1", "--locked"])
            .args(["--filter-platform", "x86_64-pc-windows-msvc"])
            .run()?,
    )?;
    let packages = array(&metadata, "packages");
    let driver = packages
        .iter()
        .find(|package| text(package, "name") == DRIVER)
        .context("cargo metadata knows no package `pvpanic`")?;
    let nodes = metadata
        .get("resolve")
        .map_or(&[][..], |resolve| array(resolve, "nodes"));
    let macros: BTreeSet<&str> = packages
        .iter()
        .filter(|package| is_macro(package))
        .map(|package| text(package, "id"))
        .collect();
    let ids = linked(nodes, text(driver, "id"), &macros);
    let mut linked: Vec<Crate> = packages
        .iter()
        .filter(|package| ids.contains(text(package, "id")) && text(package, "name") != DRIVER)
        .map(|package| Crate {
            name: text(package, "name").to_owned(),
            version: text(package, "version").to_owned(),
            license: package
                .get("license")
                .and_then(Value::as_str)
                .map(str::to_owned),
        })
        .collect();
    linked.sort();
    Ok(Workspace {
        framework: framework(driver)
            .context("driver/Cargo.toml has no package.metadata.wdk.driver-model")?,
        linked,
    })
}

fn framework(driver: &Value) -> Option<Framework> {
    let model = driver.pointer("/metadata/wdk/driver-model")?;
    let number = |key: &str| u32::try_from(model.get(key)?.as_u64()?).ok();
    Some(Framework {
        major: number("kmdf-version-major")?,
        minor: number("target-kmdf-version-minor")?,
    })
}

/// Whether the package is a procedural macro, which runs in the compiler.
fn is_macro(package: &Value) -> bool {
    array(package, "targets").iter().any(|target| {
        array(target, "kind")
            .iter()
            .any(|kind| kind == "proc-macro")
    })
}

/// The packages that `driver` depends on, not counting what only builds or
/// tests it.
fn linked<'a>(nodes: &'a [Value], driver: &'a str, macros: &BTreeSet<&str>) -> BTreeSet<&'a str> {
    let mut linked = BTreeSet::new();
    let mut waiting = vec![driver];
    while let Some(id) = waiting.pop() {
        if macros.contains(id) || !linked.insert(id) {
            continue;
        }
        let node = nodes.iter().find(|node| text(node, "id") == id);
        for dependency in node.map_or(&[][..], |node| array(node, "deps")) {
            let is_linked = array(dependency, "dep_kinds")
                .iter()
                .any(|kind| kind.get("kind").is_none_or(Value::is_null));
            if is_linked {
                waiting.push(text(dependency, "pkg"));
            }
        }
    }
    linked
}

fn array<'a>(value: &'a Value, key: &str) -> &'a [Value] {
    value
        .get(key)
        .and_then(Value::as_array)
        .map_or(&[], Vec::as_slice)
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value.get(key).and_then(Value::as_str).unwrap_or_default()
}
