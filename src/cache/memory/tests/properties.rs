//! The cache under any sequence of operations, against a model that is told in a few words.

use proptest::prelude::*;

use super::*;
use crate::test_support::proptest::{config, paused};

/// One thing that is done to the cache.
#[derive(Clone, Debug)]
enum Step {
    /// A flight of this number brings a token that lives for so many seconds.
    Store {
        key: usize,
        lifetime: u64,
        sequence: u64,
        spread: u64,
    },
    Find {
        key: usize,
    },
    /// So many refreshes fail, one after the other.
    Failed {
        key: usize,
        times: u32,
    },
    Forget {
        key: usize,
        sequence: u64,
    },
    Clear,
    /// So many seconds pass.
    Pass {
        seconds: u64,
    },
    /// The machine sleeps: only the wall clock goes on.
    Sleep {
        seconds: u64,
    },
    /// The wall clock is held back: only the other goes on.
    HoldBack {
        seconds: u64,
    },
}

const KEYS: usize = 2;

fn step() -> impl Strategy<Value = Step> {
    let key = || 0..KEYS;
    let sequence = || 1..6_u64;
    let lifetime = prop_oneof![1..400_u64, 7_000..20_000_u64, Just(86_400_u64)];
    let seconds = || prop_oneof![1..40_u64, 200..500_u64, 3_000..12_000_u64, 40_000..50_000_u64];
    prop_oneof![
        4 => (key(), lifetime, sequence(), 0..=300_u64)
            .prop_map(|(key, lifetime, sequence, spread)| Step::Store { key, lifetime, sequence, spread }),
        8 => key().prop_map(|key| Step::Find { key }),
        3 => (key(), 1..8_u32).prop_map(|(key, times)| Step::Failed { key, times }),
        1 => (key(), sequence()).prop_map(|(key, sequence)| Step::Forget { key, sequence }),
        1 => Just(Step::Clear),
        4 => seconds().prop_map(|seconds| Step::Pass { seconds }),
        1 => seconds().prop_map(|seconds| Step::Sleep { seconds }),
        1 => seconds().prop_map(|seconds| Step::HoldBack { seconds }),
    ]
}

/// What the model knows of a token, in seconds of its own clocks.
#[derive(Clone)]
struct Known {
    secret: String,
    sequence: u64,
    ends: u64,
    /// From when on it is refreshed behind callers, if it lives that long.
    stale: Option<u64>,
    /// By the wall clock, and by the other.
    attempted: (u64, u64),
    failures: u32,
}

/// A model of the cache that follows docs/api.md.
#[derive(Default)]
struct Model {
    tokens: [Option<Known>; KEYS],
    wall: u64,
    running: u64,
}

impl Model {
    fn find(&mut self, key: usize) -> (char, Option<String>) {
        let wall = self.wall;
        let Some(known) = self.tokens[key].clone().filter(|known| known.ends > wall) else {
            self.tokens[key] = None;
            return ('-', None);
        };
        let rested = (wall - known.attempted.0).max(self.running - known.attempted.1);
        // 30 seconds after the first failure, doubling, five minutes at most.
        let pause = match known.failures {
            0 => 0,
            1 => 30,
            2 => 60,
            3 => 120,
            4 => 240,
            _ => 300,
        };
        let left = known.ends - wall;
        let letter = match known.stale {
            _ if left < 300 && rested >= 30 => 'F',
            Some(stale) if left >= 300 && wall >= stale && rested >= pause => 'R',
            // A short token at the very beginning of its last five minutes.
            _ if left == 300 && rested >= pause => 'R',
            _ => 'S',
        };
        (letter, Some(known.secret))
    }

    fn store(&mut self, key: usize, known: Known) -> Option<bool> {
        let held = self.tokens[key].as_ref();
        if held.is_some_and(|held| held.sequence > known.sequence) {
            return None;
        }
        let replaced = held.is_some();
        self.tokens[key] = Some(known);
        Some(replaced)
    }

    fn forget(&mut self, key: usize, sequence: u64) -> bool {
        self.tokens[key]
            .take_if(|held| held.sequence <= sequence)
            .is_some()
    }
}

async fn follow(steps: Vec<Step>) -> Result<(), TestCaseError> {
    let keys: Vec<CacheKey> = (0..KEYS).map(|nth| key(&format!("https://{nth}"))).collect();
    let (mut cache, mut model) = (Cache::default(), Model::default());
    for (nth, step) in steps.into_iter().enumerate() {
        let now = START.saturating_add(seconds(model.wall));
        match step {
            Step::Store {
                key,
                lifetime,
                sequence,
                spread,
            } => {
                let secret = format!("t{nth}");
                let token = Token::new(
                    Secret::new(secret.clone()),
                    now,
                    now.saturating_add(seconds(lifetime)),
                );
                let stored = cache.insert(
                    keys[key].clone(),
                    Arc::new(token),
                    Some(sequence),
                    seconds(spread),
                    now,
                );
                // The half of an odd lifetime lies between two of the model's seconds.
                let stale = (lifetime > 7_200).then(|| model.wall + lifetime.div_ceil(2) + spread);
                let known = Known {
                    secret,
                    sequence,
                    ends: model.wall + lifetime,
                    stale,
                    attempted: (model.wall, model.running),
                    failures: 0,
                };
                prop_assert_eq!(stored, model.store(key, known), "step {}: store", nth);
            }
            Step::Find { key } => {
                let found = cache.lookup(&keys[key], now);
                let secret = found.token().map(|token| token.secret.expose_secret().to_owned());
                prop_assert_eq!((letter(&found), secret), model.find(key), "step {}: find", nth);
                prop_assert!(found.token().is_none_or(|token| token.expires_on > now));
            }
            Step::Failed { key, times } => {
                (0..times).for_each(|_| cache.record_refresh_failure(&keys[key], now));
                let clocks = (model.wall, model.running);
                if let Some(known) = &mut model.tokens[key] {
                    known.failures += times;
                    known.attempted = clocks;
                }
            }
            Step::Forget { key, sequence } => {
                let forgotten = cache.remove(&keys[key], sequence);
                prop_assert_eq!(forgotten, model.forget(key, sequence), "step {}: forget", nth);
            }
            Step::Clear => {
                cache.clear();
                model.tokens = Default::default();
            }
            Step::Pass { seconds: passed } => {
                advance(seconds(passed)).await;
                model.wall += passed;
                model.running += passed;
            }
            Step::Sleep { seconds: passed } => model.wall += passed,
            Step::HoldBack { seconds: passed } => {
                advance(seconds(passed)).await;
                model.running += passed;
            }
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn any_sequence_of_operations_follows_the_model(steps in prop::collection::vec(step(), 1..60)) {
        paused(follow(steps))?;
    }
}
