//! The signer of the package, asked of Windows before anything is changed.

use core::ptr::null;

use installer_logic::{Failed, Text, Verdict, Win32Error, judge};
use windows_sys::Win32::{
    Devices::DeviceAndDriverInstallation::{SP_INF_SIGNER_INFO_V2_W, SetupVerifyInfFileW},
    Storage::FileSystem::{CreateDirectoryW, DeleteFileW, GetTempPathW, RemoveDirectoryW},
    System::Threading::GetCurrentProcessId,
};

use crate::{
    file::{self, last_error},
    session::Session,
    text::{UNITS, buffer, narrow, wide},
};

/// `ERROR_AUTHENTICODE_TRUSTED_PUBLISHER` (setupapi.h).
const TRUSTED_PUBLISHER: Win32Error = Win32Error(0xE000_0241);

/// Refuses a signer whom Windows would refuse later.
pub fn check(mut session: Session) -> Result<(), Failed> {
    let inf = session.binary("PackageInf")?;
    let catalogue = session.binary("PackageCat")?;
    match verify(inf, catalogue) {
        Ok(verdict) => judge(&mut session, verdict),
        Err(code) => {
            let what = "The package could not be unpacked";
            Err(Failed::call(&mut session, what, "the folder TEMP", code))
        }
    }
}

/// `SetupVerifyInfFileW` fails with success where an Authenticode signature is
/// by a trusted publisher, and succeeds where it is Microsoft's.
fn verify(inf: &[u8], catalogue: &[u8]) -> Result<Verdict, Win32Error> {
    let folder = Folder::new();
    let verdict = folder.verify(inf, catalogue);
    folder.remove();
    verdict
}

/// A folder for the two files.
struct Folder {
    path: Text,
    inf: Text,
    catalogue: Text,
}

impl Folder {
    /// Where it can't be made, the files can't be written, and that is said.
    fn new() -> Self {
        let temporary = buffer();
        // SAFETY: the buffer has that many units.
        unsafe { GetTempPathW(UNITS, temporary.as_mut_ptr()) };
        // SAFETY: has no conditions.
        let process = unsafe { GetCurrentProcessId() };
        let path = [
            narrow(temporary),
            "pvpanic-",
            Win32Error(process).label(),
            "\\",
        ]
        .concat();
        // SAFETY: the path has its zero.
        unsafe { CreateDirectoryW(wide(&path), null()) };
        Self {
            inf: [&path, "pvpanic.inf"].concat().leak(),
            catalogue: [&path, "pvpanic.cat"].concat().leak(),
            path: path.leak(),
        }
    }

    fn verify(&self, inf: &[u8], catalogue: &[u8]) -> Result<Verdict, Win32Error> {
        file::write(self.inf, inf)?;
        file::write(self.catalogue, catalogue)?;
        let path = wide(self.inf);
        let mut signer = SP_INF_SIGNER_INFO_V2_W {
            cbSize: u32::try_from(size_of::<SP_INF_SIGNER_INFO_V2_W>()).unwrap_or(0),
            ..SP_INF_SIGNER_INFO_V2_W::default()
        };
        // SAFETY: the path has its zero; the structure says its size.
        let is_verified = unsafe { SetupVerifyInfFileW(path, null(), &raw mut signer) };
        let code = last_error();
        let name = narrow(&signer.DigitalSigner);
        Ok(Verdict {
            signer: (!name.is_empty()).then_some(name),
            refused: (is_verified == 0 && code != TRUSTED_PUBLISHER).then_some(code),
        })
    }

    fn remove(&self) {
        for file in [self.inf, self.catalogue] {
            let path = wide(file);
            // SAFETY: the path has its zero. A file that stays keeps the folder,
            // which Windows clears in time.
            unsafe { DeleteFileW(path) };
        }
        let path = wide(self.path);
        // SAFETY: the path has its zero.
        unsafe { RemoveDirectoryW(path) };
    }
}
