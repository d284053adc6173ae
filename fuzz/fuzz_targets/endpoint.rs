//! libFuzzer's way into [`endpoint`](managed_identity_native_fuzz::endpoint).
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| managed_identity_native_fuzz::endpoint::check(data));
