//! The operating system: environment, clock, files, randomness and blocking threads.
//!
//! The rest of the crate uses these only through [`Platform`] and [`Environment`], which are passed down from the binding,
//! so that tests can replace them. clippy.toml enforces it.

mod blocking;
mod clock;
mod directory_error;
mod environment;
mod files;
mod last_certificates;
mod node_roots;
mod private_dir;
mod random;
#[cfg(unix)]
mod safe_path;
#[cfg(unix)]
mod user;
mod zeroizing_allocator;

use std::sync::Arc;

pub use self::blocking::{BlockingPool, MAX_BLOCKING_THREADS};
pub use self::clock::{Clock, SystemClock};
pub use self::directory_error::DirectoryError;
pub use self::environment::{Environment, variable};
pub use self::files::{Files, ReadError, SystemFiles};
pub use self::last_certificates::LastCertificates;
pub use self::node_roots::{NodeRoots, NodeRootsReader, Pem};
pub use self::private_dir::{CheckedDirectory, PrivateDirectory};
pub use self::random::{FixedRandom, RandomSource, SystemRandom};

/// Clock, files, randomness and blocking threads. Clones share the threads.
#[derive(Clone)]
pub struct Platform {
    /// The wall clock, for the expiry of tokens.
    pub clock: Arc<dyn Clock>,
    /// The files of the machine.
    pub files: Arc<dyn Files>,
    /// Random fractions, for jitter.
    pub random: Arc<dyn RandomSource>,
    /// The threads for blocking calls.
    pub blocking: BlockingPool,
}

impl Platform {
    /// Returns the platform that this process runs on.
    pub fn system() -> Self {
        Self {
            clock: Arc::new(SystemClock),
            files: Arc::new(SystemFiles),
            random: Arc::new(SystemRandom),
            blocking: BlockingPool::default(),
        }
    }
}
