//! Installing: into the store, then onto every device that is present.

use crate::{
    before::{Before, devices},
    error::Failed,
    package::{Package, Published},
    windows::{Device, How, Restart, Windows},
};

/// Puts the package into the driver store and onto the devices.
///
/// Windows installs it where it ranks better and calls it a success where it
/// does not. So each device is asked afterwards which INF it runs: another
/// maker's or an older one of ours is replaced, a newer one of ours never.
///
/// # Errors
/// Something failed. The caller has to restore what was there before.
pub fn install(windows: &mut impl Windows, before: &Before) -> Result<Restart, Failed> {
    let path = before.path();
    let mut restart = call(windows, path, How::WhereBetter)?;
    let ours = Package::in_store(windows)?;
    let Some(wanted) = ours.iter().find(|it| it.package == before.package) else {
        return Err(Failed::because(
            windows,
            &[
                path,
                " is not in the driver store, though Windows says so. Look at the end of \
                 setupapi.dev.log",
            ],
        ));
    };
    windows.report(&["The package is in the driver store as ", wanted.name]);

    let present = devices(windows)?;
    if present.is_empty() {
        windows.report(&["No pvpanic device is present: the driver is installed when one appears"]);
        return Ok(restart);
    }
    let newer = present
        .iter()
        .any(|it| Standing::of(it, ours, wanted) == Standing::Newer);
    let other = present
        .iter()
        .find(|it| Standing::of(it, ours, wanted) == Standing::Other);
    if let Some(device) = other {
        // Forcing takes every device, and so would take one from a newer driver.
        if newer {
            return Err(kept(windows, device, wanted));
        }
        windows.report(&[device.instance, " runs ", device.runs(), ": replacing it"]);
        restart = restart.or(call(windows, path, How::Everywhere)?);
    }
    for device in devices(windows)? {
        match Standing::of(device, ours, wanted) {
            Standing::Wanted => windows.report(&[device.instance, " runs ", wanted.name]),
            Standing::Newer => {
                windows.report(&[device.instance, " keeps the newer driver that it runs"]);
            }
            Standing::Other => return Err(kept(windows, device, wanted)),
        }
    }
    Ok(restart)
}

fn call(windows: &mut impl Windows, path: &str, how: How) -> Result<Restart, Failed> {
    match windows.install(path, how) {
        Err(code) if code.is_nothing_to_do() => Ok(Restart::NotNeeded),
        Err(code) => {
            let what = "The driver could not be installed";
            Err(Failed::call(windows, what, path, code))
        }
        Ok(restart) => Ok(restart),
    }
}

/// What a device runs.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Standing {
    /// The package that is wanted.
    Wanted,
    /// A newer one of ours.
    Newer,
    /// Anything else, or nothing.
    Other,
}

impl Standing {
    fn of(device: &Device, ours: &[Published], wanted: &Published) -> Self {
        let found = ours.iter().find(|it| device.has(it.name));
        match found {
            Some(found) if found.package == wanted.package => Self::Wanted,
            Some(found) if found.package > wanted.package => Self::Newer,
            _ => Self::Other,
        }
    }
}

fn kept(windows: &mut impl Windows, device: &Device, wanted: &Published) -> Failed {
    Failed::because(
        windows,
        &[
            device.instance,
            " still runs ",
            device.runs(),
            " instead of ",
            wanted.name,
            ". Update it in Device Manager (Have Disk), or remove the other package (pnputil \
             /delete-driver ",
            device.runs(),
            " /uninstall), then try again",
        ],
    )
}
