//! The driver under QEMU, judged from outside.
//!
//! [`qemu`] starts a machine, [`qmp`] hears what it tells its host, [`guest`]
//! reads the report of the test kernel in it, and [`run`] puts them together:
//! one driver, one machine, one scenario. [`contract`] says what the host must
//! see. The guest's own word never decides: the QMP events do.

pub mod contract;
pub mod guest;
pub mod matrix;
pub mod qemu;
pub mod qmp;
pub mod run;
