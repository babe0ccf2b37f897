//! What the library with the custom actions must be: small, without a C
//! runtime, and loadable on the oldest supported Windows.

use anyhow::{Context as _, Result, ensure};
use kit::Architecture;
use object::LittleEndian as LE;
use object::pe::ImageNtHeaders64;
use object::read::pe::{Import, PeFile64};

/// Under 24 KiB.
const MOST: usize = 24 * 1024 - 1;

/// The functions that it may import, each of which build 14393 has (Microsoft,
/// "Requirements" on each function's page). Of ntdll only what the compiler
/// itself calls.
const IMPORTS: [(&str, &[&str]); 5] = [
    (
        "kernel32.dll",
        &[
            "CloseHandle",
            "CreateDirectoryW",
            "CreateFileW",
            "CreateProcessW",
            "DeleteFileW",
            "ExitProcess",
            "FindClose",
            "FindFirstFileW",
            "FindNextFileW",
            "GetCurrentProcessId",
            "GetExitCodeProcess",
            "GetLastError",
            "GetModuleHandleW",
            "GetProcAddress",
            "GetProcessHeap",
            "GetSystemDirectoryW",
            "GetSystemWindowsDirectoryW",
            "GetTempPathW",
            "GlobalAddAtomW",
            "GlobalDeleteAtom",
            "GlobalFindAtomW",
            "HeapAlloc",
            "HeapReAlloc",
            "MultiByteToWideChar",
            "ReadFile",
            "RemoveDirectoryW",
            "WaitForSingleObject",
            "WideCharToMultiByte",
            "WriteFile",
        ],
    ),
    (
        "msi.dll",
        &[
            "MsiCloseHandle",
            "MsiCreateRecord",
            "MsiDatabaseOpenViewW",
            "MsiGetActiveDatabase",
            "MsiGetPropertyW",
            "MsiProcessMessage",
            "MsiRecordReadStream",
            "MsiRecordSetStringW",
            "MsiSetMode",
            "MsiSetPropertyW",
            "MsiViewExecute",
            "MsiViewFetch",
        ],
    ),
    ("newdev.dll", &["DiInstallDriverW"]),
    ("ntdll.dll", &["memcmp", "memcpy", "memmove", "memset"]),
    (
        "setupapi.dll",
        &[
            "SetupDiDestroyDeviceInfoList",
            "SetupDiEnumDeviceInfo",
            "SetupDiGetClassDevsW",
            "SetupDiGetDeviceInstanceIdW",
            "SetupDiGetDevicePropertyW",
            "SetupDiGetDeviceRegistryPropertyW",
            "SetupGetInfDriverStoreLocationW",
            "SetupVerifyInfFileW",
        ],
    ),
];

/// The custom actions.
const EXPORTS: [&str; 8] = [
    "AskForRestart",
    "CheckSigner",
    "CommitDriver",
    "InstallDriver",
    "LookAtDriver",
    "RemoveDriver",
    "UndoInstallDriver",
    "UndoRemoveDriver",
];

/// Checks the library for a processor; answers with its size in words.
///
/// # Errors
/// What is wrong with it.
pub fn check(library: &[u8], architecture: Architecture) -> Result<String> {
    ensure!(
        library.len() <= MOST,
        "{} bytes are not under 24 KiB",
        library.len()
    );
    let file = PeFile64::parse(library)?;
    let machine = file.nt_headers().file_header.machine.get(LE);
    ensure!(
        machine == architecture.image_machine(),
        "its machine is {machine:#06x}, not that of {architecture}"
    );
    let exports = file.export_table()?.context("it exports nothing")?;
    let mut names = Vec::new();
    for (pointer, _) in exports.name_iter() {
        names.push(String::from_utf8_lossy(exports.name_from_pointer(pointer)?).into_owned());
    }
    ensure!(names == EXPORTS, "it exports {names:?}");
    let table = file.import_table()?.context("it imports nothing")?;
    let mut descriptors = table.descriptors()?;
    while let Some(descriptor) = descriptors.next()? {
        let module = String::from_utf8_lossy(table.name(descriptor.name.get(LE))?).into_owned();
        let known = IMPORTS.iter().find(|(name, _)| *name == module);
        let (_, allowed) = known.with_context(|| format!("it imports from {module}"))?;
        let mut thunks = table.thunks(descriptor.original_first_thunk.get(LE))?;
        while let Some(thunk) = thunks.next::<ImageNtHeaders64>()? {
            let Import::Name(_, name) = table.import::<ImageNtHeaders64>(thunk)? else {
                anyhow::bail!("it imports from {module} by number");
            };
            let name = String::from_utf8_lossy(name);
            ensure!(
                allowed.contains(&name.as_ref()),
                "it imports {name} of {module}, which is not in the list of what build 14393 has"
            );
        }
    }
    Ok(format!("{} bytes", library.len()))
}
