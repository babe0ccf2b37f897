//! The driver package: what an administrator, Windows Setup, DISM, virt-v2v
//! and Partner Center take, made on any host.

pub mod catalogue;
pub mod check;
pub mod commit;
pub mod driver_package;
pub mod image;
pub mod inf;
pub mod media;
pub mod pack;
pub mod sign;
mod staging;
mod tool;
pub mod verify;
pub mod windows_kit;
pub mod workspace;

mod command_line;

pub use command_line::{cli, parse};
