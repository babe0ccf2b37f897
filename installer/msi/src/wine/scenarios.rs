//! What is done to the machine, and what must be there afterwards.

use anyhow::{Context as _, Result, ensure};
use std::fs;

use super::machine::Ended;
use super::stage::{NEW, NEW_DATE, OLD_DATE, Stage};

/// A scenario answers with the exit codes that it saw.
pub type Scenario = fn(&Stage) -> Result<Vec<u32>>;

/// All of them, by what they show.
pub const SCENARIOS: [(&str, Scenario); 25] = [
    (
        "no device: the package is staged, and uninstall leaves nothing",
        without_device,
    ),
    (
        "a device: it runs the driver, and uninstall leaves nothing",
        with_device,
    ),
    ("repair brings a deleted file back", repair_file),
    (
        "repair brings a package back into the driver store",
        repair_store,
    ),
    (
        "/passive, and REPORTDUMPEND=2 before the service exists",
        report_dump_end,
    ),
    ("REPORTDUMPEND=7 is refused", wrong_report_dump_end),
    ("a repair changes REPORTDUMPEND", repair_report_dump_end),
    (
        "upgrade: the new driver runs, the old package is gone",
        upgrade,
    ),
    ("upgrade keeps REPORTDUMPEND", upgrade_keeps_setting),
    (
        "an older package of ours that can't be removed: a success that says so",
        commit_fails,
    ),
    (
        "a failure after an older driver of ours was replaced: it runs again",
        older_comes_back,
    ),
    ("downgrade is refused", downgrade),
    ("Windows before build 14393 is refused", too_old),
    ("Windows for ARM64 is refused", other_processor),
    (
        "signer not trusted: nothing is changed, name and cure are said",
        signer,
    ),
    (
        "the driver store can't be searched: nothing is changed",
        look_fails,
    ),
    (
        "store refuses, locked, disk full, policy, restart pending: nothing left",
        install_fails,
    ),
    (
        "a failure after the driver: rollback leaves nothing",
        later_failure,
    ),
    ("a rollback that fails itself says so", rollback_fails),
    (
        "another maker's newer driver is replaced, and comes back",
        other_maker,
    ),
    (
        "another maker's driver that stays: rollback, name and cure",
        stubborn,
    ),
    ("forcing fails: the device runs what it ran", force_fails),
    (
        "a restart is needed: 3010, and nothing restarts",
        needs_restart,
    ),
    ("Server 2016: removed by pnputil", server_2016),
    // Last: Wine forgets the product though its removal failed.
    (
        "removal fails: the driver is still there and runs",
        remove_fails,
    ),
];

/// Fails unless it ended so.
fn code(ended: &Ended, wanted: u32) -> Result<u32> {
    let lines: Vec<&str> = ended
        .log
        .lines()
        .filter(|line| !line.contains("Property(S)") && !line.contains("Return value 1"))
        .collect();
    let tail = lines.len().saturating_sub(30);
    ensure!(
        ended.code == wanted,
        "exit code {}, not {wanted}:\n{}",
        ended.code,
        lines.get(tail..).unwrap_or_default().join("\n")
    );
    Ok(wanted)
}

fn says(ended: &Ended, parts: &[&str]) -> Result<()> {
    for part in parts {
        ensure!(ended.log.contains(part), "the log does not say {part:?}");
    }
    Ok(())
}

fn without_device(stage: &Stage) -> Result<Vec<u32>> {
    let before = stage.machine.picture()?;
    let first = stage.install("new.msi", &[])?;
    code(&first, 0)?;
    says(&first, &["the driver is installed when one appears"])?;
    stage.product_is(NEW)?;
    ensure!(stage.published(NEW_DATE)?.is_some(), "it is not staged");
    stage.setting_is(None)?;
    let second = stage.remove("new.msi")?;
    code(&second, 0)?;
    stage.machine.is_as(&before)?;
    Ok(vec![first.code, second.code])
}

fn with_device(stage: &Stage) -> Result<Vec<u32>> {
    stage.machine.plug()?;
    let before = stage.machine.picture()?;
    let first = stage.install("new.msi", &[])?;
    code(&first, 0)?;
    stage.runs(NEW_DATE)?;
    let second = stage.remove("new.msi")?;
    code(&second, 0)?;
    ensure!(stage.machine.runs()?.is_none(), "the device has a driver");
    stage.machine.is_as(&before)?;
    Ok(vec![first.code, second.code])
}

fn repair_file(stage: &Stage) -> Result<Vec<u32>> {
    code(&stage.install("new.msi", &[])?, 0)?;
    fs::remove_file(stage.machine.installed("driver/pvpanic.sys"))?;
    let ended = stage.repair("new.msi", &[])?;
    code(&ended, 0)?;
    stage.product_is(NEW)?;
    Ok(vec![ended.code])
}

fn repair_store(stage: &Stage) -> Result<Vec<u32>> {
    stage.machine.plug()?;
    code(&stage.install("new.msi", &[])?, 0)?;
    let published = stage.published(NEW_DATE)?.context("it is not staged")?;
    let removal = ["/delete-driver", &published, "/uninstall"];
    stage.machine.pnputil(&removal)?;
    ensure!(stage.machine.runs()?.is_none(), "the device has a driver");
    let ended = stage.repair("new.msi", &[])?;
    code(&ended, 0)?;
    stage.runs(NEW_DATE)?;
    Ok(vec![ended.code])
}

fn report_dump_end(stage: &Stage) -> Result<Vec<u32>> {
    let before = stage.machine.picture()?;
    let path = stage.path("new.msi");
    let arguments = ["/i", path.as_str(), "/passive", "REPORTDUMPEND=2"];
    let first = stage.machine.msiexec(&arguments)?;
    code(&first, 0)?;
    stage.setting_is(Some("0x2"))?;
    let image = stage.machine.service_value("", "ImagePath")?;
    ensure!(image.is_none(), "there is a service already");
    let second = stage.remove("new.msi")?;
    code(&second, 0)?;
    stage.machine.is_as(&before)?;
    Ok(vec![first.code, second.code])
}

fn wrong_report_dump_end(stage: &Stage) -> Result<Vec<u32>> {
    let before = stage.machine.picture()?;
    let ended = stage.install("new.msi", &["REPORTDUMPEND=7"])?;
    code(&ended, 1603)?;
    stage.machine.is_as(&before)?;
    Ok(vec![ended.code])
}

fn repair_report_dump_end(stage: &Stage) -> Result<Vec<u32>> {
    code(&stage.install("new.msi", &["REPORTDUMPEND=1"])?, 0)?;
    stage.setting_is(Some("0x1"))?;
    let ended = stage.repair("new.msi", &["REPORTDUMPEND=2"])?;
    code(&ended, 0)?;
    stage.setting_is(Some("0x2"))?;
    Ok(vec![ended.code])
}

fn upgrade(stage: &Stage) -> Result<Vec<u32>> {
    stage.machine.plug()?;
    let before = stage.machine.picture()?;
    let first = stage.install("old.msi", &[])?;
    code(&first, 0)?;
    stage.runs(OLD_DATE)?;
    let second = stage.install("new.msi", &[])?;
    code(&second, 0)?;
    stage.product_is(NEW)?;
    stage.runs(NEW_DATE)?;
    let old = stage.published(OLD_DATE)?;
    ensure!(old.is_none(), "the old package is in the store");
    let third = stage.remove("new.msi")?;
    code(&third, 0)?;
    stage.machine.is_as(&before)?;
    Ok(vec![first.code, second.code, third.code])
}

fn upgrade_keeps_setting(stage: &Stage) -> Result<Vec<u32>> {
    code(&stage.install("old.msi", &["REPORTDUMPEND=1"])?, 0)?;
    let ended = stage.install("new.msi", &[])?;
    code(&ended, 0)?;
    stage.product_is(NEW)?;
    stage.setting_is(Some("0x1"))?;
    code(&stage.remove("new.msi")?, 0)?;
    stage.setting_is(None)?;
    Ok(vec![ended.code])
}

fn commit_fails(stage: &Stage) -> Result<Vec<u32>> {
    stage.machine.plug()?;
    stage.add_older()?;
    stage.machine.knob("Uninstall", 0xE000_024C)?;
    let ended = stage.install("new.msi", &[])?;
    code(&ended, 0)?;
    stage.runs(NEW_DATE)?;
    says(&ended, &["0xE000024C", "stays in the driver store"])?;
    Ok(vec![ended.code])
}

fn older_comes_back(stage: &Stage) -> Result<Vec<u32>> {
    stage.machine.plug()?;
    stage.add_older()?;
    let before = stage.machine.picture()?;
    let ended = stage.install("failing.msi", &[])?;
    code(&ended, 1603)?;
    says(&ended, &["is in the driver store as", "Removed oem1.inf"])?;
    stage.runs(OLD_DATE)?;
    stage.machine.is_as(&before)?;
    Ok(vec![ended.code])
}

fn downgrade(stage: &Stage) -> Result<Vec<u32>> {
    stage.machine.plug()?;
    code(&stage.install("new.msi", &[])?, 0)?;
    let before = stage.machine.picture()?;
    let ended = stage.install("old.msi", &[])?;
    code(&ended, 1603)?;
    says(&ended, &["Action start", ": RefuseDowngrade."])?;
    ensure!(
        !ended.log.contains(": LaunchConditions."),
        "it was refused for another reason"
    );
    stage.machine.is_as(&before)?;
    stage.runs(NEW_DATE)?;
    Ok(vec![ended.code])
}

fn too_old(stage: &Stage) -> Result<Vec<u32>> {
    let before = stage.machine.picture()?;
    stage.machine.pretend("10586")?;
    let ended = stage.install("new.msi", &[])?;
    code(&ended, 1603)?;
    stage.machine.is_as(&before)?;
    Ok(vec![ended.code])
}

fn other_processor(stage: &Stage) -> Result<Vec<u32>> {
    let before = stage.machine.picture()?;
    stage.machine.pretend_processor("ARM64")?;
    let ended = stage.install("new.msi", &[])?;
    code(&ended, 1603)?;
    // Wine's log has the action, and not the sentence.
    says(&ended, &["Action start", ": LaunchConditions."])?;
    ensure!(
        !ended.log.contains(": CostInitialize."),
        "it was refused for another reason"
    );
    stage.machine.is_as(&before)?;
    Ok(vec![ended.code])
}

fn signer(stage: &Stage) -> Result<Vec<u32>> {
    stage.machine.plug()?;
    let before = stage.machine.picture()?;
    let mut codes = Vec::new();
    for verdict in [0xE000_0242, 0xE000_0243, 0x800B_0109] {
        stage.machine.knob("Verify", verdict)?;
        let ended = stage.install("new.msi", &[])?;
        codes.push(code(&ended, 1603)?);
        let number = format!("0x{verdict:08X}");
        says(
            &ended,
            &[
                "pvpanic test signer",
                &number,
                "TrustedPublisher",
                "Nothing was changed",
            ],
        )?;
        let has_begun = ended.log.contains(": InstallInitialize.");
        ensure!(!has_begun, "the installation had begun");
        stage.machine.is_as(&before)?;
    }
    Ok(codes)
}

fn look_fails(stage: &Stage) -> Result<Vec<u32>> {
    // A folder of that name can't be read as a file.
    let folder = stage.machine.drive("windows/inf/oem9.inf");
    fs::create_dir(&folder)?;
    let before = stage.machine.picture()?;
    let ended = stage.install("new.msi", &[])?;
    let same = stage.machine.is_as(&before);
    fs::remove_dir(&folder)?;
    same?;
    says(&ended, &["The driver store can't be searched", "oem9.inf"])?;
    Ok(vec![code(&ended, 1603)?])
}

fn install_fails(stage: &Stage) -> Result<Vec<u32>> {
    stage.machine.plug()?;
    let before = stage.machine.picture()?;
    let mut codes = Vec::new();
    for (knob, message) in [
        (0xE000_0247, "the driver store refused"),
        (32, "another installation"),
        (112, "the disk is full"),
        (0xE000_0248, "a policy forbids"),
        (3018, "a restart pending"),
    ] {
        stage.machine.knob("Install", knob)?;
        let ended = stage.install("new.msi", &[])?;
        codes.push(code(&ended, 1603)?);
        says(&ended, &[message, &format!("0x{knob:08X}")])?;
        stage.machine.is_as(&before)?;
    }
    Ok(codes)
}

fn later_failure(stage: &Stage) -> Result<Vec<u32>> {
    stage.machine.plug()?;
    let before = stage.machine.picture()?;
    let ended = stage.install("failing.msi", &["REPORTDUMPEND=1"])?;
    code(&ended, 1603)?;
    says(&ended, &["is in the driver store as", "Removed oem0.inf"])?;
    ensure!(stage.machine.runs()?.is_none(), "the device has a driver");
    stage.machine.is_as(&before)?;
    Ok(vec![ended.code])
}

fn rollback_fails(stage: &Stage) -> Result<Vec<u32>> {
    stage.machine.plug()?;
    stage.machine.knob("Uninstall", 5)?;
    let ended = stage.install("failing.msi", &[])?;
    code(&ended, 1603)?;
    let words = ["The driver could not be removed", "oem0.inf", "0x00000005"];
    says(&ended, &words)?;
    ensure!(stage.machine.products()?.is_empty(), "a product is left");
    Ok(vec![ended.code])
}

fn other_maker(stage: &Stage) -> Result<Vec<u32>> {
    stage.machine.plug()?;
    stage.add_others()?;
    let first = stage.install("new.msi", &[])?;
    code(&first, 0)?;
    stage.runs(NEW_DATE)?;
    says(&first, &["runs oem0.inf: replacing it"])?;
    let second = stage.remove("new.msi")?;
    code(&second, 0)?;
    stage.runs_others()?;
    Ok(vec![first.code, second.code])
}

fn stubborn(stage: &Stage) -> Result<Vec<u32>> {
    stage.machine.plug()?;
    stage.add_others()?;
    let before = stage.machine.picture()?;
    stage.machine.knob("Stubborn", 1)?;
    let ended = stage.install("new.msi", &[])?;
    code(&ended, 1603)?;
    says(&ended, &["still runs oem0.inf", "Have Disk"])?;
    stage.runs_others()?;
    stage.machine.is_as(&before)?;
    Ok(vec![ended.code])
}

fn force_fails(stage: &Stage) -> Result<Vec<u32>> {
    stage.machine.plug()?;
    stage.add_others()?;
    let before = stage.machine.picture()?;
    stage.machine.knob("Force", 1460)?;
    let ended = stage.install("new.msi", &[])?;
    code(&ended, 1603)?;
    stage.runs_others()?;
    stage.machine.is_as(&before)?;
    Ok(vec![ended.code])
}

fn remove_fails(stage: &Stage) -> Result<Vec<u32>> {
    stage.machine.plug()?;
    code(&stage.install("new.msi", &[])?, 0)?;
    stage.machine.knob("Uninstall", 0xE000_024C)?;
    let ended = stage.remove("new.msi")?;
    code(&ended, 1603)?;
    says(&ended, &["The driver could not be removed", "0xE000024C"])?;
    stage.runs(NEW_DATE)?;
    Ok(vec![ended.code])
}

fn needs_restart(stage: &Stage) -> Result<Vec<u32>> {
    stage.machine.plug()?;
    stage.machine.knob("Restart", 1)?;
    let first = stage.install("new.msi", &[])?;
    code(&first, 3010)?;
    stage.runs(NEW_DATE)?;
    let second = stage.remove("new.msi")?;
    code(&second, 3010)?;
    Ok(vec![first.code, second.code])
}

fn server_2016(stage: &Stage) -> Result<Vec<u32>> {
    let library = stage.machine.system("newdev.dll");
    let modern = fs::read(&library)?;
    stage.become_server_2016()?;
    let result = with_device(stage);
    fs::write(&library, modern)?;
    result
}
