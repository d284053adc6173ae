//! Access tokens for Azure managed identities: the native add-on of a Node.js package.
//!
//! The layers, from the top down. A module depends only on those below it:
//!
//! * [`binding`]: the only code that names napi. It converts values and decides nothing.
//! * [`acquisition`]: looks up a token, joins an in-flight request or starts one, and stores the result.
//! * [`cache`]: the memory cache and the persistent cache.
//! * [`source`]: the detection and the wire format of each token source, without side effects.
//! * [`http`]: the transport, the retry loop, and the limits of each endpoint.
//! * [`options`]: the parsed options of an application and of a request.
//! * [`platform`]: environment, files, clock and randomness; the only code that accesses the operating system.
//! * [`token`], [`source_name`], [`error`], [`redaction`], [`log`], [`events`], [`metadata`]: types that all layers share.
//!
//! Only JavaScript reads the process's environment. It passes a snapshot to each call.
#![deny(unsafe_code, missing_docs, unreachable_pub)]
#![warn(clippy::pedantic)]
#![allow(
    clippy::module_name_repetitions, // msal-node's names repeat the module's, such as `ManagedIdentityError`
    clippy::missing_errors_doc,      // every fallible function returns `Error`, whose codes are documented once
    clippy::must_use_candidate,      // the attribute would only clutter small accessors
    clippy::similar_names            // names of the wire format are similar: expires_on, expires_in
)]
#![cfg_attr(test, allow(clippy::needless_pass_by_value))] // tables with owned values are easier to read

pub mod acquisition;
pub mod binding;
pub mod cache;
mod encoding;
pub mod error;
pub mod events;
pub mod http;
mod locking;
pub mod log;
pub mod metadata;
pub mod options;
pub mod platform;
pub mod redaction;
pub mod source;
pub mod source_name;
#[cfg(test)]
mod test_support;
pub mod token;
