//! See `malle_fuzz::exports::tree`.
#![no_main]

libfuzzer_sys::fuzz_target!(init: malle_fuzz::seed("maildir"), |data: &[u8]| malle_fuzz::exports::tree("Maildir/cur", data));
