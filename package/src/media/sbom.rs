//! The bill of materials, in `CycloneDX` 1.5: what is in `pvpanic.sys`, out of
//! the lock file, and the files of the package.

use anyhow::Result;
use serde_json::{Value, json};
use time::format_description::well_known::Rfc3339;

use super::{File, sha256};
use crate::commit::Date;
use crate::workspace::{Crate, Workspace};

/// The bill of materials for `files`.
///
/// # Errors
/// None for a date made by [`Date::from_unix`].
pub fn sbom(workspace: &Workspace, version: &str, files: &[File], date: Date) -> Result<String> {
    let mut components: Vec<Value> = workspace.linked.iter().map(component).collect();
    for file in files {
        components.push(json!({
            "type": "file",
            "bom-ref": format!("file:{}", file.name),
            "name": file.name,
            "version": version,
            "hashes": [{ "alg": "SHA-256", "content": sha256(&file.bytes) }],
        }));
    }
    let bill = json!({
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": {
            "timestamp": date.moment()?.assume_utc().format(&Rfc3339)?,
            "component": {
                "type": "device-driver",
                "bom-ref": "pvpanic",
                "name": "pvpanic",
                "version": version,
                "licenses": [{ "expression": "MIT OR Apache-2.0" }],
            },
        },
        "components": components,
    });
    Ok(format!("{bill:#}\n"))
}

fn component(linked: &Crate) -> Value {
    let Crate {
        name,
        version,
        license,
    } = linked;
    let mut component = json!({
        "type": "library",
        "bom-ref": format!("pkg:cargo/{name}@{version}"),
        "name": name,
        "version": version,
        "purl": format!("pkg:cargo/{name}@{version}"),
    });
    if let Some(license) = license {
        // The older way of writing "or" is no SPDX expression.
        component["licenses"] = json!([{ "expression": license.replace('/', " OR ") }]);
    }
    component
}
