//! Access tokens for Azure managed identities, for Node.js services.
//!
//! The map of the house, from the front door inwards:
//!
//! * [`binding`]: the Node room. The only place that knows napi; it converts and decides nothing.
//! * [`application`]: the use case in one screen: validate, cache, source, store.
//! * [`config`], [`request`], [`identity`], [`resource`]: what was asked for, in types that cannot be wrong.
//! * [`token`]: the secret string, the token, and the arithmetic of its ages.
//! * [`error`]: the one error type and the one table of codes.
//! * [`cache`]: the key, the stored tokens, and the single flight.
//! * [`source`]: how each Azure host hands out tokens; one file per host, pure functions.
//! * [`http`]: the transport, the one loop that sends, retries and times out.
//! * [`redaction`]: the words of others, made fit to be read.
//! * [`log`], [`events`], [`metadata`]: what is told of an acquisition: lines, events, figures.
//! * [`availability`](application::availability): whether there is a managed identity at all, without asking for a token.
//! * [`machine`]: environment, files, clock: the only room that touches the real machine.
//!
//! Nothing below `binding` reads the process's environment, and nothing outside it names Node.
#![deny(unsafe_code, missing_docs, unreachable_pub)]
#![warn(clippy::pedantic)]
#![allow(
    clippy::module_name_repetitions, // `ManagedIdentityError` must be called what msal-node calls it
    clippy::missing_errors_doc,      // every fallible function returns `Error`; its table says when
    clippy::must_use_candidate,      // noise on small accessors
    clippy::similar_names            // the wire's names are alike: expires_on, expires_in
)]
#![cfg_attr(test, allow(clippy::needless_pass_by_value))] // tables of owned test values read better

pub mod application;
pub mod binding;
pub mod cache;
pub mod config;
pub mod error;
pub mod events;
#[cfg(test)]
mod fakes;
pub mod http;
pub mod identity;
pub mod log;
pub mod machine;
pub mod metadata;
#[cfg(test)]
mod properties;
pub mod redaction;
pub mod request;
pub mod resource;
pub mod source;
pub mod token;
