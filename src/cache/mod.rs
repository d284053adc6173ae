//! The memory cache of a process, and persistent caches that outlive it.

mod file_cleanup;
pub mod file_store;
mod memory;
pub mod persistent;

pub use self::memory::{Cache, CacheKey, CachedToken, Lookup};
