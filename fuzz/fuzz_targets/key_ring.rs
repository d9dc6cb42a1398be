//! See `repository::fuzzing::key_ring`.
#![no_main]

libfuzzer_sys::fuzz_target!(init: malle_fuzz::seed("key_ring"), |data: &[u8]| {
    if let Ok(text) = std::str::from_utf8(data) {
        repository::fuzzing::key_ring(text);
    }
});
