//! What the ACPI driver answers is read without a fault, whatever it is.

#![no_main]

use libfuzzer_sys::fuzz_target;
use pvpanic_protocol::acpi;

fuzz_target!(|answer: &[u8]| {
    let _ = acpi::integer(answer);
    let _ = acpi::lists(answer, acpi::WRPT);
});
