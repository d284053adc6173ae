//! Random fractions for jitter, not for secrets.

use std::hash::{BuildHasher, RandomState};

/// A source of random fractions.
pub trait RandomSource: Send + Sync {
    /// Returns a number from 0 (included) to 1 (excluded).
    fn next_fraction(&self) -> f64;
}

/// Random fractions, seeded by the operating system.
pub struct SystemRandom;

impl RandomSource for SystemRandom {
    fn next_fraction(&self) -> f64 {
        // Every `RandomState` has other keys, so the hash of `()` differs each time. The crate `fastrand` would be a
        // dependency more.
        fraction_of(RandomState::new().hash_one(()))
    }
}

/// Returns always the same fraction, for tests.
pub struct FixedRandom(pub f64);

impl RandomSource for FixedRandom {
    fn next_fraction(&self) -> f64 {
        self.0
    }
}

/// Maps a hash to a fraction from 0 (included) to 1 (excluded).
fn fraction_of(hash: u64) -> f64 {
    // 32 of its bits are enough for jitter and fit an f64 exactly.
    let high = u32::try_from(hash >> 32).unwrap_or_default();
    f64::from(high) / (f64::from(u32::MAX) + 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fractions_stay_in_range_and_vary() {
        let fractions: Vec<f64> = (0..100).map(|_| SystemRandom.next_fraction()).collect();
        assert!(fractions.iter().all(|fraction| (0.0..1.0).contains(fraction)));
        assert!(
            fractions
                .iter()
                .any(|fraction| (fraction - fractions[0]).abs() > f64::EPSILON)
        );
        assert!(fraction_of(u64::MAX) < 1.0);
    }
}
