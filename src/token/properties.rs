//! The ages of a token at whatever instants; the oracle counts in 128 bits, where nothing overflows.

use proptest::prelude::*;

use super::*;
use crate::test_support::proptest::config;

const HOUR: i64 = 3_600_000;
const NEARLY: i128 = 300_000;

/// Milliseconds around which something changes, and any others.
fn instant() -> impl Strategy<Value = i64> {
    let now = 1_800_000_000_000_i64;
    prop_oneof![
        4 => now..now + 30 * HOUR,
        2 => prop::sample::select(vec![i64::MIN, i64::MIN + 1, -1, 0, 1, i64::MAX - 1, i64::MAX]),
        1 => any::<i64>(),
    ]
}

prop_compose! {
    /// When a token came, and when it ends: of any lifetime, and near the lengths at which rules change.
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

fn spread() -> impl Strategy<Value = Duration> {
    prop_oneof![
        8 => (0..=300_000_u64).prop_map(Duration::from_millis),
        1 => Just(Duration::MAX),
    ]
}

/// The instants that matter to a token, and those beside them.
fn near(token: (i64, i64), spread: Duration, any: i64) -> Vec<i64> {
    let (now, end) = token;
    let half = i64::midpoint(now, end);
    let spread = i64::try_from(spread.as_millis()).unwrap_or(i64::MAX);
    let mut instants = vec![any];
    for instant in [
        now,
        half,
        half.saturating_add(spread),
        end.saturating_sub(300_000),
        end,
    ] {
        instants.extend([instant.saturating_sub(1), instant, instant.saturating_add(1)]);
    }
    instants.sort_unstable();
    instants
}

fn rank(age: Freshness) -> u8 {
    match age {
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
        spread in spread(),
        any in instant(),
    ) {
        let token = Token::new(
            Secret::new("t".into()),
            Timestamp::from_millis(now),
            Timestamp::from_millis(end),
        );
        let instants = near((now, end), spread, any);
        let ages: Vec<Freshness> = instants
            .iter()
            .map(|at| token.freshness(Timestamp::from_millis(*at), spread))
            .collect();
        prop_assert!(ages.is_sorted_by_key(|age| rank(*age)), "{instants:?} {ages:?}");

        let refresh = token.refresh_on.map(|at| i128::from(at.millis()));
        let spread = i128::try_from(spread.as_millis()).expect("small enough");
        for (at, age) in instants.iter().map(|at| i128::from(*at)).zip(ages) {
            let left = i128::from(end) - at;
            prop_assert_eq!(age == Freshness::Expired, left <= 0, "{} ms left", left);
            if left < NEARLY && left > 0 {
                prop_assert!(age != Freshness::Fresh, "fresh with {} ms left", left);
            }
            if left >= NEARLY {
                prop_assert!(age == Freshness::Fresh || age == Freshness::Stale, "{:?} with {} ms left", age, left);
            }
            if let Some(refresh) = refresh {
                prop_assert!(age != Freshness::Fresh || at < refresh + spread, "fresh too long");
                prop_assert!(at >= refresh + spread || left <= NEARLY || age == Freshness::Fresh, "stale too soon");
            } else {
                prop_assert!(left <= NEARLY || age == Freshness::Fresh, "stale too soon");
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
        // A lifetime of over 292 million years is cut to that.
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
        // A duration of over 292 million years is cut to that.
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
