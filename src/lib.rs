//! Access tokens for Azure managed identities, for Node.js services.
//!
//! The layers, from the outside in; a module depends only on those below it:
//!
//! * [`binding`]: the only code that names napi. It converts values and decides nothing.
//! * [`acquisition`]: looks a token up, joins a request in flight or starts one, and stores the result.
//! * [`cache`]: tokens in memory and in persistent caches.
//! * [`source`]: detection and the wire format of each Azure token source, without side effects.
//! * [`http`]: the transport, the retry loop, and the limits of an endpoint.
//! * [`options`]: the options of an application and of a request, parsed.
//! * [`platform`]: environment, files, clock and randomness: the only code that touches the machine.
//! * [`token`], [`source_name`], [`error`], [`redaction`], [`log`], [`events`], [`metadata`]: the types that all share.
//!
//! Only JavaScript reads the process's environment; it is handed to each call.
#![deny(unsafe_code, missing_docs, unreachable_pub)]
#![warn(clippy::pedantic)]
#![allow(
    clippy::module_name_repetitions, // `ManagedIdentityError` must be called what msal-node calls it
    clippy::missing_errors_doc,      // every fallible function returns `Error`; its table says when
    clippy::must_use_candidate,      // noise on small accessors
    clippy::similar_names            // the wire's names are alike: expires_on, expires_in
)]
#![cfg_attr(test, allow(clippy::needless_pass_by_value))] // tables of owned test values read better

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
