//! The Node room: the only place that knows napi.
//!
//! Its methods turn JavaScript values into owned Rust values in their first lines and Rust values
//! into records in their last; in between they call the [`TokenClient`] and decide nothing. Failures of
//! the domain cross as values, and the face (index.js) throws them: a native exception is a bug.
//! Every export catches panics, since one that reaches Node.js would end the process.
#![allow(
    clippy::needless_pass_by_value,      // what the macro hands over is owned
    clippy::too_many_arguments,          // each crosses in a fraction of the time of a record's field
    clippy::trivially_copy_pass_by_ref,  // `Env` is handed over by reference
    unreachable_pub                      // napi exports what no Rust path reaches
)]
#![cfg_attr(test, allow(dead_code))] // a test build exports nothing to Node.js

mod application;
mod cache_plugin;
mod completions;
mod environment;
mod environment_end;
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

/// What all applications of this process share.
static TOKEN_CLIENT: LazyLock<Arc<TokenClient>> = LazyLock::new(|| {
    let platform = Platform::system();
    let native = Arc::new(NativeTransport::new(platform.clone()));
    TokenClient::new(platform, native, runtime::handle)
});

/// The version of the package.
#[napi(catch_unwind)]
pub fn version() -> &'static str {
    env!("CARGO_PKG_VERSION")
}

/// The names of the environment variables that are to be handed down, in their order.
#[napi(catch_unwind)]
pub fn environment_variables() -> Vec<&'static str> {
    variable::ALL.to_vec()
}

/// Every error code of this package's own.
#[napi(catch_unwind)]
pub fn error_codes() -> Vec<&'static str> {
    Code::ALL.to_vec()
}

/// What is wrong with an id, if anything; `name` says where it came from.
#[napi(catch_unwind)]
pub fn check_id(name: String, id: Option<Unknown<'_>>) -> Result<Option<JsFailure>> {
    let id = untyped_value::from_js(&id)?;
    Ok(identity::check_id(&name, &id).err().map(Into::into))
}

/// A text in one line without these secrets, however they are encoded, and without tokens.
#[napi(catch_unwind)]
pub fn redact(text: String, secrets: Vec<String>) -> String {
    let secrets: Vec<_> = secrets.into_iter().map(Secret::new).collect();
    Redactor::new(&secrets).redact(&text, text.len())
}

/// Changes whenever a remembered token may no longer be the cached one.
#[napi(catch_unwind)]
pub fn generation() -> u32 {
    TOKEN_CLIENT.generation()
}

/// Forgets every cached token of the process.
#[napi(catch_unwind)]
pub fn clear_cache() {
    TOKEN_CLIENT.clear();
    completions::notify_cleared();
}

/// The first 30 characters of GUIDs (version 4) that nobody else uses; the face counts the last 6.
#[napi(catch_unwind)]
pub fn correlation_id_prefix() -> String {
    let draw = |most: u32| {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "from 0 to below `most`"
        )]
        let drawn = (SystemRandom.next_fraction() * f64::from(most)) as u32;
        drawn
    };
    let (first, second, third) = (draw(u32::MAX), draw(0x1_0000), draw(0x1000));
    format!(
        "{first:08x}-{second:04x}-4{third:03x}-{:04x}-{:06x}",
        0x8000 + draw(0x4000),
        draw(0x100_0000)
    )
}
