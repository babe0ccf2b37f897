//! Text as Windows has it: UTF-16 with a zero at the end.

use alloc::vec;
use core::ptr::{null, null_mut};

use installer_logic::Text;
use windows_sys::{
    Win32::Globalization::{CP_UTF8, MultiByteToWideChar, WideCharToMultiByte},
    core::PWSTR,
};

/// The longest path, instance ID or list of hardware IDs that is taken.
pub const UNITS: u32 = 512;

/// Room for [`UNITS`], all zero.
#[inline(never)]
pub fn buffer() -> &'static mut [u16] {
    vec![0; UNITS as usize].leak()
}

/// For a call: with a zero at its end.
pub fn wide(text: &str) -> PWSTR {
    // UTF-16 never has more units than UTF-8 has bytes.
    let mut units = vec![0; text.len() + 1];
    let (bytes, room) = (length(text.len()), length(text.len()));
    if bytes > 0 {
        // SAFETY: the text and the buffer have that many bytes and units; the
        // zero behind them stays.
        unsafe { MultiByteToWideChar(CP_UTF8, 0, text.as_ptr(), bytes, units.as_mut_ptr(), room) };
    }
    units.leak().as_mut_ptr()
}

/// From a call: up to the zero.
pub fn narrow(units: &[u16]) -> Text {
    let end = units.iter().position(|unit| *unit == 0);
    let count = end.unwrap_or(units.len());
    if count == 0 {
        return "";
    }
    // UTF-8 has at most three bytes for each unit.
    let mut bytes = vec![0; count * 3];
    let (units_count, room) = (length(count), length(bytes.len()));
    // SAFETY: the text and the buffer have that many units and bytes.
    let written = unsafe {
        WideCharToMultiByte(
            CP_UTF8,
            0,
            units.as_ptr(),
            units_count,
            bytes.as_mut_ptr(),
            room,
            null(),
            null_mut(),
        )
    };
    bytes.truncate(usize::try_from(written).unwrap_or(0));
    // SAFETY: that is what CP_UTF8 makes; half a surrogate pair becomes U+FFFD
    // (Microsoft, "WideCharToMultiByte").
    unsafe { core::str::from_utf8_unchecked(bytes.leak()) }
}

/// No text here is longer than a path or a message.
fn length(count: usize) -> i32 {
    i32::try_from(count).unwrap_or(0)
}

/// From a call that gives several, each with a zero at its end.
pub fn list(units: &[u16]) -> impl Iterator<Item = Text> {
    units
        .split(|unit| *unit == 0)
        .filter(|part| !part.is_empty())
        .map(narrow)
}
