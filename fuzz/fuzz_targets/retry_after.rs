//! libFuzzer's way into [`retry_after`](managed_identity_native_fuzz::retry_after).
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| managed_identity_native_fuzz::retry_after::check(data));
