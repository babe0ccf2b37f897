//! The edits that let `wdk-build` run on a host that is not Windows.
//!
//! It refuses in four places: a dependency that only compiles on Windows, the
//! look-up in the Windows registry, two functions that are compile errors, and
//! two symbolic links of its cargo-make support. None of the last three is
//! reached when `WDKContentRoot` is set and the crate is used from a build
//! script. Every edit must match exactly once, so that another release of the
//! crate stops the build instead of being edited wrongly.

use std::path::Path;

use anyhow::{Context, Result, bail};

use crate::workspace::read;

/// The release that the edits are written for.
pub const RELEASE: &str = "0.6.0";

/// One edit: the file, what to find, what to put there.
struct Edit {
    file: &'static str,
    find: &'static str,
    replace: &'static str,
}

const EDITS: [Edit; 9] = [
    // A lock file does not know for which target a dependency is, so
    // Cargo.lock stays as it is.
    Edit {
        file: "Cargo.toml",
        find: "\n[dependencies.windows]\n",
        replace: "\n[target.'cfg(windows)'.dependencies.windows]\n",
    },
    Edit {
        file: "src/utils.rs",
        find: "\nuse windows::{\n",
        replace: "\n#[cfg(windows)]\nuse windows::{\n",
    },
    Edit {
        file: "src/utils.rs",
        find: "    if let Some(path) = read_registry_key_string_value(\n        HKEY_LOCAL_MACHINE,\n        s!(r\"SOFTWARE\\Microsoft\\",
        replace: "    #[cfg(windows)]\n    if let Some(path) = read_registry_key_string_value(\n        HKEY_LOCAL_MACHINE,\n        s!(r\"SOFTWARE\\Microsoft\\",
    },
    Edit {
        file: "src/utils.rs",
        find: "    if let Some(path) = read_registry_key_string_value(\n        HKEY_LOCAL_MACHINE,\n        s!(r\"SOFTWARE\\Wow6432Node\\",
        replace: "    #[cfg(windows)]\n    if let Some(path) = read_registry_key_string_value(\n        HKEY_LOCAL_MACHINE,\n        s!(r\"SOFTWARE\\Wow6432Node\\",
    },
    Edit {
        file: "src/utils.rs",
        find: "\nfn read_registry_key_string_value(\n",
        replace: "\n#[cfg(windows)]\nfn read_registry_key_string_value(\n",
    },
    Edit {
        file: "src/utils.rs",
        find: "pub fn set_var<K, V>(_key: K, _value: V)\nwhere\n    K: AsRef<OsStr>,\n    V: AsRef<OsStr>,\n{\n    compile_error!(",
        replace: "pub fn set_var<K, V>(_key: K, _value: V)\nwhere\n    K: AsRef<OsStr>,\n    V: AsRef<OsStr>,\n{\n    panic!(",
    },
    Edit {
        file: "src/utils.rs",
        find: "pub fn remove_var<K>(_key: K)\nwhere\n    K: AsRef<OsStr>,\n{\n    compile_error!(",
        replace: "pub fn remove_var<K>(_key: K)\nwhere\n    K: AsRef<OsStr>,\n{\n    panic!(",
    },
    Edit {
        file: "src/cargo_make.rs",
        find: "    if !destination_path.exists() {\n        std::os::windows::fs::symlink_file(",
        replace: "    if !destination_path.exists() {\n        std::os::unix::fs::symlink(",
    },
    Edit {
        file: "src/cargo_make.rs",
        find: "with_path(&destination_path, source))?;\n        std::os::windows::fs::symlink_file(",
        replace: "with_path(&destination_path, source))?;\n        std::os::unix::fs::symlink(",
    },
];

/// What the edits are, for a fingerprint.
pub fn texts() -> impl Iterator<Item = &'static str> {
    EDITS
        .iter()
        .flat_map(|edit| [edit.file, edit.find, edit.replace])
}

/// Applies the edits to a vendored copy of the crate.
pub fn apply(crate_folder: &Path) -> Result<()> {
    for edit in &EDITS {
        let path = crate_folder.join(edit.file);
        let edited = edit
            .apply(&read(&path)?)
            .with_context(|| format!("{} can't be edited", path.display()))?;
        std::fs::write(&path, edited).with_context(|| format!("can't write {}", path.display()))?;
    }
    // Cargo holds every file of a vendored crate against this list. The
    // crate's own checksum stays: Cargo.lock names it.
    let checksums = crate_folder.join(".cargo-checksum.json");
    let text = read(&checksums)?;
    let edited = without_files(&text)
        .with_context(|| format!("{} is not as cargo writes it", checksums.display()))?;
    std::fs::write(&checksums, edited)
        .with_context(|| format!("can't write {}", checksums.display()))
}

impl Edit {
    fn apply(&self, text: &str) -> Result<String> {
        // The published crate has both kinds of line ends.
        let ends = if text.contains("\r\n") { "\r\n" } else { "\n" };
        let find = self.find.replace('\n', ends);
        let replace = self.replace.replace('\n', ends);
        match text.matches(&find).count() {
            1 => Ok(text.replacen(&find, &replace, 1)),
            count => bail!(
                "the place to edit was found {count} times instead of once. The edits are written \
                 for wdk-build {RELEASE}; if Cargo.lock has another release, write them anew in \
                 kit/src/host_edits.rs. The place is:\n{}",
                self.find
            ),
        }
    }
}

/// A checksum file with an empty list of files.
fn without_files(text: &str) -> Option<String> {
    let start = text.find("\"files\":{")? + "\"files\":{".len();
    let end = start + text.get(start..)?.find('}')?;
    Some(format!("{}{}", text.get(..start)?, text.get(end..)?))
}

#[cfg(test)]
mod tests {
    use super::{Edit, without_files};

    const EDIT: Edit = Edit {
        file: "",
        find: "\nabc\n",
        replace: "\nxyz\n",
    };

    #[test]
    fn an_edit_keeps_the_line_ends_of_the_file() {
        assert_eq!(
            EDIT.apply("1\r\nabc\r\n2").ok().as_deref(),
            Some("1\r\nxyz\r\n2")
        );
        assert_eq!(EDIT.apply("1\nabc\n2").ok().as_deref(), Some("1\nxyz\n2"));
    }

    #[test]
    fn an_edit_that_matches_never_or_twice_is_an_error_that_says_what_to_do() {
        for text in ["1\nabd\n2", "\nabc\n\nabc\n"] {
            let message = EDIT.apply(text).err().map(|error| error.to_string());
            assert!(message.is_some_and(|text| text.contains("kit/src/host_edits.rs")));
        }
    }

    #[test]
    fn the_list_of_files_is_emptied_and_the_checksum_kept() {
        assert_eq!(
            without_files(r#"{"files":{"a":"1","b":"2"},"package":"3"}"#).as_deref(),
            Some(r#"{"files":{},"package":"3"}"#)
        );
    }
}
