//! The rules that the database must obey: those of Microsoft's internal
//! consistency evaluators (ICE) that matter here, read off the finished file.

use std::collections::BTreeSet;
use std::io::{Cursor, Read as _};

use anyhow::{Context as _, Result};
use kit::Architecture;
use msi::{Package, Select, Value};

use crate::identity::{COMPONENTS, UPGRADE_CODE};

/// One breach of a rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The rule, by its name.
    pub rule: &'static str,
    /// What is wrong.
    pub what: String,
}

type Row = Vec<Value>;

/// The database, read.
struct Database {
    package: Package<Cursor<Vec<u8>>>,
    findings: Vec<Finding>,
}

/// All breaches in the MSI for a processor.
///
/// # Errors
/// It can't be read at all.
pub fn check(msi: &[u8], architecture: Architecture) -> Result<Vec<Finding>> {
    let mut database = Database {
        package: Package::open(Cursor::new(msi.to_vec()))?,
        findings: Vec::new(),
    };
    database.deferred_actions()?;
    database.rollback_actions()?;
    database.component_codes()?;
    database.key_paths()?;
    database.sixty_four_bit()?;
    database.upgrade()?;
    database.secure_properties()?;
    database.media()?;
    database.foreign_keys()?;
    database.summary(architecture);
    database.size(msi.len());
    Ok(database.findings)
}

fn text(row: &Row, column: usize) -> &str {
    row.get(column).and_then(Value::as_str).unwrap_or_default()
}

fn number(row: &Row, column: usize) -> i32 {
    row.get(column).and_then(Value::as_int).unwrap_or_default()
}

impl Database {
    fn find(&mut self, rule: &'static str, what: impl Into<String>) {
        let what = what.into();
        self.findings.push(Finding { rule, what });
    }

    fn rows(&mut self, table: &str) -> Result<Vec<Row>> {
        let rows = self
            .package
            .select_rows(Select::table(table))
            .with_context(|| format!("the table {table}"))?;
        Ok(rows
            .map(|row| (0..row.len()).map(|index| row[index].clone()).collect())
            .collect())
    }

    fn property(&mut self, name: &str) -> Result<String> {
        let rows = self.rows("Property")?;
        let found = rows.iter().find(|row| text(row, 0) == name);
        Ok(found.map(|row| text(row, 1).to_owned()).unwrap_or_default())
    }

    fn position(&mut self, action: &str) -> Result<Option<i32>> {
        let rows = self.rows("InstallExecuteSequence")?;
        let found = rows.iter().find(|row| text(row, 0) == action);
        Ok(found.map(|row| number(row, 2)))
    }

    /// ICE77: deferred actions run between the two that write and run the script;
    /// Windows Installer drops others without a word.
    fn deferred_actions(&mut self) -> Result<()> {
        const RULE: &str = "deferred actions";
        let begin = self.position("InstallInitialize")?.unwrap_or(i32::MAX);
        let end = self.position("InstallFinalize")?.unwrap_or(i32::MIN);
        for action in self.rows("CustomAction")? {
            let (name, kind) = (text(&action, 0), number(&action, 1));
            let at = self.position(name)?;
            if kind & 0x400 == 0 {
                continue;
            }
            if at.is_none_or(|at| at <= begin || at >= end) {
                let what = format!("{name} is not between InstallInitialize and InstallFinalize");
                self.find(RULE, what);
            }
            if kind & 0x800 == 0 {
                self.find(RULE, format!("{name} does not run as LocalSystem"));
            }
        }
        Ok(())
    }

    /// A rollback action is there, under the same condition and before the
    /// action that it undoes.
    fn rollback_actions(&mut self) -> Result<()> {
        const RULE: &str = "rollback";
        let sequence = self.rows("InstallExecuteSequence")?;
        let step = |name: &str| sequence.iter().find(|row| text(row, 0) == name);
        for action in ["InstallDriver", "RemoveDriver"] {
            let undo = format!("Undo{action}");
            let (Some(action), Some(undo)) = (step(action), step(&undo)) else {
                self.find(RULE, format!("{action} or {undo} is missing"));
                continue;
            };
            if number(undo, 2) >= number(action, 2) || text(undo, 1) != text(action, 1) {
                let what = format!("{} is not right before its action", text(undo, 0));
                self.find(RULE, what);
            }
        }
        Ok(())
    }

    /// ICE08, and what an upgrade needs: codes are unique and stay.
    fn component_codes(&mut self) -> Result<()> {
        const RULE: &str = "component codes";
        let mut codes = BTreeSet::new();
        for component in self.rows("Component")? {
            let (name, code) = (text(&component, 0), text(&component, 1));
            if !codes.insert(code.to_owned()) {
                self.find(RULE, format!("{code} stands twice"));
            }
            if !COMPONENTS.contains(&(name, code)) {
                self.find(RULE, format!("{name} has another code than ever: {code}"));
            }
        }
        Ok(())
    }

    /// ICE18 and ICE38: the key path of a component is its own.
    fn key_paths(&mut self) -> Result<()> {
        let files = self.rows("File")?;
        let registry = self.rows("Registry")?;
        for component in self.rows("Component")? {
            let (name, key) = (text(&component, 0), text(&component, 5));
            let is_registry = number(&component, 3) & 4 != 0;
            let found = if is_registry {
                registry
                    .iter()
                    .any(|row| text(row, 0) == key && text(row, 5) == name)
            } else {
                files
                    .iter()
                    .any(|row| text(row, 0) == key && text(row, 1) == name)
            };
            if !found {
                self.find("key paths", format!("{name} has no {key}"));
            }
        }
        Ok(())
    }

    /// ICE80: everything is 64-bit, and so is the package.
    fn sixty_four_bit(&mut self) -> Result<()> {
        const RULE: &str = "64-bit";
        for component in self.rows("Component")? {
            if number(&component, 3) & 256 == 0 {
                self.find(RULE, format!("{} is a 32-bit one", text(&component, 0)));
            }
        }
        for search in self.rows("RegLocator")? {
            if number(&search, 4) & 16 == 0 {
                let what = format!("{} looks in the 32-bit registry", text(&search, 0));
                self.find(RULE, what);
            }
        }
        Ok(())
    }

    /// ICE61: older versions are removed, newer ones detected only.
    fn upgrade(&mut self) -> Result<()> {
        const RULE: &str = "upgrade";
        if self.property("UpgradeCode")? != UPGRADE_CODE {
            self.find(RULE, "the upgrade code is another than ever");
        }
        let version = self.property("ProductVersion")?;
        let rows = self.rows("Upgrade")?;
        let (mut older, mut newer) = (false, false);
        for row in &rows {
            let detects = number(row, 4) & 2 != 0;
            older |= text(row, 2) == version && !detects;
            newer |= text(row, 1) == version && detects;
            if text(row, 0) != UPGRADE_CODE {
                self.find(RULE, "a row is about another product");
            }
        }
        if !older || !newer {
            self.find(RULE, "older versions must go, newer ones be detected");
        }
        let begin = self.position("InstallInitialize")?;
        let remove = self.position("RemoveExistingProducts")?;
        if remove
            .zip(begin)
            .is_none_or(|(remove, begin)| remove <= begin)
        {
            self.find(RULE, "the old version would not come back by rollback");
        }
        Ok(())
    }

    /// What the user interface sequence found reaches the execute sequence, which
    /// does not look again ("`AppSearch` Action", "`FindRelatedProducts` Action").
    fn secure_properties(&mut self) -> Result<()> {
        let secure = self.property("SecureCustomProperties")?;
        for (table, column) in [("AppSearch", 0), ("Upgrade", 6)] {
            for row in self.rows(table)? {
                let property = text(&row, column);
                if !secure.split(';').any(|it| it == property) {
                    let what = format!("{table}: {property} is not in SecureCustomProperties");
                    self.find("secure properties", what);
                }
            }
        }
        Ok(())
    }

    /// ICE04 and what ICE can't see: sizes and order are those in the cabinet.
    fn media(&mut self) -> Result<()> {
        const RULE: &str = "media and files";
        let mut files = self.rows("File")?;
        files.sort_by_key(|row| number(row, 7));
        let media = self.rows("Media")?;
        let last = media.iter().map(|row| number(row, 1)).max();
        if last != files.last().map(|row| number(row, 7)) {
            self.find(RULE, "LastSequence is not the last file's");
        }
        let mut bytes = Vec::new();
        let name = media
            .first()
            .and_then(|row| text(row, 3).strip_prefix('#'))
            .unwrap_or_default();
        if !self.package.has_stream(name) {
            self.find(RULE, format!("there is no cabinet {name}"));
            return Ok(());
        }
        self.package.read_stream(name)?.read_to_end(&mut bytes)?;
        let cabinet = cab::Cabinet::new(Cursor::new(bytes))?;
        let inside: Vec<(String, u32)> = cabinet
            .folder_entries()
            .flat_map(cab::FolderEntry::file_entries)
            .map(|file| (file.name().to_owned(), file.uncompressed_size()))
            .collect();
        let listed: Vec<(String, u32)> = files
            .iter()
            .map(|row| (text(row, 0).to_owned(), number(row, 3).unsigned_abs()))
            .collect();
        if inside != listed {
            self.find(
                RULE,
                format!("listed {listed:?}, in the cabinet {inside:?}"),
            );
        }
        Ok(())
    }

    /// ICE03 and ICE06: what a table refers to is there.
    fn foreign_keys(&mut self) -> Result<()> {
        const RULE: &str = "foreign keys";
        const KEYS: [(&str, usize, &str); 11] = [
            ("Component", 2, "Directory"),
            ("Directory", 1, "Directory"),
            ("Feature", 6, "Directory"),
            ("FeatureComponents", 0, "Feature"),
            ("FeatureComponents", 1, "Component"),
            ("File", 1, "Component"),
            ("Registry", 5, "Component"),
            ("AppSearch", 1, "RegLocator"),
            ("Component", 0, "FeatureComponents"),
            ("Binary", 0, ""),
            ("Icon", 0, ""),
        ];
        for (table, column, target) in KEYS {
            let there = match target {
                "" => Vec::new(),
                target => self.rows(target)?,
            };
            for row in self.rows(table)? {
                let key = text(&row, column);
                let stream = format!("{table}.{key}");
                // A component must be in the feature, by that table's second column.
                let place = usize::from(target == "FeatureComponents");
                let found = key.is_empty()
                    || there.iter().any(|row| text(row, place) == key)
                    || (target.is_empty() && self.package.has_stream(&stream));
                if !found {
                    self.find(RULE, format!("{table}: {key} is not in {target}"));
                }
            }
        }
        let binaries = self.rows("Binary")?;
        for action in self.rows("CustomAction")? {
            let source = text(&action, 2);
            let is_library = number(&action, 1) & 0x3F == 1;
            if is_library && !binaries.iter().any(|row| text(row, 0) == source) {
                self.find(RULE, format!("CustomAction: {source} is not in Binary"));
            }
        }
        Ok(())
    }

    /// ICE39: what Windows Installer reads before it opens the database.
    fn summary(&mut self, architecture: Architecture) {
        // "Page Count Summary property".
        let oldest = match architecture {
            Architecture::X64 => 200,
            Architecture::Arm64 => 500,
        };
        let summary = self.package.summary_info();
        let right = summary.arch() == Some(architecture.installer_platform())
            && summary.languages().len() == 1
            && summary.uuid().is_some()
            && summary
                .page_count()
                .is_some_and(|version| version >= oldest)
            && summary.word_count() == Some(2)
            && summary.title().is_some()
            && summary.author().is_some();
        if !right {
            self.find(
                "summary information",
                "platform, language, package code, schema, source type, title or author is wrong",
            );
        }
    }

    fn size(&mut self, bytes: usize) {
        if bytes >= 200 * 1024 {
            self.find("size", format!("{bytes} bytes are not under 200 KiB"));
        }
    }
}
