//! From the driver package to the MSI.

use std::io::{Cursor, Read as _, Write as _};
use std::path::PathBuf;
use std::time::{Duration, UNIX_EPOCH};

use anyhow::{Context as _, Result, ensure};
use cfb::{CompoundFile, Entry, Version};
use kit::Architecture;
use msi::{Insert, LanguageId, Package, PackageType, Value};

use crate::archive::cabinet;
use crate::icon::icon;
use crate::identity::{self, COMPONENTS, UPGRADE_CODE, braced};
use crate::schema;
use crate::sequence::sequences;

/// What goes into the MSI.
#[derive(Clone, Copy, Debug)]
pub struct Contents<'a> {
    /// The processor that driver and custom actions are for.
    pub architecture: Architecture,
    /// `pvpanic.inf`, stamped.
    pub inf: &'a [u8],
    /// `pvpanic.cat`, signed if anything is.
    pub catalogue: &'a [u8],
    /// `pvpanic.sys`, signed if anything is.
    pub driver: &'a [u8],
    /// `Get-PvPanicStatus.ps1`.
    pub status_script: &'a [u8],
    /// The library with the custom actions.
    pub actions: &'a [u8],
    /// The version, such as `0.1.0`.
    pub version: &'a str,
    /// The date of the package, in seconds since 1970.
    pub date: u64,
}

/// The name in Apps & features.
const PRODUCT: &str = "pvpanic for Windows";
const MANUFACTURER: &str = "The pvpanic for Windows project";
/// What the device is and what the host makes of it.
const HELP: &str = "https://www.qemu.org/docs/master/specs/pvpanic.html";
const SERVICE: &str = r"SYSTEM\CurrentControlSet\Services\pvpanic\Parameters";

/// A cell of a table.
fn text(text: impl Into<String>) -> Value {
    Value::Str(text.into())
}

const fn number(number: i32) -> Value {
    Value::Int(number)
}

const NULL: Value = Value::Null;

/// Component attributes (Microsoft, "Component Table").
const SIXTY_FOUR_BIT: i32 = 256;
const REGISTRY_KEY_PATH: i32 = 4;
const TRANSITIVE: i32 = 64;

/// Custom action types (Microsoft, "Custom Action Reference").
const DLL: i32 = 1;
const MESSAGE: i32 = 19;
const SET_PROPERTY: i32 = 51;
const ROLLBACK: i32 = 0x100;
const COMMIT: i32 = 0x200;
/// Later, as `LocalSystem`.
const DEFERRED: i32 = 0x400 + 0x800;

/// The name of the library in the table `Binary`.
const LIBRARY: &str = "Actions";

type Rows = Vec<Vec<Value>>;

/// Makes the MSI. The same contents give the same bytes.
///
/// # Errors
/// Something is too big, or a value does not fit its column.
pub fn build(contents: &Contents<'_>) -> Result<Vec<u8>> {
    let product_code = identity::product_code(contents.architecture, contents.version);
    let parts = [
        contents.inf,
        contents.catalogue,
        contents.driver,
        contents.status_script,
        contents.actions,
        contents.version.as_bytes(),
        &contents.date.to_le_bytes(),
    ];
    let package_code = identity::package_code(&parts);
    ensure!(
        contents.version.split('.').count() == 3,
        "{} is no version of three numbers, which is all that Windows Installer compares",
        contents.version
    );

    let mut package = Package::create(PackageType::Installer, Cursor::new(Vec::new()))?;
    let summary = package.summary_info_mut();
    let date = UNIX_EPOCH + Duration::from_secs(contents.date);
    summary.set_title("Installation Database");
    summary.set_subject(format!("{PRODUCT} {}", contents.version));
    summary.set_author(MANUFACTURER);
    summary.set_keywords(&["Installer".to_owned()]);
    summary.set_comments("Installs the driver for QEMU's pvpanic device");
    summary.set_arch(contents.architecture.installer_platform());
    summary.set_languages(&[LanguageId::from_tag("en-US")]);
    summary.set_uuid(package_code);
    summary.set_creation_time(date);
    summary.set_last_save_time(date);
    summary.set_creating_application(PRODUCT);
    // Windows Installer 5.0, which every supported Windows has, and ARM64 demands.
    summary.set_page_count(500);
    // The files are compressed, with long names, and it needs elevation.
    summary.set_word_count(2);
    // Opened read-only, if anybody opens it.
    summary.set_doc_security(2);

    let files = [
        ("PackageCat", contents.catalogue),
        ("PackageInf", contents.inf),
        ("PackageSys", contents.driver),
        ("StatusScript", contents.status_script),
    ];
    for (name, columns) in schema::tables() {
        let rows = rows(name, contents, &files, &braced(product_code))?;
        package.create_table(name, columns)?;
        package
            .insert_rows(Insert::into(name).rows(rows))
            .with_context(|| format!("the table {name}"))?;
    }
    let date = i64::try_from(contents.date)?;
    let streams = [
        ("Binary.Actions", contents.actions.to_vec()),
        ("Binary.PackageCat", contents.catalogue.to_vec()),
        ("Binary.PackageInf", contents.inf.to_vec()),
        ("Icon.pvpanic.ico", icon()),
        ("pvpanic.cab", cabinet(&files, date)?),
    ];
    for (name, bytes) in streams {
        package.write_stream(name)?.write_all(&bytes)?;
    }
    package.flush()?;
    with_small_sectors(package.into_inner()?.into_inner())
}

/// The same in a compound file of version 3, with sectors of 512 bytes: what
/// Windows Installer itself writes, and what osslsigncode can sign.
fn with_small_sectors(msi: Vec<u8>) -> Result<Vec<u8>> {
    let mut from = CompoundFile::open(Cursor::new(msi))?;
    let mut to = CompoundFile::create_with_version(Version::V3, Cursor::new(Vec::new()))?;
    to.set_storage_clsid("/", *from.root_entry().clsid())?;
    let streams: Vec<PathBuf> = from
        .walk()
        .filter(Entry::is_stream)
        .map(|entry| entry.path().to_owned())
        .collect();
    for path in streams {
        let mut bytes = Vec::new();
        from.open_stream(&path)?.read_to_end(&mut bytes)?;
        to.create_stream(&path)?.write_all(&bytes)?;
    }
    to.flush()?;
    Ok(to.into_inner().into_inner())
}

fn rows(
    table: &str,
    contents: &Contents<'_>,
    files: &[(&str, &[u8])],
    product_code: &str,
) -> Result<Rows> {
    let rows = match table {
        "ActionText" => action_texts(),
        "AppSearch" => vec![
            vec![text("PROCESSOR"), text("Processor")],
            vec![text("REPORTDUMPENDFOUND"), text("ReportDumpEnd")],
            vec![text("WINDOWSBUILD"), text("WindowsBuild")],
        ],
        "Binary" => [LIBRARY, "PackageCat", "PackageInf"]
            .map(|name| vec![text(name), Value::Binary])
            .to_vec(),
        "Component" => components(),
        "CustomAction" => custom_actions(),
        "Directory" => vec![
            vec![text("TARGETDIR"), NULL, text("SourceDir")],
            vec![text("ProgramFiles64Folder"), text("TARGETDIR"), text(".")],
            vec![
                text("INSTALLFOLDER"),
                text("ProgramFiles64Folder"),
                text("pvpanic"),
            ],
            vec![text("DRIVERFOLDER"), text("INSTALLFOLDER"), text("driver")],
        ],
        "Feature" => vec![vec![
            text("Driver"),
            NULL,
            text(PRODUCT),
            text("The driver package and its settings"),
            number(1),
            number(1),
            text("INSTALLFOLDER"),
            // May not be absent.
            number(16),
        ]],
        "FeatureComponents" => COMPONENTS
            .map(|(name, _)| vec![text("Driver"), text(name)])
            .to_vec(),
        "File" => file_rows(files, contents.version)?,
        "Icon" => vec![vec![text("pvpanic.ico"), Value::Binary]],
        "LaunchCondition" => launch_conditions(contents.architecture),
        "Media" => vec![vec![
            number(1),
            number(i32::try_from(files.len())?),
            NULL,
            text("#pvpanic.cab"),
            NULL,
            NULL,
        ]],
        "Property" => properties(contents.version, product_code),
        // Root 2 is HKEY_LOCAL_MACHINE; type 2 a value, 16 the 64-bit registry.
        "RegLocator" => vec![
            vec![
                text("Processor"),
                number(2),
                text(r"SYSTEM\CurrentControlSet\Control\Session Manager\Environment"),
                text("PROCESSOR_ARCHITECTURE"),
                number(2 + 16),
            ],
            vec![
                text("ReportDumpEnd"),
                number(2),
                text(SERVICE),
                text("ReportDumpEnd"),
                number(2 + 16),
            ],
            vec![
                text("WindowsBuild"),
                number(2),
                text(r"SOFTWARE\Microsoft\Windows NT\CurrentVersion"),
                text("CurrentBuildNumber"),
                number(2 + 16),
            ],
        ],
        "Registry" => vec![vec![
            text("ReportDumpEnd"),
            number(2),
            text(SERVICE),
            text("ReportDumpEnd"),
            // # is a REG_DWORD.
            text("#[REPORTDUMPEND]"),
            text("ReportDumpEnd"),
        ]],
        "Upgrade" => upgrades(contents.version),
        name => sequences()
            .into_iter()
            .filter(|(sequence, _)| *sequence == name)
            .flat_map(|(_, steps)| steps)
            .map(|(action, condition, step)| {
                vec![text(action), condition.map_or(NULL, text), number(step)]
            })
            .collect(),
    };
    Ok(rows)
}

fn action_texts() -> Rows {
    [
        ("CheckSigner", "Checking the driver's signature"),
        ("LookAtDriver", "Looking at the pvpanic devices"),
        ("InstallDriver", "Installing the driver"),
        ("UndoInstallDriver", "Putting the former driver back"),
        ("RemoveDriver", "Removing the driver"),
        ("UndoRemoveDriver", "Putting the driver back"),
        ("CommitDriver", "Removing older versions of the driver"),
    ]
    .map(|(action, description)| vec![text(action), text(description), text("[1]")])
    .to_vec()
}

fn components() -> Rows {
    COMPONENTS
        .map(|(name, code)| {
            let (folder, attributes, condition) = match name {
                "ReportDumpEnd" => (
                    "INSTALLFOLDER",
                    // Judged anew by a repair that is given another value.
                    SIXTY_FOUR_BIT + REGISTRY_KEY_PATH + TRANSITIVE,
                    text("REPORTDUMPEND"),
                ),
                "StatusScript" => ("INSTALLFOLDER", SIXTY_FOUR_BIT, NULL),
                _ => ("DRIVERFOLDER", SIXTY_FOUR_BIT, NULL),
            };
            vec![
                text(name),
                text(code),
                text(folder),
                number(attributes),
                condition,
                text(name),
            ]
        })
        .to_vec()
}

fn custom_actions() -> Rows {
    let mut rows: Rows = [
        ("AskForRestart", 0),
        ("CheckSigner", 0),
        ("CommitDriver", DEFERRED + COMMIT),
        ("InstallDriver", DEFERRED),
        ("LookAtDriver", 0),
        ("RemoveDriver", DEFERRED),
        ("UndoInstallDriver", DEFERRED + ROLLBACK),
        ("UndoRemoveDriver", DEFERRED + ROLLBACK),
    ]
    .map(|(name, options)| {
        vec![
            text(name),
            number(DLL + options),
            text(LIBRARY),
            text(name),
            NULL,
        ]
    })
    .to_vec();
    rows.extend(["0", "1", "2"].map(|value| {
        vec![
            text(format!("KeepReportDumpEnd{value}")),
            number(SET_PROPERTY),
            text("REPORTDUMPEND"),
            text(value),
            NULL,
        ]
    }));
    rows.push(vec![
        text("RefuseDowngrade"),
        number(MESSAGE),
        NULL,
        text(
            "A newer version of [ProductName] is installed than this [ProductVersion]. To go \
             back, remove it first, in Settings under Apps; then run this installer again.",
        ),
        NULL,
    ]);
    rows
}

fn file_rows(files: &[(&str, &[u8])], version: &str) -> Result<Rows> {
    let mut rows = Vec::new();
    for (index, (key, bytes)) in files.iter().enumerate() {
        let (name, version, language) = match *key {
            "PackageCat" => ("pvpanic.cat", NULL, NULL),
            "PackageInf" => ("pvpanic.inf", NULL, NULL),
            "PackageSys" => ("pvpanic.sys", text(format!("{version}.0")), text("1033")),
            _ => ("GETPVPAN.PS1|Get-PvPanicStatus.ps1", NULL, NULL),
        };
        rows.push(vec![
            text(*key),
            text(*key),
            text(name),
            number(i32::try_from(bytes.len())?),
            version,
            language,
            // The installation fails without it.
            number(512),
            number(i32::try_from(index + 1)?),
        ]);
    }
    Ok(rows)
}

fn launch_conditions(architecture: Architecture) -> Rows {
    let mut conditions = vec![
        (
            "Installed OR WINDOWSBUILD >= 14393",
            "[ProductName] needs Windows 10 1607, Windows Server 2016 or later (build 14393); this \
             is build [WINDOWSBUILD].",
        ),
        (
            "NOT REPORTDUMPEND OR REPORTDUMPEND = \"0\" OR REPORTDUMPEND = \"1\" OR REPORTDUMPEND \
             = \"2\"",
            "REPORTDUMPEND is 0 (never), 1 (if the dump broke off) or 2 (always), not \
             [REPORTDUMPEND].",
        ),
        (
            "Privileged",
            "[ProductName] is installed for the whole machine: run the installer as administrator.",
        ),
    ];
    // Windows for ARM64 takes packages for x64, whose programs it emulates. It
    // emulates no drivers. The other way round it refuses by itself.
    if architecture == Architecture::X64 {
        conditions.push((
            "Installed OR PROCESSOR <> \"ARM64\"",
            "This installer is for x64, and this Windows for ARM64: take \
             pvpanic-[ProductVersion]-arm64.msi.",
        ));
    }
    conditions
        .into_iter()
        .map(|(condition, description)| vec![text(condition), text(description)])
        .collect()
}

fn properties(version: &str, product_code: &str) -> Rows {
    [
        // For the whole machine.
        ("ALLUSERS", "1"),
        ("ARPCOMMENTS", "Tells the hypervisor when Windows crashes"),
        ("ARPHELPLINK", HELP),
        ("ARPNOMODIFY", "1"),
        ("ARPPRODUCTICON", "pvpanic.ico"),
        ("Manufacturer", MANUFACTURER),
        ("ProductCode", product_code),
        ("ProductLanguage", "1033"),
        ("ProductName", PRODUCT),
        ("ProductVersion", version),
        // Where a restart is needed, the exit code says so; nothing restarts by
        // itself.
        ("REBOOT", "ReallySuppress"),
        // What the user gives and what is found before Windows asks for consent:
        // of the rest the service is told nothing, and it does not look again
        // (Microsoft, "Restricted Public Properties", "AppSearch Action").
        (
            "SecureCustomProperties",
            "NEWERFOUND;OLDERFOUND;PROCESSOR;REPORTDUMPEND;REPORTDUMPENDFOUND;WINDOWSBUILD",
        ),
        ("UpgradeCode", UPGRADE_CODE),
    ]
    .map(|(name, value)| vec![text(name), text(value)])
    .to_vec()
}

/// Upgrade attributes (Microsoft, "Upgrade Table").
const MIGRATE_FEATURES: i32 = 1;
const ONLY_DETECT: i32 = 2;

fn upgrades(version: &str) -> Rows {
    // Neither includes this very version: the same product is repaired.
    vec![
        vec![
            text(UPGRADE_CODE),
            NULL,
            text(version),
            NULL,
            number(MIGRATE_FEATURES),
            NULL,
            text("OLDERFOUND"),
        ],
        vec![
            text(UPGRADE_CODE),
            text(version),
            NULL,
            NULL,
            number(ONLY_DETECT),
            NULL,
            text("NEWERFOUND"),
        ],
    ]
}
