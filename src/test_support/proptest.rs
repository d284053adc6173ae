//! The configuration of property tests. Every run has the same cases, so that a failure can be reproduced.
//!
//! `PROPTEST_RNG_SEED=7 PROPTEST_CASES=20000 cargo test properties` runs other cases, and more of them.

use std::future::Future;

use proptest::test_runner::{Config, RngSeed};
use tokio::runtime::Builder;

/// Returns proptest's configuration of the environment, with a fixed seed unless the environment sets one.
pub(crate) fn config() -> Config {
    let from_environment = Config::default();
    let rng_seed = match from_environment.rng_seed {
        RngSeed::Random => RngSeed::Fixed(0),
        fixed @ RngSeed::Fixed(_) => fixed,
    };
    Config {
        rng_seed,
        // The seed and the printed minimal case are enough to reproduce a failure.
        failure_persistence: None,
        ..from_environment
    }
}

/// Runs a case on a runtime with paused time.
pub(crate) fn paused<T>(case: impl Future<Output = T>) -> T {
    let runtime = Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build();
    runtime
        .expect("no threads and no sockets are needed")
        .block_on(case)
}
