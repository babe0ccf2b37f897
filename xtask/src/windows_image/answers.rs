//! The answer file: what Windows Setup is told instead of asking.
//!
//! It is a list of settings, written as XML. The XML is read again and held
//! against what Microsoft documents of each setting, before anybody gets it.

use std::{collections::BTreeMap, fmt::Write};

use anyhow::{Context, Result, bail};
use e2e::windows::Firmware;
use roxmltree::{Document, Node};

use super::Options;

/// What every component says of itself (Microsoft, "How Configuration Passes Work"
/// and the examples of each component).
const IDENTITY: [(&str, &str); 4] = [
    ("processorArchitecture", "amd64"),
    ("publicKeyToken", "31bf3856ad364e35"),
    ("language", "neutral"),
    ("versionScope", "nonSxS"),
];

const UNATTEND: &str = "urn:schemas-microsoft-com:unattend";
const WCM: &str = "http://schemas.microsoft.com/WMIConfig/2002/State";

/// The only account: it is enabled by logging on, by this name alone
/// ("microsoft-windows-shell-setup-autologon-username").
const ADMINISTRATOR: &str = "Administrator";

const PE: &str = "windowsPE";
const SPECIALIZE: &str = "specialize";
const OOBE: &str = "oobeSystem";

const SETUP: &str = "Microsoft-Windows-Setup";
const SHELL: &str = "Microsoft-Windows-Shell-Setup";
const LOCALE: &str = "Microsoft-Windows-International-Core";
const LOCALE_PE: &str = "Microsoft-Windows-International-Core-WinPE";

/// What a setting's value may be.
enum Kind {
    Bool,
    Number,
    Word(&'static [&'static str]),
    /// As many characters at most; none is no value.
    Text(usize),
    /// Five groups of five letters and digits.
    ProductKey,
}

/// A setting that is documented: component, path, passes and value. Its page in
/// Microsoft's "Unattended Windows Setup Reference" is [`page`].
type Known = (&'static str, &'static str, &'static [&'static str], Kind);

/// Everything that is used, as its pages say it.
const KNOWN: &[Known] = &[
    (
        LOCALE_PE,
        "SetupUILanguage/UILanguage",
        &[PE],
        Kind::Text(85),
    ),
    (LOCALE_PE, "InputLocale", &[PE], Kind::Text(85)),
    (LOCALE_PE, "SystemLocale", &[PE], Kind::Text(85)),
    (LOCALE_PE, "UILanguage", &[PE], Kind::Text(85)),
    (LOCALE_PE, "UserLocale", &[PE], Kind::Text(85)),
    (SETUP, "DiskConfiguration/WillShowUI", &[PE], SHOW),
    (SETUP, "DiskConfiguration/Disk/DiskID", &[PE], Kind::Number),
    (
        SETUP,
        "DiskConfiguration/Disk/WillWipeDisk",
        &[PE],
        Kind::Bool,
    ),
    (
        SETUP,
        "DiskConfiguration/Disk/CreatePartitions/CreatePartition/Order",
        &[PE],
        Kind::Number,
    ),
    (
        SETUP,
        "DiskConfiguration/Disk/CreatePartitions/CreatePartition/Type",
        &[PE],
        Kind::Word(&["Primary", "EFI", "Extended", "Logical", "MSR"]),
    ),
    (
        SETUP,
        "DiskConfiguration/Disk/CreatePartitions/CreatePartition/Size",
        &[PE],
        Kind::Number,
    ),
    (
        SETUP,
        "DiskConfiguration/Disk/CreatePartitions/CreatePartition/Extend",
        &[PE],
        Kind::Bool,
    ),
    (
        SETUP,
        "DiskConfiguration/Disk/ModifyPartitions/ModifyPartition/Order",
        &[PE],
        Kind::Number,
    ),
    (
        SETUP,
        "DiskConfiguration/Disk/ModifyPartitions/ModifyPartition/PartitionID",
        &[PE],
        Kind::Number,
    ),
    (
        SETUP,
        "DiskConfiguration/Disk/ModifyPartitions/ModifyPartition/Active",
        &[PE],
        Kind::Bool,
    ),
    (
        SETUP,
        "DiskConfiguration/Disk/ModifyPartitions/ModifyPartition/Format",
        &[PE],
        Kind::Word(&["NTFS", "FAT32"]),
    ),
    (
        SETUP,
        "DiskConfiguration/Disk/ModifyPartitions/ModifyPartition/Label",
        &[PE],
        Kind::Text(32),
    ),
    (
        SETUP,
        "ImageInstall/OSImage/InstallFrom/MetaData/Key",
        &[PE],
        Kind::Word(&["/IMAGE/INDEX", "/IMAGE/NAME", "/IMAGE/DESCRIPTION"]),
    ),
    (
        SETUP,
        "ImageInstall/OSImage/InstallFrom/MetaData/Value",
        &[PE],
        Kind::Text(255),
    ),
    (
        SETUP,
        "ImageInstall/OSImage/InstallTo/DiskID",
        &[PE],
        Kind::Number,
    ),
    (
        SETUP,
        "ImageInstall/OSImage/InstallTo/PartitionID",
        &[PE],
        Kind::Number,
    ),
    (SETUP, "ImageInstall/OSImage/WillShowUI", &[PE], SHOW),
    (SETUP, "UserData/AcceptEula", &[PE], Kind::Bool),
    (SETUP, "UserData/ProductKey/Key", &[PE], Kind::ProductKey),
    (SETUP, "UserData/ProductKey/WillShowUI", &[PE], SHOW),
    (
        SETUP,
        "RunSynchronous/RunSynchronousCommand/Order",
        &[PE],
        Kind::Number,
    ),
    (
        SETUP,
        "RunSynchronous/RunSynchronousCommand/Path",
        &[PE],
        Kind::Text(259),
    ),
    (SHELL, "TimeZone", &[SPECIALIZE, OOBE], Kind::Text(256)),
    (LOCALE, "InputLocale", &[SPECIALIZE, OOBE], Kind::Text(85)),
    (LOCALE, "SystemLocale", &[SPECIALIZE, OOBE], Kind::Text(85)),
    (LOCALE, "UILanguage", &[SPECIALIZE, OOBE], Kind::Text(85)),
    (LOCALE, "UserLocale", &[SPECIALIZE, OOBE], Kind::Text(85)),
    (SHELL, "OOBE/HideEULAPage", &[OOBE], Kind::Bool),
    (SHELL, "OOBE/HideLocalAccountScreen", &[OOBE], Kind::Bool),
    (SHELL, "OOBE/HideOnlineAccountScreens", &[OOBE], Kind::Bool),
    (SHELL, "OOBE/HideWirelessSetupInOOBE", &[OOBE], Kind::Bool),
    (
        SHELL,
        "OOBE/ProtectYourPC",
        &[OOBE],
        Kind::Word(&["1", "2", "3"]),
    ),
    (
        SHELL,
        "UserAccounts/AdministratorPassword/Value",
        &[OOBE],
        Kind::Text(256),
    ),
    (
        SHELL,
        "UserAccounts/AdministratorPassword/PlainText",
        &[OOBE],
        Kind::Bool,
    ),
    (SHELL, "AutoLogon/Enabled", &[SPECIALIZE, OOBE], Kind::Bool),
    (
        SHELL,
        "AutoLogon/LogonCount",
        &[SPECIALIZE, OOBE],
        Kind::Number,
    ),
    (
        SHELL,
        "AutoLogon/Username",
        &[SPECIALIZE, OOBE],
        Kind::Text(256),
    ),
    (
        SHELL,
        "AutoLogon/Password/Value",
        &[SPECIALIZE, OOBE],
        Kind::Text(256),
    ),
    (
        SHELL,
        "AutoLogon/Password/PlainText",
        &[SPECIALIZE, OOBE],
        Kind::Bool,
    ),
    (
        SHELL,
        "FirstLogonCommands/SynchronousCommand/Order",
        &[OOBE],
        Kind::Number,
    ),
    (
        SHELL,
        "FirstLogonCommands/SynchronousCommand/CommandLine",
        &[OOBE],
        Kind::Text(1024),
    ),
];

const SHOW: Kind = Kind::Word(&["Always", "OnError", "Never"]);

/// Lists: each item says that it is added.
const ITEMS: [&str; 6] = [
    "Disk",
    "CreatePartition",
    "ModifyPartition",
    "MetaData",
    "RunSynchronousCommand",
    "SynchronousCommand",
];

/// The name of a setting's page.
pub fn page(component: &str, path: &str) -> String {
    format!("{component}/{path}")
        .replace('/', "-")
        .to_lowercase()
}

/// What Setup checks on a machine for Windows 11, and a machine without Secure
/// Boot fails: the names below `LabConfig` that turn each check off. Microsoft
/// does not document them.
const CHECKS: [&str; 3] = ["BypassTPMCheck", "BypassSecureBootCheck", "BypassRAMCheck"];

/// Runs the program on the driver CD, whose letter depends on the other drives.
const FIRST_LOGON: &str =
    r"cmd /c for %d in (D E F G H) do if exist %d:\pvpanic-image.cmd call %d:\pvpanic-image.cmd";

/// One setting. In its path, `#2` behind a name means the second of its kind.
struct Setting {
    pass: &'static str,
    component: &'static str,
    path: String,
    value: String,
}

/// All settings, those of a component together.
fn settings(options: &Options) -> Vec<Setting> {
    let mut list = Vec::new();
    let mut set = |pass, component, path: &str, value: &str| {
        list.push(Setting {
            pass,
            component,
            path: path.to_owned(),
            value: value.to_owned(),
        });
    };
    let language = options.language.as_str();
    set(PE, LOCALE_PE, "SetupUILanguage/UILanguage", language);
    for name in ["InputLocale", "SystemLocale", "UILanguage", "UserLocale"] {
        set(PE, LOCALE_PE, name, language);
    }
    if options.release.checks_machine() {
        for (index, check) in CHECKS.iter().enumerate() {
            let order = (index + 1).to_string();
            let item = format!("RunSynchronous/RunSynchronousCommand#{order}");
            let command =
                format!(r"reg add HKLM\SYSTEM\Setup\LabConfig /v {check} /t REG_DWORD /d 1 /f");
            set(PE, SETUP, &format!("{item}/Order"), &order);
            set(PE, SETUP, &format!("{item}/Path"), &command);
        }
    }
    let (partitions, windows) = partitions(options.firmware);
    set(PE, SETUP, "DiskConfiguration/WillShowUI", "OnError");
    set(PE, SETUP, "DiskConfiguration/Disk#1/DiskID", "0");
    set(PE, SETUP, "DiskConfiguration/Disk#1/WillWipeDisk", "true");
    for (action, settings) in [
        ("CreatePartitions/CreatePartition", 0),
        ("ModifyPartitions/ModifyPartition", 1),
    ] {
        for (index, partition) in partitions.iter().enumerate() {
            let order = (index + 1).to_string();
            let item = format!("DiskConfiguration/Disk#1/{action}#{order}");
            set(PE, SETUP, &format!("{item}/Order"), &order);
            if settings == 1 {
                set(PE, SETUP, &format!("{item}/PartitionID"), &order);
            }
            for (name, value) in partition[settings] {
                set(PE, SETUP, &format!("{item}/{name}"), value);
            }
        }
    }
    let image = "ImageInstall/OSImage";
    let source = format!("{image}/InstallFrom/MetaData#1");
    set(PE, SETUP, &format!("{source}/Key"), "/IMAGE/NAME");
    set(PE, SETUP, &format!("{source}/Value"), &options.edition);
    set(PE, SETUP, &format!("{image}/InstallTo/DiskID"), "0");
    set(
        PE,
        SETUP,
        &format!("{image}/InstallTo/PartitionID"),
        windows,
    );
    set(PE, SETUP, &format!("{image}/WillShowUI"), "OnError");
    set(PE, SETUP, "UserData/AcceptEula", "true");
    if let Some(key) = &options.product_key {
        set(PE, SETUP, "UserData/ProductKey/Key", key);
        set(PE, SETUP, "UserData/ProductKey/WillShowUI", "OnError");
    }
    set(SPECIALIZE, SHELL, "TimeZone", "UTC");
    for name in ["InputLocale", "SystemLocale", "UILanguage", "UserLocale"] {
        set(OOBE, LOCALE, name, language);
    }
    for name in [
        "HideEULAPage",
        "HideLocalAccountScreen",
        "HideOnlineAccountScreens",
        "HideWirelessSetupInOOBE",
    ] {
        set(OOBE, SHELL, &format!("OOBE/{name}"), "true");
    }
    // 3: no automatic updates and no protection are turned on.
    set(OOBE, SHELL, "OOBE/ProtectYourPC", "3");
    let password = options.password.as_str();
    let account = "UserAccounts/AdministratorPassword";
    set(OOBE, SHELL, &format!("{account}/Value"), password);
    set(OOBE, SHELL, &format!("{account}/PlainText"), "true");
    set(OOBE, SHELL, "AutoLogon/Enabled", "true");
    set(OOBE, SHELL, "AutoLogon/LogonCount", "1");
    set(OOBE, SHELL, "AutoLogon/Username", ADMINISTRATOR);
    set(OOBE, SHELL, "AutoLogon/Password/Value", password);
    set(OOBE, SHELL, "AutoLogon/Password/PlainText", "true");
    let command = "FirstLogonCommands/SynchronousCommand#1";
    set(OOBE, SHELL, &format!("{command}/Order"), "1");
    set(OOBE, SHELL, &format!("{command}/CommandLine"), FIRST_LOGON);
    list
}

/// A partition: how it is created, and what it becomes.
type Partition = [&'static [(&'static str, &'static str)]; 2];

/// The disk's partitions, and the number of the one for Windows (Microsoft, "Configure
/// BIOS/MBR-Based Hard Drive Partitions by Using Windows Setup" and "Configure
/// UEFI/GPT-Based Hard Drive Partitions by Using Windows Setup").
const fn partitions(firmware: Firmware) -> (&'static [Partition], &'static str) {
    const WINDOWS: Partition = [
        &[("Type", "Primary"), ("Extend", "true")],
        &[("Format", "NTFS"), ("Label", "Windows")],
    ];
    match firmware {
        Firmware::Bios => (
            &[
                [
                    &[("Type", "Primary"), ("Size", "500")],
                    &[("Active", "true"), ("Format", "NTFS"), ("Label", "System")],
                ],
                WINDOWS,
            ],
            "2",
        ),
        Firmware::Uefi => (
            &[
                [
                    &[("Type", "EFI"), ("Size", "260")],
                    &[("Format", "FAT32"), ("Label", "System")],
                ],
                [&[("Type", "MSR"), ("Size", "128")], &[]],
                WINDOWS,
            ],
            "3",
        ),
    }
}

/// The answer file, checked.
///
/// # Errors
///
/// If a rule is broken, which only a user's own values can do.
pub fn answer_file(options: &Options) -> Result<String> {
    let text = write(&settings(options))?;
    let faults = faults(&text)?;
    if !faults.is_empty() {
        bail!("the answer file breaks rules:\n  {}", faults.join("\n  "));
    }
    Ok(text)
}

/// The settings as XML.
fn write(settings: &[Setting]) -> Result<String> {
    let mut text = format!(
        "<?xml version=\"1.0\" encoding=\"utf-8\"?>\n<unattend xmlns=\"{UNATTEND}\" \
         xmlns:wcm=\"{WCM}\">\n"
    );
    let mut open: Vec<String> = Vec::new();
    for setting in settings {
        let mut names = vec![
            format!("settings pass=\"{}\"", setting.pass),
            component(setting.component),
        ];
        names.extend(setting.path.split('/').map(str::to_owned));
        let leaf = names.pop().context("a setting without a path")?;
        let same = open.iter().zip(&names).take_while(|(a, b)| a == b).count();
        close(&mut text, &mut open, same)?;
        for name in names.drain(same..) {
            let indent = "  ".repeat(open.len() + 1);
            let item = if name.contains('#') {
                " wcm:action=\"add\""
            } else {
                ""
            };
            writeln!(text, "{indent}<{}{item}>", element(&name))?;
            open.push(name);
        }
        let indent = "  ".repeat(open.len() + 1);
        writeln!(text, "{indent}<{leaf}>{}</{leaf}>", escape(&setting.value))?;
    }
    close(&mut text, &mut open, 0)?;
    text.push_str("</unattend>\n");
    Ok(text)
}

fn component(name: &str) -> String {
    IDENTITY.iter().fold(
        format!("component name=\"{name}\""),
        |text, (key, value)| format!("{text} {key}=\"{value}\""),
    )
}

/// A name with its attributes, without its number.
fn element(name: &str) -> &str {
    name.split('#').next().unwrap_or(name)
}

fn close(text: &mut String, open: &mut Vec<String>, until: usize) -> Result<()> {
    while open.len() > until {
        let name = open.pop().context("nothing is open")?;
        let end = element(&name).split(' ').next().unwrap_or_default();
        writeln!(text, "{}</{end}>", "  ".repeat(open.len() + 1))?;
    }
    Ok(())
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

/// What breaks a rule in an answer file: the text of [`KNOWN`], and what settings
/// have to do with each other.
///
/// # Errors
///
/// If it is no XML.
pub fn faults(text: &str) -> Result<Vec<String>> {
    let document = Document::parse(text).context("the answer file is no XML")?;
    let root = document.root_element();
    let mut faults = Vec::new();
    if !root.has_tag_name((UNATTEND, "unattend")) {
        faults.push(format!("the root is {:?}", root.tag_name()));
    }
    let mut values = BTreeMap::new();
    for settings in elements(root) {
        let pass = settings.attribute("pass").unwrap_or_default();
        for component in elements(settings) {
            let name = component.attribute("name").unwrap_or_default();
            for (key, value) in IDENTITY {
                if component.attribute(key) != Some(value) {
                    faults.push(format!("{name}: {key} is not {value}"));
                }
            }
            let mut within = Within {
                pass,
                component: name,
                faults: &mut faults,
                values: &mut values,
            };
            within.node(component, "", "");
        }
    }
    together(&values, &mut faults);
    Ok(faults)
}

fn elements<'a, 'input: 'a>(node: Node<'a, 'input>) -> impl Iterator<Item = Node<'a, 'input>> {
    node.children().filter(Node::is_element)
}

/// The settings of one component in one pass.
struct Within<'a> {
    pass: &'a str,
    component: &'a str,
    faults: &'a mut Vec<String>,
    /// Component and path with numbers, and the value.
    values: &'a mut BTreeMap<String, String>,
}

impl Within<'_> {
    fn node(&mut self, node: Node<'_, '_>, path: &str, numbered: &str) {
        let children: Vec<_> = elements(node).collect();
        if children.is_empty() {
            self.leaf(path, node.text().unwrap_or_default());
            self.values.insert(
                format!("{}{numbered}", self.component),
                node.text().unwrap_or_default().to_owned(),
            );
            return;
        }
        let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
        for child in children {
            let name = child.tag_name().name();
            let is_item = ITEMS.contains(&name);
            if is_item && child.attribute((WCM, "action")) != Some("add") {
                self.faults.push(format!("{name} has no wcm:action"));
            }
            let count = counts.entry(name).or_default();
            *count += 1;
            if *count > 1 && !is_item {
                self.faults.push(format!("{name} stands there twice"));
            }
            let separator = if path.is_empty() { "" } else { "/" };
            let number = if is_item {
                format!("#{count}")
            } else {
                String::new()
            };
            self.node(
                child,
                &format!("{path}{separator}{name}"),
                &format!("{numbered}/{name}{number}"),
            );
        }
    }

    fn leaf(&mut self, path: &str, value: &str) {
        let what = page(self.component, path);
        let Some((_, _, passes, kind)) = KNOWN
            .iter()
            .find(|(component, known, ..)| *component == self.component && *known == path)
        else {
            self.faults.push(format!("{what} is no setting"));
            return;
        };
        if !passes.contains(&self.pass) {
            self.faults
                .push(format!("{what} is not for the pass {}", self.pass));
        }
        let good = match kind {
            Kind::Bool => ["true", "false"].contains(&value),
            Kind::Number => value.parse::<u32>().is_ok(),
            Kind::Word(words) => words.contains(&value),
            Kind::ProductKey => is_product_key(value),
            Kind::Text(most) => !value.is_empty() && value.chars().count() <= *most,
        };
        if !good {
            self.faults.push(format!("{what} can't be {value:?}"));
        }
    }
}

fn is_product_key(text: &str) -> bool {
    let groups: Vec<&str> = text.split('-').collect();
    groups.len() == 5
        && groups
            .iter()
            .all(|group| group.len() == 5 && group.bytes().all(|it| it.is_ascii_alphanumeric()))
}

/// What settings have to do with each other.
fn together(values: &BTreeMap<String, String>, faults: &mut Vec<String>) {
    let get = |path: &str| values.get(path).map_or("", String::as_str);
    for (path, order) in values.iter().filter(|(path, _)| path.ends_with("/Order")) {
        let number = path.trim_end_matches("/Order").rsplit_once('#');
        if number.is_none_or(|(_, number)| number != order) {
            faults.push(format!("{path} is {order}, out of order"));
        }
    }
    let target = get(&format!(
        "{SETUP}/ImageInstall/OSImage/InstallTo/PartitionID"
    ));
    let format = format!(
        "{SETUP}/DiskConfiguration/Disk#1/ModifyPartitions/ModifyPartition#{target}/Format"
    );
    if get(&format) != "NTFS" {
        faults.push(format!(
            "Windows goes to partition {target}, which is not NTFS"
        ));
    }
    if get(&format!("{SHELL}/AutoLogon/Username")) != ADMINISTRATOR {
        faults.push("nobody but Administrator is enabled by logging on".to_owned());
    }
    if get(&format!("{SHELL}/AutoLogon/Password/Value"))
        != get(&format!("{SHELL}/UserAccounts/AdministratorPassword/Value"))
    {
        faults.push("the password to log on with is not the account's".to_owned());
    }
    if !get(&format!(
        "{SHELL}/FirstLogonCommands/SynchronousCommand#1/CommandLine"
    ))
    .contains("pvpanic-image.cmd")
    {
        faults.push("nothing runs the program on the driver CD".to_owned());
    }
}
