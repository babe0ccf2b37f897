//! The KMDF function table: its order, and its length in each version.

use anyhow::{Result, bail};

const LIST: &str = include_str!("../kmdf-functions.txt");

/// The minor numbers of the KMDF versions that drivers can be built for.
#[must_use]
pub fn released_versions() -> Vec<u8> {
    LIST.lines()
        .filter_map(|line| line.strip_prefix("end "))
        .flat_map(str::split_whitespace)
        .filter_map(|version| version.strip_prefix("1.")?.parse().ok())
        .collect()
}

/// The names of the table's functions in a version, in table order.
pub fn functions(minor: u8) -> Result<Vec<&'static str>> {
    let version = format!("1.{minor}");
    let mut names = Vec::new();
    for line in LIST.lines() {
        if let Some(versions) = line.strip_prefix("end ") {
            if versions.split_whitespace().any(|ended| ended == version) {
                return Ok(names);
            }
        } else if !line.is_empty() && !line.starts_with('#') {
            names.push(line);
        }
    }
    bail!(
        "KMDF {version} is not known: kit/kmdf-functions.txt has the function tables of 1.{:?}",
        released_versions()
    )
}

/// The generated part of a version's headers.
pub fn version_header(minor: u8) -> Result<String> {
    use std::fmt::Write;

    let functions = functions(minor)?;
    let mut text = format!(
        "/* Generated from kit/kmdf-functions.txt for KMDF 1.{minor}. */\n\
         #pragma once\n\n\
         #ifndef KMDF_VERSION_MINOR\n\
         #define KMDF_VERSION_MINOR {minor}\n\
         #elif KMDF_VERSION_MINOR != {minor}\n\
         #error these are the headers of KMDF 1.{minor}\n\
         #endif\n\n\
         #define KMDF_FUNCTIONS_SYMBOL WdfFunctions_010{minor:02}\n\n\
         typedef enum _WDFFUNCENUM {{\n"
    );
    for (index, name) in functions.iter().enumerate() {
        writeln!(text, "    {name}TableIndex = {index},")?;
    }
    writeln!(
        text,
        "    WdfFunctionTableNumEntries = {},\n}} WDFFUNCENUM;",
        functions.len()
    )?;
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::{functions, released_versions, version_header};

    #[test]
    fn the_tables_have_the_lengths_that_the_loader_demands() {
        let lengths: Vec<_> = released_versions()
            .into_iter()
            .map(|minor| (minor, functions(minor).map(|names| names.len()).ok()))
            .collect();
        assert_eq!(
            lengths,
            [
                (15, Some(444)),
                (17, Some(444)),
                (19, Some(446)),
                (21, Some(448)),
                (23, Some(451)),
                (25, Some(453)),
                (27, Some(453)),
                (31, Some(458)),
                (33, Some(458)),
            ]
        );
    }

    #[test]
    fn known_functions_have_their_indices() {
        let names = functions(33).unwrap_or_default();
        for (index, name) in [
            (0, "WdfChildListCreate"),
            (75, "WdfDeviceCreate"),
            (116, "WdfDriverCreate"),
            (202, "WdfObjectGetTypedContextWorker"),
        ] {
            assert_eq!(names.get(index), Some(&name), "index {index}");
        }
        let mut sorted = names.clone();
        sorted.sort_unstable();
        sorted.dedup();
        assert_eq!(sorted.len(), names.len(), "a name stands in the list twice");
    }

    #[test]
    fn an_unknown_version_is_refused_by_name() {
        let message = functions(29).err().map(|error| error.to_string());
        assert!(message.is_some_and(|text| text.contains("KMDF 1.29 is not known")));
    }

    #[test]
    fn the_header_names_the_table_as_windows_drivers_rs_does() {
        let header = version_header(15).unwrap_or_default();
        assert!(header.contains("KMDF_FUNCTIONS_SYMBOL WdfFunctions_01015\n"));
        assert!(header.contains("WdfFunctionTableNumEntries = 444,\n"));
    }
}
