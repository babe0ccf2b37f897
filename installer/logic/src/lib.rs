//! What the MSI's custom actions do with which answer of Windows.
//!
//! Everything that Windows does stands behind [`Windows`], so that each
//! decision, and what happens when any call fails, is tested on any host. The
//! custom actions proper (`installer/action`) only make the calls.
//!
//! Nothing here is ever freed: an action's process ends with the action, and
//! the code that would free a few KiB before that is half of the library.
#![no_std]

extern crate alloc;

mod before;
mod error;
mod install;
mod package;
mod remove;
mod restore;
mod signer;
mod windows;

pub use before::{Before, look};
pub use error::{Failed, Win32Error};
pub use install::install;
pub use package::{Package, Published};
pub use remove::{remove, remove_older};
pub use restore::{restore_after_install, restore_after_remove};
pub use signer::{Verdict, judge};
pub use windows::{Device, HARDWARE_IDS, How, Log, Restart, Text, Windows};
