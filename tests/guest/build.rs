//! Gives the linker the memory layout of the guest.

use std::{env, error::Error};

fn main() -> Result<(), Box<dyn Error>> {
    let script = format!("src/{}/guest.ld", env::var("CARGO_CFG_TARGET_ARCH")?);
    println!("cargo::rerun-if-changed={script}");
    if env::var("CARGO_CFG_TARGET_OS")? == "none" {
        let script = format!("{}/{script}", env::var("CARGO_MANIFEST_DIR")?);
        println!("cargo::rustc-link-arg-bins=--script={script}");
        // QEMU loads the image at the addresses it is linked for and applies no
        // relocations; the target's default is a position-independent executable.
        println!("cargo::rustc-link-arg-bins=--no-pie");
    }
    Ok(())
}
