//! How property tests draw their cases: the same ones at every run, so that a failure repeats itself.
//!
//! `PROPTEST_RNG_SEED=7 PROPTEST_CASES=20000 cargo test properties` draws others, and more of them.

use std::future::Future;

use proptest::test_runner::{Config, RngSeed};
use tokio::runtime::Builder;

/// The usual number of cases, from one seed unless another is asked for.
pub(crate) fn config() -> Config {
    let asked_for = Config::default();
    let rng_seed = match asked_for.rng_seed {
        RngSeed::Random => RngSeed::Fixed(0),
        given @ RngSeed::Fixed(_) => given,
    };
    Config {
        rng_seed,
        // A seed and what the case has shrunk to are enough to repeat it.
        failure_persistence: None,
        ..asked_for
    }
}

/// Runs a case in paused time.
pub(crate) fn paused<T>(case: impl Future<Output = T>) -> T {
    let runtime = Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build();
    runtime
        .expect("no threads and no sockets are needed")
        .block_on(case)
}
