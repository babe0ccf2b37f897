//! Links the crate as a KMDF driver, as the WDK's own build does.

fn main() -> Result<(), wdk_build::ConfigError> {
    wdk_build::configure_wdk_binary_build()
}
