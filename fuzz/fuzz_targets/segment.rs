//! See `repository::fuzzing::segment`.
#![no_main]

libfuzzer_sys::fuzz_target!(init: malle_fuzz::seed("segment"), |data: &[u8]| repository::fuzzing::segment(data));
