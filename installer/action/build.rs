//! Links the DLL without a C runtime.

fn main() {
    if std::env::var("CARGO_CFG_WINDOWS").is_err() {
        return;
    }
    for argument in [
        // Windows Installer calls the exports; there is nothing to set up.
        "/noentry",
        "/nodefaultlib",
        "/opt:ref,icf",
        // No folder of this machine in the image.
        "/pdbaltpath:pvpanic-action.pdb",
    ] {
        println!("cargo::rustc-cdylib-link-arg={argument}");
    }
}
