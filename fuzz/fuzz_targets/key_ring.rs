//! See `repository::fuzzing::key_ring`.
#![no_main]

libfuzzer_sys::fuzz_target!(|text: &str| repository::fuzzing::key_ring(text));
