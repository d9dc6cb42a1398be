//! See `repository::fuzzing::log_entry`.
#![no_main]

libfuzzer_sys::fuzz_target!(init: malle_fuzz::seed("manifest"), |data: &[u8]| repository::fuzzing::log_entry(data));
