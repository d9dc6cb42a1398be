//! See `repository::fuzzing::pack`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| repository::fuzzing::pack(data));
