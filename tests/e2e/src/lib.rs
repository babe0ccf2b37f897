//! The driver under QEMU, judged from outside.
//!
//! [`qemu`] starts a machine, [`qmp`] hears what it tells its host, [`guest`]
//! reads the report of the test kernel in it, and [`run`] puts them together:
//! one driver, one machine, one scenario. [`contract`] says what the host must
//! see. The guest's own word never decides: the QMP events do.
//!
//! [`windows`] does the same to a disk image that somebody brings, which it knows
//! nothing of: it looks at the [`screen`] and asks the guest's [`agent`].
//! [`install`] watches Windows Setup make such an image.

pub mod agent;
pub mod contract;
pub mod guest;
pub mod install;
pub mod libvirt;
pub mod matrix;
pub mod qemu;
pub mod qmp;
pub mod run;
pub mod screen;
pub mod windows;
