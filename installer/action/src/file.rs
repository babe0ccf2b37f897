//! Files.

use alloc::{vec, vec::Vec};
use core::ptr::{null, null_mut};

use installer_logic::{Text, Win32Error};
use windows_sys::Win32::{
    Foundation::{
        CloseHandle, ERROR_FILE_NOT_FOUND, ERROR_NO_MORE_FILES, GENERIC_READ, GENERIC_WRITE,
        GetLastError, HANDLE, INVALID_HANDLE_VALUE,
    },
    Storage::FileSystem::{
        CREATE_ALWAYS, CreateFileW, FILE_ATTRIBUTE_NORMAL, FILE_SHARE_DELETE, FILE_SHARE_READ,
        FindClose, FindFirstFileW, FindNextFileW, OPEN_EXISTING, ReadFile, WIN32_FIND_DATAW,
        WriteFile,
    },
};

use crate::text::{narrow, wide};

/// The code of the call that just failed.
pub fn last_error() -> Win32Error {
    // SAFETY: has no conditions.
    Win32Error(unsafe { GetLastError() })
}

struct File(HANDLE);

impl Drop for File {
    fn drop(&mut self) {
        // SAFETY: the handle is ours and closed here only.
        unsafe { CloseHandle(self.0) };
    }
}

impl File {
    fn open(path: &str, access: u32, disposition: u32) -> Result<Self, Win32Error> {
        let path = wide(path);
        // SAFETY: the path has its zero.
        let handle = unsafe {
            CreateFileW(
                path,
                access,
                FILE_SHARE_READ | FILE_SHARE_DELETE,
                null(),
                disposition,
                FILE_ATTRIBUTE_NORMAL,
                null_mut(),
            )
        };
        if handle == INVALID_HANDLE_VALUE {
            return Err(last_error());
        }
        Ok(Self(handle))
    }
}

/// Reads a file, but not more than `most` bytes of it.
pub fn read(path: &str, most: usize) -> Result<&'static [u8], Win32Error> {
    let file = File::open(path, GENERIC_READ, OPEN_EXISTING)?;
    let mut content = vec![0; most];
    let mut length = 0;
    // SAFETY: the file is open; the buffer has that many bytes.
    let is_read = unsafe {
        ReadFile(
            file.0,
            content.as_mut_ptr(),
            u32::try_from(most).unwrap_or(0),
            &raw mut length,
            null_mut(),
        )
    };
    if is_read == 0 {
        return Err(last_error());
    }
    content.truncate(length as usize);
    Ok(content.leak())
}

/// Writes a file, over one of that name.
pub fn write(path: &str, content: &[u8]) -> Result<(), Win32Error> {
    let file = File::open(path, GENERIC_WRITE, CREATE_ALWAYS)?;
    let mut length = 0;
    // SAFETY: the file is open; the buffer has that many bytes.
    let is_written = unsafe {
        WriteFile(
            file.0,
            content.as_ptr(),
            u32::try_from(content.len()).unwrap_or(0),
            &raw mut length,
            null_mut(),
        )
    };
    if is_written == 0 {
        return Err(last_error());
    }
    Ok(())
}

/// The names of the files that match.
pub fn names(pattern: &str) -> Result<&'static [Text], Win32Error> {
    let pattern = wide(pattern);
    let mut found = WIN32_FIND_DATAW::default();
    // SAFETY: the pattern has its zero.
    let search = unsafe { FindFirstFileW(pattern, &raw mut found) };
    if search == INVALID_HANDLE_VALUE {
        return match last_error() {
            Win32Error(ERROR_FILE_NOT_FOUND) => Ok(&[]),
            error => Err(error),
        };
    }
    let mut names = Vec::new();
    let result = loop {
        names.push(narrow(&found.cFileName));
        // SAFETY: the search is open.
        if unsafe { FindNextFileW(search, &raw mut found) } == 0 {
            break match last_error() {
                Win32Error(ERROR_NO_MORE_FILES) => Ok(&*names.leak()),
                error => Err(error),
            };
        }
    };
    // SAFETY: the search is ours and closed here only.
    unsafe { FindClose(search) };
    result
}
