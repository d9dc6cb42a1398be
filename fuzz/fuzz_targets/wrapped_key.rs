//! What is read before any key is at hand: `repository::fuzzing::{wrapped_key, clear}`.
#![no_main]

libfuzzer_sys::fuzz_target!(init: malle_fuzz::seed("wrapped_key"), |data: &[u8]| {
    repository::fuzzing::wrapped_key(data);
    repository::fuzzing::clear(data);
});
