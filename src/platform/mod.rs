//! The parts of the machine that this crate touches, in one bag that is cloned and handed down.
//!
//! Nothing below the binding asks the process for its environment, its time or its files: it asks
//! this bag, so that a test can hand down another one.

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

/// Clock, files and chance of one machine, and the threads for what can block there.
#[derive(Clone)]
pub struct Platform {
    /// Wall time, for expiry.
    pub clock: Arc<dyn Clock>,
    /// The files of the host.
    pub files: Arc<dyn Files>,
    /// Random fractions, for jitter.
    pub random: Arc<dyn RandomSource>,
    /// Threads for calls that can block.
    pub blocking: BlockingPool,
}

impl Platform {
    /// The machine that this process runs on.
    pub fn system() -> Self {
        Self {
            clock: Arc::new(SystemClock),
            files: Arc::new(SystemFiles),
            random: Arc::new(SystemRandom),
            blocking: BlockingPool::default(),
        }
    }
}
