//! See `malle_fuzz::exports::tree`.
#![no_main]

libfuzzer_sys::fuzz_target!(init: malle_fuzz::seed("account_directory"), |data: &[u8]| malle_fuzz::exports::tree("mailboxes.json", data));
