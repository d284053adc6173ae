//! libFuzzer's way into [`answer`](managed_identity_native_fuzz::answer).
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| managed_identity_native_fuzz::answer::check(data));
