//! Acquisition of tokens: look into the cache, join or start a request, store the result.
//!
//! The [`TokenClient`] holds what the applications of a process share. The token cache and the in-flight requests are
//! behind one lock, so that "look up, join or start" and "store, remove" are each atomic. Nothing here names Node.js or
//! reads the environment: every call passes its own.

mod capabilities;
mod client;
mod clock_skew;
mod context;
mod fail_fast;
mod flush;
pub mod in_flight;
mod long_responses;
mod lookup;
pub mod outcome;
mod persistent_lookup;
mod presence;
pub mod probe;
mod reporting;
mod resource_aliases;
mod resource_check;
mod running_tasks;
mod source_files;
mod state;
mod store;
mod store_decision;
mod task;
mod trigger;
pub mod waiter;

pub use self::client::{RuntimeHandleFn, TokenClient};
pub use self::context::ApplicationContext;
pub use self::lookup::Acquisition;

#[cfg(test)]
mod tests;
