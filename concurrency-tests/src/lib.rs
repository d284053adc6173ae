//! The crate without its binding, on the locks, atomics and tasks of shuttle, for the tests in `coalescing`.
//!
//! shuttle runs every task on one thread and decides at each lock, each atomic and each wake-up who goes on: a
//! schedule. It draws thousands of them; one that fails is printed, and repeats itself exactly. Time is not modelled:
//! no timer fires, unless a test says so. `SCHEDULES=100000 cargo test` draws more of them than CI does.
#![allow(
    clippy::enum_variant_names,
    clippy::large_enum_variant,
    dead_code,
    unfulfilled_lint_expectations,
    unused_imports,
    reason = "the tests need only a part of the crate, whose lints are checked in the crate itself"
)]

include!(concat!(env!("OUT_DIR"), "/sources/modules.rs"));

#[cfg(test)]
mod coalescing;
#[cfg(test)]
mod harness;

/// What stands for `std::sync` in the copies.
mod sync {
    pub(crate) use std::sync::{OnceLock, PoisonError, mpsc};

    pub(crate) use shuttle::sync::{Arc, Mutex, MutexGuard, atomic};
}

/// Stands for the function of `platform::user`, which asks a socket. The tests have no directory whose owner is checked.
#[cfg(unix)]
fn effective_user_id() -> std::io::Result<u32> {
    Err(std::io::ErrorKind::Unsupported.into())
}
