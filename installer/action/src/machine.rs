//! The calls that `installer-logic` decides on.

use alloc::vec::Vec;
use core::{
    mem::transmute,
    ptr::{null, null_mut},
};

use installer_logic::{Device, HARDWARE_IDS, How, Log, Restart, Text, Win32Error, Windows};
use windows_sys::{
    Win32::{
        Devices::{
            DeviceAndDriverInstallation::{
                DIGCF_ALLCLASSES, DIGCF_PRESENT, DIINSTALLDRIVER_FLAGS, DIIRFLAG_FORCE_INF,
                DiInstallDriverW, HDEVINFO, SP_DEVINFO_DATA, SPDRP_HARDWAREID,
                SetupDiDestroyDeviceInfoList, SetupDiEnumDeviceInfo, SetupDiGetClassDevsW,
                SetupDiGetDeviceInstanceIdW, SetupDiGetDevicePropertyW,
                SetupDiGetDeviceRegistryPropertyW, SetupGetInfDriverStoreLocationW,
            },
            Properties::DEVPKEY_Device_DriverInfPath,
        },
        Foundation::{
            CloseHandle, ERROR_INSUFFICIENT_BUFFER, ERROR_INVALID_DATA, ERROR_NO_MORE_ITEMS,
            ERROR_NOT_FOUND, ERROR_SUCCESS, ERROR_SUCCESS_REBOOT_REQUIRED, ERROR_TIMEOUT, HWND,
            WAIT_OBJECT_0,
        },
        System::{
            LibraryLoader::{GetModuleHandleW, GetProcAddress},
            SystemInformation::{GetSystemDirectoryW, GetSystemWindowsDirectoryW},
            Threading::{
                CREATE_NO_WINDOW, CreateProcessW, GetExitCodeProcess, PROCESS_INFORMATION,
                STARTUPINFOW, WaitForSingleObject,
            },
        },
    },
    core::{BOOL, PCWSTR, s, w},
};

use crate::{
    file::{self, last_error},
    session::Session,
    text::{UNITS, buffer, list, narrow, wide},
};

/// More than any INF of ours has: what is cut off is not ours.
const INF_BYTES: usize = 0x4000;

/// How long pnputil may take.
const PNPUTIL_MILLISECONDS: u32 = 10 * 60 * 1000;

/// This machine.
pub struct Machine(Session);

impl Machine {
    /// Reports go to `session`.
    pub const fn new(session: Session) -> Self {
        Self(session)
    }
}

impl Windows for Machine {
    fn devices(&mut self) -> Result<&'static [Device], Win32Error> {
        let set = DeviceSet::present()?;
        let devices = set.list();
        // SAFETY: the set is ours and destroyed here only.
        unsafe { SetupDiDestroyDeviceInfoList(set.0) };
        devices
    }

    fn published(&mut self) -> Result<&'static [Text], Win32Error> {
        file::names(&[inf_folder()?, "oem*.inf"].concat())
    }

    fn read(&mut self, published: &str) -> Result<&'static [u8], Win32Error> {
        file::read(&[inf_folder()?, published].concat(), INF_BYTES)
    }

    fn install(&mut self, path: &str, how: How) -> Result<Restart, Win32Error> {
        let flags = match how {
            How::WhereBetter => 0,
            How::Everywhere => DIIRFLAG_FORCE_INF,
        };
        install(wide(path), flags)
    }

    fn reinstall(&mut self, published: &str) -> Result<Restart, Win32Error> {
        let published = wide(published);
        let path = buffer();
        // SAFETY: the name has its zero; the buffer has that many units.
        let is_found = unsafe {
            SetupGetInfDriverStoreLocationW(
                published,
                null(),
                null(),
                path.as_mut_ptr(),
                UNITS,
                null_mut(),
            )
        };
        if is_found == 0 {
            return Err(last_error());
        }
        install(path.as_ptr(), DIIRFLAG_FORCE_INF)
    }

    fn uninstall(&mut self, published: &str) -> Result<Restart, Win32Error> {
        match uninstall_driver() {
            Some(function) => {
                let path = wide(&[inf_folder()?, published].concat());
                let mut restart = 0;
                // SAFETY: the path has its zero; no window belongs to this.
                let is_done = unsafe { function(null_mut(), path, 0, &raw mut restart) };
                outcome(is_done, restart)
            }
            None => pnputil(published),
        }
    }
}

impl Log for Machine {
    fn report(&mut self, parts: &[&str]) {
        self.0.report(parts);
    }

    fn fail(&mut self, parts: &[&str]) {
        self.0.fail(parts);
    }
}

fn install(path: PCWSTR, flags: DIINSTALLDRIVER_FLAGS) -> Result<Restart, Win32Error> {
    let mut restart = 0;
    // SAFETY: the path has its zero; no window belongs to this.
    let is_done = unsafe { DiInstallDriverW(null_mut(), path, flags, &raw mut restart) };
    outcome(is_done, restart)
}

fn outcome(is_done: BOOL, restart: BOOL) -> Result<Restart, Win32Error> {
    if is_done == 0 {
        return Err(last_error());
    }
    Ok(if restart == 0 {
        Restart::NotNeeded
    } else {
        Restart::Needed
    })
}

type UninstallDriver = unsafe extern "system" fn(HWND, PCWSTR, u32, *mut BOOL) -> BOOL;

/// `DiUninstallDriverW`, which Windows has since 1703: to import it would keep
/// this library from being loaded on Server 2016.
fn uninstall_driver() -> Option<UninstallDriver> {
    // SAFETY: the name is a constant with a zero at its end. The library is
    // loaded, because this one imports from it.
    let library = unsafe { GetModuleHandleW(w!("newdev.dll")) };
    // SAFETY: as above.
    let function = unsafe { GetProcAddress(library, s!("DiUninstallDriverW")) }?;
    // SAFETY: the function of that name has that type (Microsoft,
    // "DiUninstallDriverW").
    Some(unsafe { transmute::<unsafe extern "system" fn() -> isize, UninstallDriver>(function) })
}

/// The way of Server 2016 (Microsoft, "`PnPUtil` Command Syntax").
fn pnputil(published: &str) -> Result<Restart, Win32Error> {
    let folder = folder(|buffer, units| {
        // SAFETY: the buffer has that many units.
        unsafe { GetSystemDirectoryW(buffer, units) }
    })?;
    let program = [folder, "\\pnputil.exe"].concat();
    let line = wide(
        &[
            "\"",
            &program,
            "\" /delete-driver ",
            published,
            " /uninstall",
        ]
        .concat(),
    );
    let program = wide(&program);
    let startup = STARTUPINFOW {
        cb: u32::try_from(size_of::<STARTUPINFOW>()).unwrap_or(0),
        ..STARTUPINFOW::default()
    };
    let mut process = PROCESS_INFORMATION::default();
    // SAFETY: both texts have their zeros and the second may be changed.
    let is_started = unsafe {
        CreateProcessW(
            program,
            line,
            null(),
            null(),
            0,
            CREATE_NO_WINDOW,
            null(),
            null(),
            &raw const startup,
            &raw mut process,
        )
    };
    if is_started == 0 {
        return Err(last_error());
    }
    // SAFETY: the process is ours.
    let waited = unsafe { WaitForSingleObject(process.hProcess, PNPUTIL_MILLISECONDS) };
    let mut code = ERROR_TIMEOUT;
    if waited == WAIT_OBJECT_0 {
        // SAFETY: the process is ours. The code stays as it is on failure.
        unsafe { GetExitCodeProcess(process.hProcess, &raw mut code) };
    }
    // SAFETY: the handles are ours and closed here only.
    unsafe { CloseHandle(process.hThread) };
    // SAFETY: as above.
    unsafe { CloseHandle(process.hProcess) };
    match code {
        ERROR_SUCCESS => Ok(Restart::NotNeeded),
        ERROR_SUCCESS_REBOOT_REQUIRED => Ok(Restart::Needed),
        code => Err(Win32Error(code)),
    }
}

/// Where Windows publishes INFs, with a backslash at the end.
fn inf_folder() -> Result<Text, Win32Error> {
    let windows = folder(|buffer, units| {
        // SAFETY: the buffer has that many units.
        unsafe { GetSystemWindowsDirectoryW(buffer, units) }
    })?;
    Ok([windows, "\\INF\\"].concat().leak())
}

fn folder(get: impl Fn(*mut u16, u32) -> u32) -> Result<Text, Win32Error> {
    let path = buffer();
    if get(path.as_mut_ptr(), UNITS) == 0 {
        return Err(last_error());
    }
    Ok(narrow(path))
}

/// The devices that are present.
struct DeviceSet(HDEVINFO);

impl DeviceSet {
    fn present() -> Result<Self, Win32Error> {
        let flags = DIGCF_PRESENT | DIGCF_ALLCLASSES;
        // SAFETY: with DIGCF_ALLCLASSES there is no class to name.
        let set = unsafe { SetupDiGetClassDevsW(null(), null(), null_mut(), flags) };
        if set == -1 {
            return Err(last_error());
        }
        Ok(Self(set))
    }

    /// Those that have one of [`HARDWARE_IDS`].
    fn list(&self) -> Result<&'static [Device], Win32Error> {
        let mut devices = Vec::new();
        for index in 0.. {
            let Some(device) = self.device(index)? else {
                break;
            };
            let is_wanted = list(self.hardware_ids(&device)?).any(|id| {
                HARDWARE_IDS
                    .iter()
                    .any(|known| id.eq_ignore_ascii_case(known))
            });
            if is_wanted {
                devices.push(Device {
                    instance: self.instance(&device)?,
                    inf: self.inf(&device)?,
                });
            }
        }
        Ok(devices.leak())
    }

    fn device(&self, index: u32) -> Result<Option<SP_DEVINFO_DATA>, Win32Error> {
        let mut device = SP_DEVINFO_DATA {
            cbSize: u32::try_from(size_of::<SP_DEVINFO_DATA>()).unwrap_or(0),
            ..SP_DEVINFO_DATA::default()
        };
        // SAFETY: the set is open; the structure says its size.
        if unsafe { SetupDiEnumDeviceInfo(self.0, index, &raw mut device) } != 0 {
            return Ok(Some(device));
        }
        match last_error() {
            Win32Error(ERROR_NO_MORE_ITEMS) => Ok(None),
            error => Err(error),
        }
    }

    /// With a zero after each; none if the device has none, or more than any
    /// pvpanic device has.
    fn hardware_ids(&self, device: &SP_DEVINFO_DATA) -> Result<&'static [u16], Win32Error> {
        let ids = buffer();
        // SAFETY: the set is open; the buffer has that many bytes.
        let is_read = unsafe {
            SetupDiGetDeviceRegistryPropertyW(
                self.0,
                device,
                SPDRP_HARDWAREID,
                null_mut(),
                ids.as_mut_ptr().cast(),
                UNITS * 2,
                null_mut(),
            )
        };
        if is_read != 0 {
            return Ok(ids);
        }
        match last_error() {
            Win32Error(ERROR_INVALID_DATA | ERROR_INSUFFICIENT_BUFFER) => Ok(&[]),
            error => Err(error),
        }
    }

    fn instance(&self, device: &SP_DEVINFO_DATA) -> Result<Text, Win32Error> {
        let id = buffer();
        // SAFETY: the set is open; the buffer has that many units.
        let is_read = unsafe {
            SetupDiGetDeviceInstanceIdW(self.0, device, id.as_mut_ptr(), UNITS, null_mut())
        };
        if is_read == 0 {
            return Err(last_error());
        }
        Ok(narrow(id))
    }

    fn inf(&self, device: &SP_DEVINFO_DATA) -> Result<Option<Text>, Win32Error> {
        let name = buffer();
        let mut kind = 0;
        // SAFETY: the set is open; the buffer has that many bytes.
        let is_read = unsafe {
            SetupDiGetDevicePropertyW(
                self.0,
                device,
                &DEVPKEY_Device_DriverInfPath,
                &raw mut kind,
                name.as_mut_ptr().cast(),
                UNITS * 2,
                null_mut(),
                0,
            )
        };
        if is_read != 0 {
            let name = narrow(name);
            return Ok((!name.is_empty()).then_some(name));
        }
        match last_error() {
            Win32Error(ERROR_NOT_FOUND) => Ok(None),
            error => Err(error),
        }
    }
}
