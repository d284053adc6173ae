//! libFuzzer's way into [`resource`](managed_identity_native_fuzz::resource).
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| managed_identity_native_fuzz::resource::check(data));
