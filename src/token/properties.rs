//! The freshness of random tokens at random times. The expected values are computed with 128 bits, which cannot overflow.

use proptest::prelude::*;

use super::*;
use crate::test_support::proptest::config;

const HOUR: i64 = 3_600_000;
const NEAR_EXPIRY: i128 = 300_000;

/// Usual timestamps, the limits of the type, and any others, in milliseconds.
fn instant() -> impl Strategy<Value = i64> {
    let now = 1_800_000_000_000_i64;
    prop_oneof![
        4 => now..now + 30 * HOUR,
        2 => prop::sample::select(vec![i64::MIN, i64::MIN + 1, -1, 0, 1, i64::MAX - 1, i64::MAX]),
        1 => any::<i64>(),
    ]
}

prop_compose! {
    /// When a token was received and when it expires: with any lifetime, and with those near a limit.
    fn token()(
        now in instant(),
        lifetime in prop_oneof![
            (0..30 * HOUR),
            (2 * HOUR - 3..2 * HOUR + 4),
            (0..11_i64).prop_map(|minutes| minutes * 60_000),
            any::<i64>(),
        ],
    ) -> (i64, i64) {
        (now, now.saturating_add(lifetime))
    }
}

fn jitter() -> impl Strategy<Value = Duration> {
    prop_oneof![
        8 => (0..=300_000_u64).prop_map(Duration::from_millis),
        1 => Just(Duration::MAX),
    ]
}

/// The times at which the freshness of a token can change, their neighbours, and any other one.
fn relevant_instants(token: (i64, i64), jitter: Duration, any: i64) -> Vec<i64> {
    let (now, end) = token;
    let half = i64::midpoint(now, end);
    let jitter = i64::try_from(jitter.as_millis()).unwrap_or(i64::MAX);
    let mut instants = vec![any];
    for instant in [
        now,
        half,
        half.saturating_add(jitter),
        end.saturating_sub(300_000),
        end,
    ] {
        instants.extend([instant.saturating_sub(1), instant, instant.saturating_add(1)]);
    }
    instants.sort_unstable();
    instants
}

fn rank(freshness: Freshness) -> u8 {
    match freshness {
        Freshness::Fresh => 0,
        Freshness::Stale => 1,
        Freshness::NearExpiry => 2,
        Freshness::Expired => 3,
    }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn freshness_advances_in_order_at_its_limits(
        (now, end) in token(),
        jitter in jitter(),
        any in instant(),
    ) {
        let token = Token::new(
            Secret::new("t".into()),
            Timestamp::from_millis(now),
            Timestamp::from_millis(end),
        );
        let instants = relevant_instants((now, end), jitter, any);
        let freshness: Vec<Freshness> = instants
            .iter()
            .map(|at| token.freshness(Timestamp::from_millis(*at), jitter))
            .collect();
        prop_assert!(freshness.is_sorted_by_key(|value| rank(*value)), "{instants:?} {freshness:?}");

        let refresh = token.refresh_on.map(|at| i128::from(at.millis()));
        let jitter = i128::try_from(jitter.as_millis()).expect("small enough");
        for (at, freshness) in instants.iter().map(|at| i128::from(*at)).zip(freshness) {
            let left = i128::from(end) - at;
            prop_assert_eq!(freshness == Freshness::Expired, left <= 0, "{} ms left", left);
            if left < NEAR_EXPIRY && left > 0 {
                prop_assert!(freshness != Freshness::Fresh, "fresh with {} ms left", left);
            }
            if left >= NEAR_EXPIRY {
                prop_assert!(freshness == Freshness::Fresh || freshness == Freshness::Stale, "{:?} with {} ms left", freshness, left);
            }
            if let Some(refresh) = refresh {
                prop_assert!(freshness != Freshness::Fresh || at < refresh + jitter, "fresh too long");
                prop_assert!(at >= refresh + jitter || left <= NEAR_EXPIRY || freshness == Freshness::Fresh, "stale too soon");
            } else {
                prop_assert!(left <= NEAR_EXPIRY || freshness == Freshness::Fresh, "stale too soon");
            }
        }
    }

    #[test]
    fn refresh_on_is_half_of_any_lifetime_over_2h((now, end) in token()) {
        let token = Token::new(
            Secret::new("t".into()),
            Timestamp::from_millis(now),
            Timestamp::from_millis(end),
        );
        // A lifetime saturates at i64::MAX milliseconds.
        let lifetime = (i128::from(end) - i128::from(now)).min(i128::from(i64::MAX));
        let half = (lifetime > i128::from(2 * HOUR)).then_some(i128::from(now) + lifetime / 2);
        prop_assert_eq!(token.refresh_on.map(|at| i128::from(at.millis())), half);
    }

    #[test]
    fn timestamps_saturate(at in instant(), other in instant(), millis in any::<u64>()) {
        let (instant, duration) = (Timestamp::from_millis(at), Duration::from_millis(millis));
        let clamped = |exact: i128| {
            i64::try_from(exact.clamp(i64::MIN.into(), i64::MAX.into())).expect("clamped")
        };
        // A duration saturates at i64::MAX milliseconds.
        let exact = i128::from(millis.min(i64::MAX as u64));
        prop_assert_eq!(instant.saturating_add(duration).millis(), clamped(i128::from(at) + exact));
        prop_assert_eq!(instant.saturating_sub(duration).millis(), clamped(i128::from(at) - exact));
        let since = (i128::from(at) - i128::from(other)).clamp(0, i64::MAX.into());
        prop_assert_eq!(
            i128::try_from(instant.saturating_duration_since(Timestamp::from_millis(other)).as_millis()).expect("small"),
            since
        );
        let seconds = clamped(i128::from(at) * 1_000);
        prop_assert_eq!(Timestamp::from_secs(at).millis(), seconds);
    }
}
