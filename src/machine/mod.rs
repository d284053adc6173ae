//! The parts of the machine that this crate touches, in one bag that is cloned and handed down.
//!
//! Nothing below the binding asks the process for its environment, its time or its files: it asks
//! this bag, so that a test can hand down another one.

mod chance;
mod clock;
mod environment;
mod files;
mod folder;
mod memory;

use std::sync::Arc;

pub use self::chance::{Chance, Fixed, SystemChance};
pub use self::clock::{CallerClock, Clock, SystemClock, WallClocks};
pub use self::environment::{Environment, variable};
pub use self::files::{Files, ReadFault, SystemFiles};
pub use self::folder::{FolderFault, PrivateFolder};

/// Clock, files and chance of one machine.
#[derive(Clone)]
pub struct Machine {
    /// Wall time, for expiry.
    pub clock: Arc<dyn Clock>,
    /// The files of the host.
    pub files: Arc<dyn Files>,
    /// Random fractions, for jitter.
    pub chance: Arc<dyn Chance>,
}

impl Machine {
    /// The machine that this process runs on.
    pub fn real() -> Self {
        Self {
            clock: Arc::new(SystemClock),
            files: Arc::new(SystemFiles),
            chance: Arc::new(SystemChance),
        }
    }
}
