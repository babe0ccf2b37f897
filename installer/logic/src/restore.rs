//! Rollback: what was there before comes back.

use crate::{
    before::{Before, devices},
    error::Failed,
    remove::remove,
    windows::{How, Restart, Windows},
};

/// Undoes an installation, however far it came: the package leaves the store
/// unless it was there before, and each device runs what it ran.
///
/// # Errors
/// Something could not be restored.
pub fn restore_after_install(
    windows: &mut impl Windows,
    before: &Before,
) -> Result<Restart, Failed> {
    let restart = match before.published {
        None => remove(windows, before)?,
        Some(_) => Restart::NotNeeded,
    };
    Ok(restart.or(restore_devices(windows, before)?))
}

/// Undoes a removal: the package is installed again, and each device runs what
/// it ran.
///
/// # Errors
/// Something could not be restored.
pub fn restore_after_remove(
    windows: &mut impl Windows,
    before: &Before,
) -> Result<Restart, Failed> {
    let mut restart = Restart::NotNeeded;
    if before.published.is_some() {
        let path = before.path();
        match windows.install(path, How::WhereBetter) {
            Ok(needed) => restart = needed,
            Err(code) if code.is_nothing_to_do() => {}
            Err(code) => return Err(not_back(windows, path, code)),
        }
        windows.report(&["The driver is back in the driver store"]);
    }
    Ok(restart.or(restore_devices(windows, before)?))
}

/// Windows gives a device whose package is taken away the best of what is left,
/// which is not always what it ran: somebody may have chosen that.
fn restore_devices(windows: &mut impl Windows, before: &Before) -> Result<Restart, Failed> {
    let mut restart = Restart::NotNeeded;
    for former in before.devices {
        let Some(inf) = former.inf else { continue };
        let changed = devices(windows)?
            .iter()
            .any(|now| now.instance.eq_ignore_ascii_case(former.instance) && !now.has(inf));
        if changed {
            match windows.reinstall(inf) {
                Ok(needed) => restart = restart.or(needed),
                Err(code) => return Err(not_back(windows, inf, code)),
            }
            windows.report(&[former.instance, " runs ", inf, " again"]);
        }
    }
    Ok(restart)
}

fn not_back(windows: &mut impl Windows, on: &str, code: crate::Win32Error) -> Failed {
    let what = "The former driver could not be put back";
    Failed::call(windows, what, on, code)
}
