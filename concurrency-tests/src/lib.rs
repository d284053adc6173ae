//! The add-on's crate without its binding, compiled with the locks, atomics and tasks of shuttle, for the tests in
//! `coalescing`.
//!
//! shuttle runs every task on one thread and chooses the next task at each lock, atomic operation and wake-up. The sequence
//! of choices is a schedule. shuttle runs thousands of them; it prints a failing schedule, which can be replayed exactly.
//! Time is not modeled: a timer fires only if a test triggers it. `SCHEDULES=100000 cargo test` runs more schedules than CI.
#![allow(
    clippy::enum_variant_names,
    clippy::large_enum_variant,
    dead_code,
    unfulfilled_lint_expectations,
    unused_imports,
    reason = "the tests use only a part of the crate, and its lints are checked in the crate itself"
)]

include!(concat!(env!("OUT_DIR"), "/sources/modules.rs"));

#[cfg(test)]
mod coalescing;
#[cfg(test)]
mod harness;

/// Replaces `std::sync` in the copied sources.
mod sync {
    pub(crate) use std::sync::{OnceLock, PoisonError, mpsc};

    pub(crate) use shuttle::sync::{Arc, Mutex, MutexGuard, atomic};
}

/// Replaces the function of `platform::user`, which needs a socket. No test checks the owner of a directory.
#[cfg(unix)]
fn effective_user_id() -> std::io::Result<u32> {
    Err(std::io::ErrorKind::Unsupported.into())
}
