//! Removing: this package, then older ones of ours, each found by what it is.

use crate::{
    before::Before,
    error::Failed,
    package::Package,
    windows::{Restart, Windows},
};

/// Removes this package. Older ones of ours wait for [`remove_older`]: rollback
/// could not bring them back. That it is gone already is no failure.
///
/// # Errors
/// Something failed. The caller has to restore what was there before.
pub fn remove(windows: &mut impl Windows, before: &Before) -> Result<Restart, Failed> {
    let package = before.package;
    remove_each(windows, &|found| found == package)
}

/// Removes the packages of ours that this one replaced, once nothing can be
/// rolled back any more. A newer one stays: somebody else installed it.
///
/// # Errors
/// Something failed.
pub fn remove_older(windows: &mut impl Windows, before: &Before) -> Result<Restart, Failed> {
    let package = before.package;
    remove_each(windows, &|found| found < package)
}

fn remove_each(
    windows: &mut impl Windows,
    wanted: &dyn Fn(Package) -> bool,
) -> Result<Restart, Failed> {
    let mut restart = Restart::NotNeeded;
    for found in Package::in_store(windows)? {
        if wanted(found.package) {
            match windows.uninstall(found.name) {
                Ok(needed) => restart = restart.or(needed),
                Err(code) => {
                    let what = "The driver could not be removed";
                    return Err(Failed::call(windows, what, found.name, code));
                }
            }
            windows.report(&["Removed ", found.name, " from the driver store"]);
        }
    }
    Ok(restart)
}
