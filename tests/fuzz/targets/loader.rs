//! An image is laid out or refused, whatever it is.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|image: &[u8]| {
    let _ = nt_model::lay_out(image);
});
