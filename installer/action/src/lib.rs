//! The custom actions of the MSI: each export is one, and each only makes the
//! calls that `installer-logic` decides on.
//!
//! The deferred ones run as `LocalSystem` and know nothing but their
//! `CustomActionData`, which [`LookAtDriver`] writes before anything is changed.
#![no_std]
#![cfg(windows)]

extern crate alloc;

mod catalogue;
mod file;
mod machine;
mod restart;
mod runtime;
mod session;
mod text;

use installer_logic::{Before, Failed, Log, Restart};
use windows_sys::Win32::{
    Foundation::{ERROR_INSTALL_FAILURE, ERROR_SUCCESS},
    System::ApplicationInstallationAndServicing::MSIHANDLE,
};

use crate::{machine::Machine, session::Session};

/// The actions that are given what was there before.
const DEFERRED: [&str; 5] = [
    "UndoInstallDriver",
    "InstallDriver",
    "UndoRemoveDriver",
    "RemoveDriver",
    "CommitDriver",
];

/// Immediate, before anything is changed: refuses a signer whom this machine
/// does not trust.
#[unsafe(no_mangle)]
pub extern "system" fn CheckSigner(session: MSIHANDLE) -> u32 {
    end(catalogue::check(Session::new(session)))
}

/// Immediate, before anything is changed: looks at the devices and the driver
/// store, and hands what is there to the deferred actions.
#[unsafe(no_mangle)]
pub extern "system" fn LookAtDriver(session: MSIHANDLE) -> u32 {
    end(look(Session::new(session)))
}

fn look(session: Session) -> Result<(), Failed> {
    restart::forget();
    let folder = session.property("DRIVERFOLDER")?;
    let inf = session.binary("PackageInf")?;
    let before = installer_logic::look(&mut Machine::new(session), folder, inf)?;
    let text = before.encode();
    for action in DEFERRED {
        session.set_property(action, text)?;
    }
    Ok(())
}

/// Deferred: puts the package into the driver store and onto the devices.
#[unsafe(no_mangle)]
pub extern "system" fn InstallDriver(session: MSIHANDLE) -> u32 {
    deferred(session, installer_logic::install)
}

/// Rollback of [`InstallDriver`].
#[unsafe(no_mangle)]
pub extern "system" fn UndoInstallDriver(session: MSIHANDLE) -> u32 {
    deferred(session, installer_logic::restore_after_install)
}

/// Deferred: removes the package from the devices and from the driver store.
#[unsafe(no_mangle)]
pub extern "system" fn RemoveDriver(session: MSIHANDLE) -> u32 {
    deferred(session, installer_logic::remove)
}

/// Rollback of [`RemoveDriver`].
#[unsafe(no_mangle)]
pub extern "system" fn UndoRemoveDriver(session: MSIHANDLE) -> u32 {
    deferred(session, installer_logic::restore_after_remove)
}

/// Commit, when nothing can be rolled back any more: removes the packages of
/// ours that this one replaced. One that can't be removed does no harm.
#[unsafe(no_mangle)]
pub extern "system" fn CommitDriver(session: MSIHANDLE) -> u32 {
    let mut session = Session::new(session);
    if with_data(session, installer_logic::remove_older).is_err() {
        session.report(&["An older package of this project stays in the driver store"]);
    }
    ERROR_SUCCESS
}

/// Immediate, after everything: tells Windows Installer that a restart is
/// needed, which a deferred action can't (Microsoft, "`MsiSetMode`").
#[unsafe(no_mangle)]
pub extern "system" fn AskForRestart(session: MSIHANDLE) -> u32 {
    let mut session = Session::new(session);
    if restart::is_needed() {
        restart::forget();
        session.report(&["Windows must be restarted before the change is complete"]);
        session.ask_for_restart();
    }
    ERROR_SUCCESS
}

type Deed = fn(&mut Machine, &Before) -> Result<Restart, Failed>;

fn deferred(session: MSIHANDLE, deed: Deed) -> u32 {
    end(with_data(Session::new(session), deed))
}

fn with_data(mut session: Session, deed: Deed) -> Result<(), Failed> {
    let data = session.property("CustomActionData")?;
    let before = Before::decode(&mut session, data)?;
    if deed(&mut Machine::new(session), &before)? == Restart::Needed {
        restart::remember();
    }
    Ok(())
}

const fn end(result: Result<(), Failed>) -> u32 {
    match result {
        Ok(()) => ERROR_SUCCESS,
        Err(Failed) => ERROR_INSTALL_FAILURE,
    }
}
