//! The installation, as Windows Installer shows it to a custom action.

use alloc::vec;

use installer_logic::{Failed, Log, Text, Win32Error};
use windows_sys::Win32::{
    Foundation::ERROR_SUCCESS,
    System::ApplicationInstallationAndServicing::{
        INSTALLMESSAGE, INSTALLMESSAGE_ACTIONDATA, INSTALLMESSAGE_ERROR, INSTALLMESSAGE_INFO,
        MSIHANDLE, MSIRUNMODE_REBOOTATEND, MsiCloseHandle, MsiCreateRecord, MsiDatabaseOpenViewW,
        MsiGetActiveDatabase, MsiGetPropertyW, MsiProcessMessage, MsiRecordReadStream,
        MsiRecordSetStringW, MsiSetMode, MsiSetPropertyW, MsiViewExecute, MsiViewFetch,
    },
};

use crate::text::{narrow, wide};

/// A running installation.
#[derive(Clone, Copy)]
pub struct Session(MSIHANDLE);

/// More than any INF or catalogue of ours has.
const BINARY_BYTES: u32 = 0x1_0000;

/// Room for what was there before, on a machine with a hundred devices.
const PROPERTY_UNITS: u32 = 0x4000;

/// A handle of Windows Installer's that is ours to close.
struct Handle(MSIHANDLE);

impl Drop for Handle {
    fn drop(&mut self) {
        // SAFETY: the handle is ours and closed here only. A handle that can't
        // be closed is closed with the process.
        unsafe { MsiCloseHandle(self.0) };
    }
}

impl Session {
    /// The one that Windows Installer gave the custom action. It stays its own.
    pub const fn new(handle: MSIHANDLE) -> Self {
        Self(handle)
    }

    /// A property, or `CustomActionData`.
    pub fn property(self, name: &str) -> Result<Text, Failed> {
        let name_wide = wide(name);
        let value = vec![0_u16; PROPERTY_UNITS as usize].leak();
        let mut length = PROPERTY_UNITS;
        // SAFETY: the name has its zero; the buffer has `length` units.
        let code =
            unsafe { MsiGetPropertyW(self.0, name_wide, value.as_mut_ptr(), &raw mut length) };
        self.check(code, "Windows Installer gave no property", name)?;
        Ok(narrow(value))
    }

    /// Sets a property; one with the name of a deferred action becomes its
    /// `CustomActionData`.
    pub fn set_property(self, name: &str, value: &str) -> Result<(), Failed> {
        let (name_wide, value) = (wide(name), wide(value));
        // SAFETY: both have their zeros.
        let code = unsafe { MsiSetPropertyW(self.0, name_wide, value) };
        self.check(code, "Windows Installer took no property", name)
    }

    /// A file in the table `Binary`.
    pub fn binary(self, name: &str) -> Result<&'static [u8], Failed> {
        let query = ["SELECT `Data` FROM `Binary` WHERE `Name`='", name, "'"].concat();
        // SAFETY: the session is open.
        let database = Handle(unsafe { MsiGetActiveDatabase(self.0) });
        let (mut view, mut record) = (Handle(0), Handle(0));
        match stream(&database, &query, &mut view, &mut record) {
            Ok(content) => Ok(content),
            Err(code) => Err(self.failed("The installer's database can't be read", name, code)),
        }
    }

    fn message(self, kind: INSTALLMESSAGE, parts: &[&str]) {
        // SAFETY: has no conditions.
        let record = Handle(unsafe { MsiCreateRecord(1) });
        let (template, message) = (wide("[1]"), wide(&parts.concat()));
        // SAFETY: the record has fields 0 and 1; the text has its zero. What
        // can't be said can't be reported either.
        unsafe { MsiRecordSetStringW(record.0, 0, template) };
        // SAFETY: as above.
        unsafe { MsiRecordSetStringW(record.0, 1, message) };
        // SAFETY: session and record are open.
        unsafe { MsiProcessMessage(self.0, kind, record.0) };
    }

    /// Makes the installation end with 3010. The caller has said so in words,
    /// in case that it fails.
    pub fn ask_for_restart(self) {
        // SAFETY: the session is open, in an immediate action.
        unsafe { MsiSetMode(self.0, MSIRUNMODE_REBOOTATEND, 1) };
    }

    fn check(self, code: u32, what: &str, on: &str) -> Result<(), Failed> {
        if code == ERROR_SUCCESS {
            return Ok(());
        }
        Err(self.failed(what, on, code))
    }

    fn failed(mut self, what: &str, on: &str, code: u32) -> Failed {
        Failed::call(&mut self, what, on, Win32Error(code))
    }
}

/// The first column of the first row.
fn stream(
    database: &Handle,
    query: &str,
    view: &mut Handle,
    record: &mut Handle,
) -> Result<&'static [u8], u32> {
    let succeed = |code| {
        if code == ERROR_SUCCESS {
            Ok(())
        } else {
            Err(code)
        }
    };
    let query = wide(query);
    // SAFETY: the database is open; the query has its zero.
    succeed(unsafe { MsiDatabaseOpenViewW(database.0, query, &raw mut view.0) })?;
    // SAFETY: the view is open; the query has no parameters.
    succeed(unsafe { MsiViewExecute(view.0, 0) })?;
    // SAFETY: the view is open and executed.
    succeed(unsafe { MsiViewFetch(view.0, &raw mut record.0) })?;
    let content = vec![0; BINARY_BYTES as usize].leak();
    let mut length = BINARY_BYTES;
    // SAFETY: the record is open; the buffer has `length` bytes.
    succeed(unsafe { MsiRecordReadStream(record.0, 1, content.as_mut_ptr(), &raw mut length) })?;
    Ok(content.get(..length as usize).unwrap_or_default())
}

impl Log for Session {
    fn report(&mut self, parts: &[&str]) {
        self.message(INSTALLMESSAGE_INFO, parts);
        self.message(INSTALLMESSAGE_ACTIONDATA, parts);
    }

    fn fail(&mut self, parts: &[&str]) {
        self.message(INSTALLMESSAGE_ERROR, parts);
    }
}
