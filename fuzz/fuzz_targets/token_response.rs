//! libFuzzer's way into [`answer`](managed_identity_native_fuzz::token_response).
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| managed_identity_native_fuzz::token_response::check(data));
