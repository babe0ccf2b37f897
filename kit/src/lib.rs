//! Builds kernel-mode drivers on a host that has no Microsoft kit, and checks
//! what came out.
//!
//! The windows-drivers-rs crates read headers and libraries from a kit, and
//! `wdk-build` refuses to run off Windows. Here are the KMDF headers, the
//! import lists and the entry stub (`include/`, `imports/`, `stub/`), laid out
//! as the crates expect under `target/kit`; the edits that let `wdk-build` run
//! on any host, applied to a vendored copy; and a compiler that has the library
//! for Windows, found or unpacked under `target/toolchain`.
//!
//! On Windows the real kit and the unmodified crates are used instead.

mod architecture;
mod c_driver;
mod cargo;
mod debian;
mod driver;
mod functions;
mod guest;
mod host_edits;
pub mod image;
mod layout;
mod lint;
mod llvm;
mod progress;
mod reproducible;
mod resource;
mod setup;
mod structures;
mod toolchain;
mod vendor;
mod windows_dll;
mod workspace;

pub use architecture::Architecture;
pub use c_driver::build_c_driver;
pub use debian::{libvirt_root, qemu};
pub use driver::{build_driver, build_driver_in};
pub use functions::released_versions;
pub use guest::build_guest;
pub use lint::{check_windows_host, clippy_driver};
pub use setup::{Package, Purpose, packages, setup};
pub use structures::check_structures;
pub use windows_dll::{build_windows_dll, clippy_windows_dll};
pub use workspace::{root, version};
