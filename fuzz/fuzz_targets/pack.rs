//! See `repository::fuzzing::pack`.
#![no_main]

libfuzzer_sys::fuzz_target!(init: malle_fuzz::seed("pack"), |data: &[u8]| repository::fuzzing::pack(data));
