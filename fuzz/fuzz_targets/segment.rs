//! See `repository::fuzzing::segment`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| repository::fuzzing::segment(data));
