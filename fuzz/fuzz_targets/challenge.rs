//! libFuzzer's way into [`challenge`](managed_identity_native_fuzz::challenge).
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| managed_identity_native_fuzz::challenge::check(data));
