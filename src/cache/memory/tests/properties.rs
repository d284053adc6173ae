//! The memory cache under any sequence of operations, compared with a simple model.

use proptest::prelude::*;

use super::*;
use crate::test_support::proptest::{config, paused};

/// One operation. Durations are in seconds.
#[derive(Clone, Debug)]
enum Step {
    /// Stores the token of the request with this number.
    Insert {
        key: usize,
        lifetime: u64,
        sequence: u64,
        jitter: u64,
    },
    Lookup {
        key: usize,
    },
    /// Records this many failed refreshes in a row.
    RecordFailures {
        key: usize,
        times: u32,
    },
    Remove {
        key: usize,
        sequence: u64,
    },
    Clear,
    /// Advances both clocks.
    Advance {
        seconds: u64,
    },
    /// Advances only the wall clock, as if the machine were suspended.
    Suspend {
        seconds: u64,
    },
    /// Advances only the monotonic clock, as if the wall clock were set back.
    HoldWallClock {
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
            .prop_map(|(key, lifetime, sequence, jitter)| Step::Insert { key, lifetime, sequence, jitter }),
        8 => key().prop_map(|key| Step::Lookup { key }),
        3 => (key(), 1..8_u32).prop_map(|(key, times)| Step::RecordFailures { key, times }),
        1 => (key(), sequence()).prop_map(|(key, sequence)| Step::Remove { key, sequence }),
        1 => Just(Step::Clear),
        4 => seconds().prop_map(|seconds| Step::Advance { seconds }),
        1 => seconds().prop_map(|seconds| Step::Suspend { seconds }),
        1 => seconds().prop_map(|seconds| Step::HoldWallClock { seconds }),
    ]
}

/// A token of the model. Times are in seconds of the model's clocks.
#[derive(Clone)]
struct ModelToken {
    secret: String,
    sequence: u64,
    expires: u64,
    /// When the token is due for a refresh in the background, if it lives that long.
    stale: Option<u64>,
    /// The time of the last attempt by the wall clock and by the monotonic clock.
    attempted: (u64, u64),
    failures: u32,
}

/// A model of the cache that follows docs/api.md.
#[derive(Default)]
struct Model {
    tokens: [Option<ModelToken>; KEYS],
    wall: u64,
    monotonic: u64,
}

impl Model {
    fn lookup(&mut self, key: usize) -> (char, Option<String>) {
        let wall = self.wall;
        let Some(model_token) = self.tokens[key]
            .clone()
            .filter(|model_token| model_token.expires > wall)
        else {
            self.tokens[key] = None;
            return ('-', None);
        };
        let elapsed = (wall - model_token.attempted.0).max(self.monotonic - model_token.attempted.1);
        // 30 seconds after the first failure, doubling up to five minutes.
        let backoff = match model_token.failures {
            0 => 0,
            1 => 30,
            2 => 60,
            3 => 120,
            4 => 240,
            _ => 300,
        };
        let left = model_token.expires - wall;
        let letter = match model_token.stale {
            _ if left < 300 && elapsed >= 30 => 'F',
            Some(stale) if left >= 300 && wall >= stale && elapsed >= backoff => 'R',
            // A token that is too short-lived for a refresh time is due from 300 seconds before its expiry.
            _ if left == 300 && elapsed >= backoff => 'R',
            _ => 'S',
        };
        (letter, Some(model_token.secret))
    }

    fn insert(&mut self, key: usize, model_token: ModelToken) -> Option<bool> {
        let cached = self.tokens[key].as_ref();
        if cached.is_some_and(|cached| cached.sequence > model_token.sequence) {
            return None;
        }
        let replaced = cached.is_some();
        self.tokens[key] = Some(model_token);
        Some(replaced)
    }

    fn remove(&mut self, key: usize, sequence: u64) -> bool {
        self.tokens[key]
            .take_if(|cached| cached.sequence <= sequence)
            .is_some()
    }
}

async fn run_steps(steps: Vec<Step>) -> Result<(), TestCaseError> {
    let keys: Vec<CacheKey> = (0..KEYS).map(|nth| key(&format!("https://{nth}"))).collect();
    let (mut cache, mut model) = (Cache::default(), Model::default());
    for (nth, step) in steps.into_iter().enumerate() {
        let now = START.saturating_add(seconds(model.wall));
        match step {
            Step::Insert {
                key,
                lifetime,
                sequence,
                jitter,
            } => {
                let secret = format!("t{nth}");
                let token = Token::new(
                    Secret::new(secret.clone()),
                    now,
                    now.saturating_add(seconds(lifetime)),
                );
                let inserted = cache.insert(
                    keys[key].clone(),
                    Arc::new(token),
                    Some(sequence),
                    seconds(jitter),
                    now,
                );
                // Half of an odd lifetime is not a whole second, which the model needs.
                let stale = (lifetime > 7_200).then(|| model.wall + lifetime.div_ceil(2) + jitter);
                let model_token = ModelToken {
                    secret,
                    sequence,
                    expires: model.wall + lifetime,
                    stale,
                    attempted: (model.wall, model.monotonic),
                    failures: 0,
                };
                prop_assert_eq!(inserted, model.insert(key, model_token), "step {}: insert", nth);
            }
            Step::Lookup { key } => {
                let found = cache.lookup(&keys[key], now);
                let secret = found.token().map(|token| token.secret.expose_secret().to_owned());
                prop_assert_eq!(
                    (lookup_letter(&found), secret),
                    model.lookup(key),
                    "step {}: lookup",
                    nth
                );
                prop_assert!(found.token().is_none_or(|token| token.expires_on > now));
            }
            Step::RecordFailures { key, times } => {
                (0..times).for_each(|_| cache.record_refresh_failure(&keys[key], now));
                let clocks = (model.wall, model.monotonic);
                if let Some(model_token) = &mut model.tokens[key] {
                    model_token.failures += times;
                    model_token.attempted = clocks;
                }
            }
            Step::Remove { key, sequence } => {
                let removed = cache.remove(&keys[key], sequence);
                prop_assert_eq!(removed, model.remove(key, sequence), "step {}: remove", nth);
            }
            Step::Clear => {
                cache.clear();
                model.tokens = Default::default();
            }
            Step::Advance { seconds: passed } => {
                advance(seconds(passed)).await;
                model.wall += passed;
                model.monotonic += passed;
            }
            Step::Suspend { seconds: passed } => model.wall += passed,
            Step::HoldWallClock { seconds: passed } => {
                advance(seconds(passed)).await;
                model.monotonic += passed;
            }
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn any_sequence_of_operations_follows_the_model(steps in prop::collection::vec(step(), 1..60)) {
        paused(run_steps(steps))?;
    }
}
