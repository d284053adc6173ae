//! The binding: the only code that names napi.
//!
//! Its methods convert JavaScript values to owned Rust values in their first lines, and Rust values to records in their
//! last; in between they call the [`TokenClient`] and decide nothing. Failures cross as values, which the JavaScript layer
//! throws: a native exception is a bug. Every export catches panics, since a panic that reaches Node.js would end the
//! process.
#![allow(
    clippy::needless_pass_by_value,      // the macro passes owned values
    clippy::too_many_arguments,          // an argument crosses in a fraction of the time of a record's field
    clippy::trivially_copy_pass_by_ref,  // the macro passes `Env` by reference
    unreachable_pub                      // napi exports items that no Rust path reaches
)]
#![cfg_attr(test, allow(dead_code))] // a test build exports nothing to Node.js

mod application;
mod cache_plugin;
mod completions;
mod environment;
mod environment_teardown;
mod log_sink;
mod network_client;
mod node_roots;
mod observer;
mod runtime;
mod types;
mod untyped_value;

use std::sync::{Arc, LazyLock};

use napi::Result;
use napi::bindgen_prelude::Unknown;
use napi_derive::napi;

use self::types::JsFailure;
use crate::acquisition::TokenClient;
use crate::error::Code;
use crate::http::native_transport::NativeTransport;
use crate::options::identity;
use crate::platform::{Platform, RandomSource as _, SystemRandom, variable};
use crate::redaction::Redactor;
use crate::token::Secret;

/// The token client that all applications of this process share.
static TOKEN_CLIENT: LazyLock<Arc<TokenClient>> = LazyLock::new(|| {
    let platform = Platform::system();
    let native_transport = Arc::new(NativeTransport::new(platform.clone()));
    TokenClient::new(platform, native_transport, runtime::handle)
});

/// Returns the version of the package.
#[napi(catch_unwind)]
pub fn version() -> &'static str {
    env!("CARGO_PKG_VERSION")
}

/// Returns the names of the environment variables whose values `Environment` takes, in the same order.
#[napi(catch_unwind)]
pub fn environment_variables() -> Vec<&'static str> {
    variable::ALL.to_vec()
}

/// Returns every error code that this package defines.
#[napi(catch_unwind)]
pub fn error_codes() -> Vec<&'static str> {
    Code::ALL.to_vec()
}

/// Validates an id. Returns the failure if it is invalid; `name` is the option or variable that the failure names.
#[napi(catch_unwind)]
pub fn check_id(name: String, id: Option<Unknown<'_>>) -> Result<Option<JsFailure>> {
    let id = untyped_value::from_js(&id)?;
    Ok(identity::check_id(&name, &id).err().map(Into::into))
}

/// Removes secrets, in any encoding, and tokens from a text, and puts it on one line.
#[napi(catch_unwind)]
pub fn redact(text: String, secrets: Vec<String>) -> String {
    let secrets: Vec<_> = secrets.into_iter().map(Secret::new).collect();
    Redactor::new(&secrets).redact(&text, text.len())
}

/// Returns a number that changes whenever a memoized token may no longer be the cached one.
#[napi(catch_unwind)]
pub fn generation() -> u32 {
    TOKEN_CLIENT.generation()
}

/// Removes every cached token of the process.
#[napi(catch_unwind)]
pub fn clear_cache() {
    TOKEN_CLIENT.clear();
    completions::notify_cleared();
}

/// Removes the cached tokens of every endpoint on an origin, such as `http://127.0.0.1:8080`.
#[napi(catch_unwind)]
pub fn clear_origin(origin: String) {
    TOKEN_CLIENT.clear_origin(&origin);
}

/// Returns the first 30 characters of random GUIDs (version 4). The JavaScript layer counts in the last 6 characters.
#[napi(catch_unwind)]
pub fn correlation_id_prefix() -> String {
    let random_below = |limit: u32| {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "from 0 to below `limit`"
        )]
        let number = (SystemRandom.next_fraction() * f64::from(limit)) as u32;
        number
    };
    let (first, second, third) = (
        random_below(u32::MAX),
        random_below(0x1_0000),
        random_below(0x1000),
    );
    format!(
        "{first:08x}-{second:04x}-4{third:03x}-{:04x}-{:06x}",
        0x8000 + random_below(0x4000),
        random_below(0x100_0000)
    )
}
