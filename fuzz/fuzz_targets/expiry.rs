//! libFuzzer's way into [`expiry`](managed_identity_native_fuzz::expiry).
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| managed_identity_native_fuzz::expiry::check(data));
