//! libFuzzer's way into [`redaction`](managed_identity_native_fuzz::redaction).
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| managed_identity_native_fuzz::redaction::check(data));
