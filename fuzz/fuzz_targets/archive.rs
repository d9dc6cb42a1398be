//! See `malle_fuzz::exports::archive`.
#![no_main]

libfuzzer_sys::fuzz_target!(init: malle_fuzz::seed("archive"), |data: &[u8]| malle_fuzz::exports::archive(data));
