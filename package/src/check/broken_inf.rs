//! INF files that are broken in one place each. Every rule must catch the one
//! that is meant for it, and on the right line.

use anyhow::{Context as _, Result, ensure};

use crate::inf::rules::Surroundings;
use crate::inf::{self, Finding};

/// One break: the rule that must speak, what is wrong in a few words, the text
/// that is replaced in the shipped INF, and by what. The finding must be on
/// the line where `marked` stands afterwards.
struct Break {
    rule: &'static str,
    what: &'static str,
    from: &'static str,
    to: &'static str,
    marked: &'static str,
}

macro_rules! breaks {
    ($($rule:literal: $what:literal, $from:literal => $to:literal at $marked:literal;)*) => {
        &[$(Break { rule: $rule, what: $what, from: $from, to: $to, marked: $marked }),*]
    };
}

const BREAKS: &[Break] = breaks! {
    "encoding": "a letter in some code page", "Provider     = \"" => "Provider     = \"\u{e9}" at "Provider     =";
    "syntax": "a section header without its bracket", "[Framework]" => "[Framework" at "[Framework";
    "syntax": "a quotation mark that stays open", "\"QEMU PVPanic Device\"" => "\"QEMU PVPanic Device" at "DeviceName   =";
    "syntax": "an entry before the first section", "[Version]" => "Early = 1\r\n[Version]" at "Early";
    "syntax": "an entry without a key", "PnpLockdown = 1" => "PnpLockdown = 1\r\n= 2" at "= 2";
    "placeholder": "an architecture that was not stamped", "[Models.NTamd64.10.0...16299]" => "[Models.NT$ARCH$.10.0...16299]" at "[Models.NT$ARCH$";
    "version-section": "no [Version]", "[Version]" => "[Versions]" at "; pvpanic.sys";
    "version-signature": "the signature of Windows 95", "$WINDOWS NT$" => "$CHICAGO$" at "Signature";
    "version-class": "another class", "= System" => "= Net" at "Class       =";
    "version-class": "another class's GUID", "{4d36e97d" => "{4d36e972" at "ClassGuid";
    "version-provider": "Microsoft as the provider", "\"pvpanic for Windows\"" => "\"Microsoft\"" at "Provider    =";
    "version-catalogue": "no catalogue", "CatalogFile = pvpanic.cat" => "" at "[Version]";
    "version-catalogue": "another package's catalogue", "pvpanic.cat" => "other.cat" at "CatalogFile";
    "version-lockdown": "PnpLockdown off", "PnpLockdown = 1" => "PnpLockdown = 0" at "PnpLockdown";
    "version-lockdown": "no PnpLockdown", "PnpLockdown = 1" => "" at "[Version]";
    "version-duplicate": "the class twice", "= System" => "= System\r\nClass = System ; again" at "; again";
    "driverver-format": "no DriverVer", "DriverVer" => "DriverVersion" at "[Version]";
    "driverver-format": "the day before the month", "03/02/2026" => "13/02/2026" at "DriverVer";
    "driverver-format": "a version of three parts", "0.1.0.0" => "0.1.0" at "DriverVer";
    "driverver-resource": "a version that the .sys has not", "0.1.0.0" => "0.1.0.7" at "DriverVer";
    "manufacturer": "no [Manufacturer]", "%Manufacturer% = Models" => ";" at "[Manufacturer]";
    "target-decoration": "models for every system", ",NTamd64.10.0...14393,NTamd64.10.0...16299" => "" at "%Manufacturer%";
    "target-decoration": "models for workstations only", "NTamd64.10.0...16299\r\n" => "NTamd64.10.0.1..16299\r\n" at "%Manufacturer%";
    "target-architecture": "models for another processor", "NTamd64.10.0...14393," => "NTarm64.10.0...14393," at "%Manufacturer%";
    "target-first-build": "Server 2016 left out", "NTamd64.10.0...14393," => "NTamd64.10.0...15063," at "%Manufacturer%";
    "models-section": "a target without its models", "[Models.NTamd64.10.0...16299]" => "[Models.NTamd64.10.0...16300]" at "%Manufacturer%";
    "hardware-ids": "no device for other hypervisors", "Device,PCI\\VEN_1B36&DEV_0011\r\n" => "Device,PCI\\VEN_1B36&DEV_0011&REV_02\r\n" at "[Models.NTamd64.10.0...16299]";
    "hardware-id-foreign": "another maker's device", "Device,ACPI\\QEMU0001" => "Device,ACPI\\QEMU0002" at "ACPI\\QEMU0002";
    "compatible-ids": "a compatible ID", "= Device,ACPI\\QEMU0001" => "= Device,ACPI\\QEMU0001,PCI\\VEN_1B36&DEV_0011" at "= Device,ACPI";
    "device-name": "another name in Device Manager", "\"QEMU PVPanic Device\"" => "\"Panic Device\"" at "= Device_Copied,ACPI";
    "section-missing": "an install section that is not there", "[Device.NT]" => "[Gadget.NT]" at "= Device,ACPI";
    "section-missing": "a service section that is not there", "[Service]" => "[Services]" at "0x00000002,Service\r";
    "section-unused": "a section that nothing names", "[Strings]" => "[Orphan]\r\na=b\r\n[Strings]" at "[Orphan]";
    "section-duplicate": "a section twice", "[Strings]" => "[Framework]\r\na=b\r\n[Strings]" at "[Framework]";
    "section-forbidden": "a co-installer", "[Strings]" => "[Device.NT.CoInstallers]\r\nAddReg=x\r\n[Strings]" at "[Device.NT.CoInstallers]";
    "section-forbidden": "a class installer", "[Strings]" => "[ClassInstall32]\r\nAddReg=x\r\n[Strings]" at "[ClassInstall32]";
    "directive-forbidden": "a directive that deletes files", "CopyFiles = Device.Files" => "CopyFiles = Device.Files\r\nDelFiles = Device.Files" at "DelFiles";
    "directive-forbidden": "a directive that registers DLLs", "CopyFiles = Device.Files" => "CopyFiles = Device.Files\r\nRegisterDlls = x" at "RegisterDlls";
    "directive-unknown": "a directive that is misspelt", "CopyFiles = Device.Files" => "CopyFile = Device.Files" at "CopyFile =";
    "copy-list": "a file copied without a list", "CopyFiles = Device.Files" => "CopyFiles = @pvpanic.sys" at "@pvpanic.sys";
    "file-not-listed": "a copied file that has no source", "[Device.Files]\r\n" => "[Device.Files]\r\nextra.dll\r\n" at "extra.dll";
    "file-renamed": "a file that changes its name", "[Device.Files]\r\npvpanic.sys" => "[Device.Files]\r\npvpanic.sys,panic.sys" at "panic.sys,panic";
    "disk-name": "a disk without a name", "pvpanic.sys = 1" => "pvpanic.sys = 2" at "pvpanic.sys = 2";
    "file-missing": "a listed file that is not there", "pvpanic.sys = 1" => "pvpanic.sys = 1\r\nextra.dll = 1" at "extra.dll";
    "file-subdirectory": "a source in a folder", "pvpanic.sys = 1" => "pvpanic.sys = 1,amd64" at "1,amd64";
    "file-subdirectory": "a destination in a folder", "Device.Files        = 13" => "Device.Files        = 13,sub" at "13,sub";
    "file-not-copied": "a listed file that nobody copies", "pvpanic.sys = 1" => "pvpanic.sys = 1\r\nextra.dll = 1" at "extra.dll";
    "file-unlisted": "a file of the package that is not listed", "pvpanic.sys = 1" => "other.sys = 1" at "[SourceDisksFiles]";
    "destination-missing": "a list without a directory", "Device.Files        = 13" => "" at "[Device.Files]";
    "destination-directory": "System32\\drivers on systems with a driver store", "Device.Files        = 13" => "Device.Files        = 12" at "Device.Files        =";
    "destination-directory": "the driver store on Server 2016", "Device_Copied.Files = 12" => "Device_Copied.Files = 13" at "Device_Copied.Files = 13";
    "registry-root": "a value in the machine's key", "CopyFiles = Device.Files" => "CopyFiles = Device.Files\r\nAddReg = R\r\n[R]\r\nHKLM,Software\\x,y,,1" at "HKLM";
    "registry-parameters": "a value in the service's own key", "%13%\\pvpanic.sys" => "%13%\\pvpanic.sys\r\nAddReg = R\r\n[R]\r\nHKR,,y,,1" at "HKR,,y";
    "registry-administrator": "the administrator's value", "%13%\\pvpanic.sys" => "%13%\\pvpanic.sys\r\nAddReg = R\r\n[R]\r\nHKR,Parameters,ReportDumpEnd,0x10001,1" at "ReportDumpEnd";
    "service-association": "no function driver", "pvpanic,0x00000002,Service\r" => "pvpanic,0x00000000,Service\r" at "0x00000000";
    "service-association": "no service", "[Device.NT.Services]" => "[Device.NT.Service]" at "[Device.NT]";
    "service-name": "another service's name", "pvpanic,0x00000002,Service\r" => "panic,0x00000002,Service\r" at "panic,0x00000002,Service\r";
    "service-type": "a service in user mode", "ServiceType    = 1" => "ServiceType    = 0x10" at "ServiceType    = 0x10";
    "service-start": "a driver that starts at boot", "StartType      = 3" => "StartType      = 0" at "StartType      = 0";
    "service-error-control": "a failure that stops Windows", "ErrorControl   = 1" => "ErrorControl   = 3" at "ErrorControl   = 3";
    "service-group": "another group", "Extended Base" => "Base" at "LoadOrderGroup";
    "service-group": "no group", "LoadOrderGroup" => ";" at "[Service_Copied]";
    "service-binary": "a service that looks in the wrong place", "%13%\\pvpanic.sys" => "%12%\\pvpanic.sys" at "ServiceBinary";
    "framework-service": "no framework", "[Device.NT.Wdf]" => "[Device.NT.Wdx]" at "[Device.NT]";
    "framework-version": "a framework that Server 2016 has not", "= 1.15" => "= 1.33" at "KmdfLibraryVersion";
    "framework-version": "no framework version", "KmdfLibraryVersion" => ";" at "[Framework]";
    "string-undefined": "a string that is not there", "%DiskName%" => "%DiscName%" at "%DiscName%";
    "string-unused": "a string that nothing uses", "[Strings]" => "[Strings]\r\nSpare = \"x\"" at "Spare";
    "string-duplicate": "a string twice", "[Strings]" => "[Strings]\r\nDiskName = \"x\"" at "DiskName     =";
};

/// Names of all cases, in order.
pub(super) fn names() -> impl Iterator<Item = (usize, String)> {
    BREAKS.iter().enumerate().map(|(index, broken)| {
        (
            index,
            format!("an INF with {} is refused by {}", broken.what, broken.rule),
        )
    })
}

/// Breaks the shipped INF the way `index` says and looks for the finding.
pub(super) fn check(index: usize, shipped: &str, surroundings: &Surroundings) -> Result<()> {
    let broken = BREAKS.get(index).context("no such case")?;
    ensure!(
        shipped.contains(broken.from),
        "the shipped INF has no {:?}",
        broken.from
    );
    let text = shipped.replace(broken.from, broken.to);
    let bytes: Vec<u8> = text.chars().map(|letter| letter as u8).collect();
    let findings = inf::lint(&bytes, surroundings);
    let found = findings
        .iter()
        .find(|finding| finding.rule == broken.rule)
        .with_context(|| format!("{} said nothing; found: {}", broken.rule, list(&findings)))?;
    let line = text
        .split_inclusive('\n')
        .nth(found.line - 1)
        .with_context(|| format!("line {} is not in the file", found.line))?;
    ensure!(
        findings.iter().any(|finding| {
            finding.rule == broken.rule
                && text
                    .split_inclusive('\n')
                    .nth(finding.line - 1)
                    .is_some_and(|line| line.contains(broken.marked))
        }),
        "{} named line {}, {line:?}, and not the one with {:?}",
        broken.rule,
        found.line,
        broken.marked
    );
    Ok(())
}

/// The rules that no case trips, of those in `sources`.
pub(super) fn untested(sources: &[&str]) -> Vec<String> {
    let mut rules: Vec<String> = Vec::new();
    for source in sources {
        for quoted in source.split('"').skip(1).step_by(2) {
            let is_rule = quoted.contains('-')
                && quoted.len() > 5
                && quoted
                    .chars()
                    .all(|letter| letter.is_ascii_lowercase() || letter == '-');
            if is_rule && !BREAKS.iter().any(|broken| broken.rule == quoted) {
                rules.push(quoted.to_owned());
            }
        }
    }
    rules
}

fn list(findings: &[Finding]) -> String {
    let rules: Vec<&str> = findings.iter().map(|finding| finding.rule).collect();
    rules.join(", ")
}
