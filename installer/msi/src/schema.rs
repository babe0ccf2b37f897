//! The tables of the database, as Microsoft documents them ("Database Tables").

use msi::{Category, Column};

/// A column in short: name, kind, and marks: `k` part of the primary key, `n`
/// may be null.
type Short = (&'static str, Kind, &'static str);

/// What a column holds.
#[derive(Clone, Copy)]
enum Kind {
    /// A name.
    Id(usize),
    /// A name that is the key of another table.
    Key(usize, &'static str),
    /// Text in which properties are replaced.
    Formatted(usize),
    /// Text as it is.
    Text(usize),
    /// Text of one of the special kinds.
    Special(usize, Category),
    /// A number.
    Short,
    /// A number up to 32 bits.
    Long,
    /// A stream.
    Stream,
}

use Kind::{Formatted, Id, Key, Long, Short as Number, Special, Stream, Text};

const SEQUENCE: &[Short] = &[
    ("Action", Id(72), "k"),
    ("Condition", Special(255, Category::Condition), "n"),
    ("Sequence", Number, "n"),
];

const TABLES: [(&str, &[Short]); 21] = [
    (
        "ActionText",
        &[
            ("Action", Id(72), "k"),
            ("Description", Text(255), "n"),
            ("Template", Formatted(255), "n"),
        ],
    ),
    ("AdminExecuteSequence", SEQUENCE),
    ("AdminUISequence", SEQUENCE),
    ("AdvtExecuteSequence", SEQUENCE),
    (
        "AppSearch",
        &[
            ("Property", Id(72), "k"),
            ("Signature_", Key(72, "RegLocator"), "k"),
        ],
    ),
    ("Binary", &[("Name", Id(72), "k"), ("Data", Stream, "")]),
    (
        "Component",
        &[
            ("Component", Id(72), "k"),
            ("ComponentId", Special(38, Category::Guid), "n"),
            ("Directory_", Key(72, "Directory"), ""),
            ("Attributes", Number, ""),
            ("Condition", Special(255, Category::Condition), "n"),
            ("KeyPath", Id(72), "n"),
        ],
    ),
    (
        "CustomAction",
        &[
            ("Action", Id(72), "k"),
            ("Type", Number, ""),
            ("Source", Special(72, Category::CustomSource), "n"),
            ("Target", Formatted(255), "n"),
            ("ExtendedType", Long, "n"),
        ],
    ),
    (
        "Directory",
        &[
            ("Directory", Id(72), "k"),
            ("Directory_Parent", Key(72, "Directory"), "n"),
            ("DefaultDir", Special(255, Category::DefaultDir), ""),
        ],
    ),
    (
        "Feature",
        &[
            ("Feature", Id(38), "k"),
            ("Feature_Parent", Key(38, "Feature"), "n"),
            ("Title", Text(64), "n"),
            ("Description", Text(255), "n"),
            ("Display", Number, "n"),
            ("Level", Number, ""),
            ("Directory_", Key(72, "Directory"), "n"),
            ("Attributes", Number, ""),
        ],
    ),
    (
        "FeatureComponents",
        &[
            ("Feature_", Key(38, "Feature"), "k"),
            ("Component_", Key(72, "Component"), "k"),
        ],
    ),
    (
        "File",
        &[
            ("File", Id(72), "k"),
            ("Component_", Key(72, "Component"), ""),
            ("FileName", Special(255, Category::Filename), ""),
            ("FileSize", Long, ""),
            ("Version", Special(72, Category::Version), "n"),
            ("Language", Special(20, Category::Language), "n"),
            ("Attributes", Number, "n"),
            ("Sequence", Number, ""),
        ],
    ),
    ("Icon", &[("Name", Id(72), "k"), ("Data", Stream, "")]),
    ("InstallExecuteSequence", SEQUENCE),
    ("InstallUISequence", SEQUENCE),
    (
        "LaunchCondition",
        &[
            ("Condition", Special(255, Category::Condition), "k"),
            ("Description", Formatted(255), ""),
        ],
    ),
    (
        "Media",
        &[
            ("DiskId", Number, "k"),
            ("LastSequence", Number, ""),
            ("DiskPrompt", Text(64), "n"),
            ("Cabinet", Special(255, Category::Cabinet), "n"),
            ("VolumeLabel", Text(32), "n"),
            ("Source", Special(72, Category::Property), "n"),
        ],
    ),
    (
        "Property",
        &[("Property", Id(72), "k"), ("Value", Text(0), "")],
    ),
    (
        "RegLocator",
        &[
            ("Signature_", Id(72), "k"),
            ("Root", Number, ""),
            ("Key", Special(255, Category::RegPath), ""),
            ("Name", Formatted(255), "n"),
            ("Type", Number, "n"),
        ],
    ),
    (
        "Registry",
        &[
            ("Registry", Id(72), "k"),
            ("Root", Number, ""),
            ("Key", Special(255, Category::RegPath), ""),
            ("Name", Formatted(255), "n"),
            ("Value", Formatted(0), "n"),
            ("Component_", Key(72, "Component"), ""),
        ],
    ),
    (
        "Upgrade",
        &[
            ("UpgradeCode", Special(38, Category::Guid), "k"),
            ("VersionMin", Text(20), "kn"),
            ("VersionMax", Text(20), "kn"),
            ("Language", Special(255, Category::Language), "kn"),
            ("Attributes", Long, "k"),
            ("Remove", Formatted(255), "n"),
            ("ActionProperty", Id(72), ""),
        ],
    ),
];

/// The tables, with their columns.
pub fn tables() -> impl Iterator<Item = (&'static str, Vec<Column>)> {
    TABLES
        .iter()
        .map(|(name, columns)| (*name, columns.iter().copied().map(column).collect()))
}

fn column((name, kind, marks): Short) -> Column {
    let mut builder = Column::build(name);
    if marks.contains('k') {
        builder = builder.primary_key();
    }
    if marks.contains('n') {
        builder = builder.nullable();
    }
    match kind {
        Id(length) => builder.id_string(length),
        Key(length, table) => builder.foreign_key(table, 1).id_string(length),
        Formatted(length) => builder.formatted_string(length),
        Text(length) => builder.text_string(length),
        Special(length, category) => builder.category(category).string(length),
        Number => builder.int16(),
        Long => builder.int32(),
        Stream => builder.binary(),
    }
}
