//! See `malle_fuzz::exports::vandelay`.
#![no_main]

libfuzzer_sys::fuzz_target!(init: malle_fuzz::seed("vandelay"), |data: &[u8]| malle_fuzz::exports::vandelay(data));
