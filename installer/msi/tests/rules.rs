//! The database that is built obeys every rule, and each rule has a broken
//! database that trips it.

use std::io::{Cursor, Write as _};

use installer::{Architecture, Contents, build, rules};
use msi::{Delete, Expr, Insert, Package, Select, Update, Value};

type Broken = Package<Cursor<Vec<u8>>>;

const fn contents(inf: &[u8]) -> Contents<'_> {
    Contents {
        architecture: Architecture::X64,
        inf,
        catalogue: b"catalogue",
        driver: b"driver",
        status_script: b"script",
        actions: b"actions",
        version: "1.2.3",
        date: 1_700_000_000,
    }
}

fn msi() -> Vec<u8> {
    msi_for(Architecture::X64)
}

fn msi_for(architecture: Architecture) -> Vec<u8> {
    let contents = Contents {
        architecture,
        ..contents(b"inf")
    };
    build(&contents).expect("it builds")
}

/// The rules that a change breaks.
fn broken_by(change: impl Fn(&mut Broken)) -> Vec<&'static str> {
    broken_for(Architecture::X64, change)
}

fn broken_for(architecture: Architecture, change: impl Fn(&mut Broken)) -> Vec<&'static str> {
    let mut package = Package::open(Cursor::new(msi_for(architecture))).expect("it opens");
    change(&mut package);
    let bytes = package.into_inner().expect("it is written").into_inner();
    let findings = rules::check(&bytes, architecture).expect("it can be read");
    findings.into_iter().map(|finding| finding.rule).collect()
}

fn set(package: &mut Broken, table: &str, key: (&str, &str), column: &str, value: Value) {
    let row = Expr::col(key.0).eq(Expr::string(key.1));
    let update = Update::table(table).set(column, value).with(row);
    package.update_rows(update).expect("the row can be changed");
}

fn delete(package: &mut Broken, table: &str, key: (&str, &str)) {
    let row = Expr::col(key.0).eq(Expr::string(key.1));
    let delete = Delete::from(table).with(row);
    package.delete_rows(delete).expect("the row can be deleted");
}

fn text(text: &str) -> Value {
    Value::Str(text.to_owned())
}

#[test]
fn what_is_built_obeys_every_rule() {
    for architecture in Architecture::ALL {
        let msi = msi_for(architecture);
        let findings = rules::check(&msi, architecture).expect("it can be read");
        assert_eq!(findings, [], "for {architecture}");
    }
}

#[test]
fn the_same_contents_give_the_same_bytes() {
    assert_eq!(msi(), msi());
    let other = build(&contents(b"another inf")).expect("it builds");
    let code = |bytes: Vec<u8>| {
        let package = Package::open(Cursor::new(bytes)).expect("it opens");
        package.summary_info().uuid()
    };
    assert_ne!(code(msi()), code(other));
}

#[test]
fn a_version_that_windows_installer_would_not_compare_is_refused() {
    let mut four = contents(b"inf");
    four.version = "1.2.3.4";
    assert!(build(&four).is_err());
}

#[test]
fn deferred_actions_outside_the_transaction_are_found() {
    for number in [1499, 6601] {
        let found = broken_by(|package| {
            let key = ("Action", "CommitDriver");
            set(
                package,
                "InstallExecuteSequence",
                key,
                "Sequence",
                Value::Int(number),
            );
        });
        assert_eq!(found, ["deferred actions"], "at {number}");
    }
    let found = broken_by(|package| {
        let key = ("Action", "CommitDriver");
        set(
            package,
            "CustomAction",
            key,
            "Type",
            Value::Int(1 + 0x400 + 0x200),
        );
    });
    assert_eq!(found, ["deferred actions"], "not as LocalSystem");
}

#[test]
fn a_rollback_action_behind_its_action_is_found() {
    let found = broken_by(|package| {
        let key = ("Action", "UndoInstallDriver");
        set(
            package,
            "InstallExecuteSequence",
            key,
            "Sequence",
            Value::Int(5150),
        );
    });
    assert_eq!(found, ["rollback"]);
    let found = broken_by(|package| {
        let key = ("Action", "UndoRemoveDriver");
        set(
            package,
            "InstallExecuteSequence",
            key,
            "Condition",
            Value::Null,
        );
    });
    assert_eq!(found, ["rollback"]);
}

#[test]
fn a_component_code_that_changes_or_stands_twice_is_found() {
    let code = "{1E0C8B57-64A9-4D3E-8F21-B95C70D3E8A1}";
    let found = broken_by(|package| {
        set(
            package,
            "Component",
            ("Component", "PackageSys"),
            "ComponentId",
            text(code),
        );
    });
    assert_eq!(found, ["component codes"; 2]);
}

#[test]
fn a_key_path_of_another_component_is_found() {
    let found = broken_by(|package| {
        let key = ("Component", "PackageSys");
        set(package, "Component", key, "KeyPath", text("PackageInf"));
    });
    assert_eq!(found, ["key paths"]);
}

#[test]
fn a_32_bit_component_or_search_is_found() {
    let found = broken_by(|package| {
        set(
            package,
            "Component",
            ("Component", "PackageSys"),
            "Attributes",
            Value::Int(0),
        );
    });
    assert_eq!(found, ["64-bit"]);
    let found = broken_by(|package| {
        set(
            package,
            "RegLocator",
            ("Signature_", "WindowsBuild"),
            "Type",
            Value::Int(2),
        );
    });
    assert_eq!(found, ["64-bit"]);
}

#[test]
fn an_upgrade_that_would_not_find_or_not_keep_the_old_version_is_found() {
    let found = broken_by(|package| delete(package, "Upgrade", ("ActionProperty", "NEWERFOUND")));
    assert_eq!(found, ["upgrade"]);
    let found = broken_by(|package| {
        let key = ("Action", "RemoveExistingProducts");
        set(
            package,
            "InstallExecuteSequence",
            key,
            "Sequence",
            Value::Int(1450),
        );
    });
    assert_eq!(found, ["upgrade"]);
}

#[test]
fn a_property_that_is_found_but_would_not_reach_the_execute_sequence_is_found() {
    let properties = [
        "NEWERFOUND",
        "OLDERFOUND",
        "PROCESSOR",
        "REPORTDUMPENDFOUND",
        "WINDOWSBUILD",
    ];
    for left_out in properties {
        let secure = properties.map(|it| if it == left_out { "OTHER" } else { it });
        let found = broken_by(|package| {
            let key = ("Property", "SecureCustomProperties");
            set(package, "Property", key, "Value", text(&secure.join(";")));
        });
        assert_eq!(found, ["secure properties"], "without {left_out}");
    }
}

#[test]
fn a_file_of_another_size_or_outside_the_media_is_found() {
    let found = broken_by(|package| {
        set(
            package,
            "File",
            ("File", "PackageSys"),
            "FileSize",
            Value::Int(1),
        );
    });
    assert_eq!(found, ["media and files"]);
    let found = broken_by(|package| {
        let key = ("Cabinet", "#pvpanic.cab");
        set(package, "Media", key, "LastSequence", Value::Int(3));
    });
    assert_eq!(found, ["media and files"]);
}

#[test]
fn a_key_without_its_row_is_found() {
    let found = broken_by(|package| delete(package, "Directory", ("Directory", "DRIVERFOLDER")));
    assert_eq!(found, ["foreign keys"; 3]);
    let found = broken_by(|package| {
        package
            .remove_stream("Icon.pvpanic.ico")
            .expect("it is there");
    });
    assert_eq!(found, ["foreign keys"]);
    let found = broken_by(|package| {
        let row = vec![
            text("X"),
            Value::Int(1),
            text("Nothing"),
            text("X"),
            Value::Null,
        ];
        let insert = Insert::into("CustomAction").row(row);
        package.insert_rows(insert).expect("it can be added");
    });
    assert_eq!(found, ["foreign keys"]);
}

#[test]
fn a_package_for_another_platform_is_found() {
    let found = broken_by(|package| package.summary_info_mut().set_arch("Intel"));
    assert_eq!(found, ["summary information"]);
    let found = rules::check(&msi_for(Architecture::X64), Architecture::Arm64);
    assert_eq!(found.expect("it can be read").len(), 1);
}

#[test]
fn a_schema_that_is_too_old_for_the_processor_is_found() {
    for (architecture, schema) in [(Architecture::X64, 199), (Architecture::Arm64, 499)] {
        let found = broken_for(architecture, |package| {
            package.summary_info_mut().set_page_count(schema);
        });
        assert_eq!(found, ["summary information"], "for {architecture}");
    }
}

#[test]
fn each_processor_has_a_product_of_its_own_and_the_same_upgrade_code() {
    let property = |architecture, name: &str| {
        let msi = Cursor::new(msi_for(architecture));
        let mut package = Package::open(msi).expect("it opens");
        let rows = package.select_rows(Select::table("Property"));
        rows.expect("the table is there")
            .find(|row| row["Property"].as_str() == Some(name))
            .and_then(|row| row["Value"].as_str().map(str::to_owned))
    };
    let [x64, arm64] = Architecture::ALL;
    let code = "ProductCode";
    assert_ne!(property(x64, code), property(arm64, code));
    let code = "UpgradeCode";
    assert!(property(x64, code).is_some());
    assert_eq!(property(x64, code), property(arm64, code));
}

#[test]
fn a_package_that_grew_is_found() {
    let found = broken_by(|package| {
        let mut stream = package.write_stream("Ballast").expect("it can be added");
        stream
            .write_all(&vec![0; 200 * 1024])
            .expect("it is written");
    });
    assert_eq!(found, ["size"]);
}
