//! The order of actions: the standard ones at Microsoft's suggested numbers
//! ("Suggested `InstallExecuteSequence`"), ours between them.

/// An action, its condition and its number.
pub type Step = (&'static str, Option<&'static str>, i32);

/// True while the product goes away for good: not while a newer version
/// replaces it, which takes over its driver and its settings.
const REMOVING: Option<&str> = Some("REMOVE=\"ALL\" AND NOT UPGRADINGPRODUCTCODE");
const STAYING: Option<&str> = Some("NOT REMOVE=\"ALL\"");
const NOT_REPLACED: Option<&str> = Some("NOT UPGRADINGPRODUCTCODE");

/// Looking, before anything is decided: the same with and without a dialog.
const LOOKING: [Step; 9] = [
    ("FindRelatedProducts", None, 25),
    ("RefuseDowngrade", Some("NEWERFOUND AND NOT Installed"), 30),
    ("AppSearch", None, 50),
    (
        "KeepReportDumpEnd0",
        Some("NOT REPORTDUMPEND AND REPORTDUMPENDFOUND=\"#0\""),
        60,
    ),
    (
        "KeepReportDumpEnd1",
        Some("NOT REPORTDUMPEND AND REPORTDUMPENDFOUND=\"#1\""),
        61,
    ),
    (
        "KeepReportDumpEnd2",
        Some("NOT REPORTDUMPEND AND REPORTDUMPENDFOUND=\"#2\""),
        62,
    ),
    ("LaunchConditions", None, 100),
    ("ValidateProductID", None, 700),
    ("CostInitialize", None, 800),
];

const COSTING: [Step; 2] = [("FileCost", None, 900), ("CostFinalize", None, 1000)];

/// Everything that changes the machine.
const CHANGING: [Step; 24] = [
    ("MigrateFeatureStates", None, 1200),
    ("InstallValidate", None, 1400),
    ("CheckSigner", STAYING, 1410),
    ("LookAtDriver", NOT_REPLACED, 1420),
    ("InstallInitialize", None, 1500),
    // Within the transaction, so that the old product comes back if the new one
    // can't be installed.
    ("RemoveExistingProducts", None, 1501),
    ("ProcessComponents", None, 1600),
    ("UnpublishFeatures", None, 1800),
    ("UndoRemoveDriver", REMOVING, 1900),
    ("RemoveDriver", REMOVING, 1901),
    ("RemoveRegistryValues", None, 2600),
    ("RemoveFiles", None, 3500),
    ("RemoveFolders", None, 3600),
    ("CreateFolders", None, 3700),
    ("InstallFiles", None, 4000),
    // Before the driver starts, which reads its values then.
    ("WriteRegistryValues", None, 5000),
    ("UndoInstallDriver", STAYING, 5100),
    ("InstallDriver", STAYING, 5101),
    ("CommitDriver", NOT_REPLACED, 5102),
    ("RegisterProduct", None, 6100),
    ("PublishFeatures", None, 6300),
    ("PublishProduct", None, 6400),
    ("InstallFinalize", None, 6600),
    ("AskForRestart", NOT_REPLACED, 6610),
];

/// The sequences, each with its table.
pub fn sequences() -> [(&'static str, Vec<Step>); 5] {
    let user_interface = [("ExecuteAction", None, 1300)];
    let administrative = [
        ("InstallValidate", None, 1400),
        ("InstallInitialize", None, 1500),
        ("InstallAdminPackage", None, 3900),
        ("InstallFiles", None, 4000),
        ("InstallFinalize", None, 6600),
    ];
    let advertising = [
        ("InstallValidate", None, 1400),
        ("InstallInitialize", None, 1500),
        ("PublishFeatures", None, 6300),
        ("PublishProduct", None, 6400),
        ("InstallFinalize", None, 6600),
    ];
    let costing = [&[("CostInitialize", None, 800)], &COSTING[..]].concat();
    [
        (
            "InstallExecuteSequence",
            [&LOOKING[..], &COSTING, &CHANGING].concat(),
        ),
        (
            "InstallUISequence",
            [&LOOKING[..], &COSTING, &user_interface].concat(),
        ),
        (
            "AdminExecuteSequence",
            [&costing[..], &administrative].concat(),
        ),
        ("AdminUISequence", [&costing[..], &user_interface].concat()),
        (
            "AdvtExecuteSequence",
            [
                &[("CostInitialize", None, 800), ("CostFinalize", None, 1000)],
                &advertising[..],
            ]
            .concat(),
        ),
    ]
}
