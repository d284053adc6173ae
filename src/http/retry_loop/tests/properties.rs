//! A retry loop with random outcomes, against the retry table of docs/wire-protocol.md.

use proptest::prelude::*;

use super::*;
use crate::test_support::proptest::{config, paused};

/// The outcome of a request.
#[derive(Clone, Copy, Debug)]
enum Outcome {
    /// A status, and `Retry-After` in seconds.
    Status(u16, Option<u64>),
    Error(TransportErrorKind),
}

/// The endpoints that the table distinguishes.
#[derive(Clone, Copy, Debug)]
enum Host {
    ImdsDefault,
    ImdsConfigured,
    Other,
}

impl Host {
    fn policy(self) -> &'static RetryPolicy {
        match self {
            Self::ImdsDefault => &IMDS_DEFAULT,
            Self::ImdsConfigured => &IMDS_CONFIGURED,
            Self::Other => &DEFAULT,
        }
    }
}

fn outcome() -> impl Strategy<Value = Outcome> {
    const STATUSES: [u16; 13] = [200, 301, 400, 401, 404, 408, 410, 429, 500, 501, 502, 503, 599];
    use TransportErrorKind as Kind;
    const ERRORS: [TransportErrorKind; 14] = [
        Kind::ConnectionRefused,
        Kind::ConnectionReset,
        Kind::ConnectionClosed,
        Kind::ConnectTimeout,
        Kind::RequestTimeout,
        Kind::Unreachable,
        Kind::Local,
        Kind::NameResolution,
        Kind::Tls,
        Kind::ThumbprintMismatch,
        Kind::NotHttp,
        Kind::BodyTooLarge,
        Kind::CustomClient,
        Kind::InvalidRequest,
    ];
    let retry_after = prop_oneof![3 => Just(None), 1 => (0..100_u64).prop_map(Some)];
    prop_oneof![
        3 => (prop::sample::select(&STATUSES[..]), retry_after).prop_map(|(status, retry_after)| Outcome::Status(status, retry_after)),
        2 => prop::sample::select(&ERRORS[..]).prop_map(Outcome::Error),
        // More of these, so that limits are reached.
        2 => prop_oneof![
            Just(Outcome::Status(410, None)),
            Just(Outcome::Status(429, None)),
            Just(Outcome::Status(503, None)),
            Just(Outcome::Error(Kind::ConnectionRefused)),
        ],
    ]
}

/// The retry that the table allows: a delay in milliseconds, how much jitter it may have, and whether it must start within
/// ten seconds of the first attempt (a starting endpoint, except for the first retry).
struct Allowed {
    wait: u64,
    jitter: u64,
    starting: bool,
}

impl Allowed {
    /// A delay with jitter of up to 20 %.
    fn jittered(wait: u64, starting: bool) -> Self {
        Self {
            wait,
            jitter: wait / 5,
            starting,
        }
    }
}

/// The number of retries of each kind so far.
#[derive(Default)]
struct Tally {
    statuses: usize,
    starting: usize,
    lost: usize,
}

impl Tally {
    fn allows(&mut self, host: Host, outcome: Outcome) -> Option<Allowed> {
        use TransportErrorKind as Kind;
        let imds = !matches!(host, Host::Other);
        match outcome {
            Outcome::Status(status, retry_after) => {
                if (status, retry_after) == (429, None) {
                    let longest = *[2_000, 4_000, 8_000, 8_000, 8_000, 8_000, 8_000].get(self.statuses)?;
                    self.statuses += 1;
                    return Some(Allowed {
                        wait: 0,
                        jitter: longest,
                        starting: false,
                    });
                }
                let waits: &[u64] = match status {
                    410 if imds => &[10_000; 7],
                    404 | 408 | 429 | 500 | 502..=504 if !imds => &[1_000; 3],
                    404 | 408 | 429 | 500..=599 if imds => &[1_000, 2_000, 4_000],
                    _ => &[],
                };
                let wait = *waits.get(self.statuses)?;
                self.statuses += 1;
                let retry_after = retry_after.map(|seconds| seconds * 1_000);
                Some(match retry_after.filter(|retry_after| *retry_after >= wait) {
                    Some(retry_after) => Allowed {
                        wait: retry_after,
                        jitter: (retry_after / 5).max(1_000),
                        starting: false,
                    },
                    None => Allowed::jittered(wait, false),
                })
            }
            Outcome::Error(Kind::ConnectionRefused | Kind::ConnectionReset | Kind::ConnectionClosed)
                if !matches!(host, Host::ImdsDefault) =>
            {
                let wait = [250, 500, 1_000].get(self.starting).copied().unwrap_or(2_000);
                self.starting += 1;
                Some(Allowed::jittered(wait, self.starting > 1))
            }
            Outcome::Error(
                Kind::ConnectionRefused
                | Kind::ConnectionReset
                | Kind::ConnectionClosed
                | Kind::ConnectTimeout
                | Kind::RequestTimeout
                | Kind::Unreachable
                | Kind::Local
                | Kind::NameResolution,
            ) => {
                self.lost += 1;
                (self.lost == 1).then_some(Allowed::jittered(1_000, false))
            }
            Outcome::Error(_) => None,
        }
    }
}

/// Tolerance in milliseconds: Tokio's timers have a resolution of one millisecond and fire at its end.
const TICK: u128 = 2;

prop_compose! {
    fn conditions()(
        host in prop::sample::select(vec![Host::ImdsDefault, Host::ImdsConfigured, Host::Other]),
        fraction in prop_oneof![Just(0.0), 0.0..1.0, Just(0.999_999)],
        total in prop_oneof![1..3_000_u64, 1..120_000_u64, Just(600_000)],
        outcomes in prop::collection::vec(outcome(), 1..14),
    ) -> (Host, f64, u64, Vec<Outcome>) {
        (host, fraction, total, outcomes)
    }
}

/// A transport with these outcomes, the last of which repeats.
fn transport_of(outcomes: &[Outcome]) -> Arc<FakeTransport> {
    let outcomes = outcomes.to_vec();
    FakeTransport::scripted(move |nth, _| match outcomes[nth.min(outcomes.len() - 1)] {
        Outcome::Status(status, retry_after) => {
            let response = FakeResponse::new(status, "");
            match retry_after {
                Some(seconds) => response.retry_after(seconds.to_string()).into(),
                None => response.into(),
            }
        }
        Outcome::Error(kind) => kind.into(),
    })
}

async fn assert_follows_table(
    host: Host,
    fraction: f64,
    total: u64,
    outcomes: Vec<Outcome>,
) -> Result<(), TestCaseError> {
    let conditions = Conditions {
        fraction,
        total: Duration::from_millis(total),
        ..Conditions::of(host.policy())
    };
    let transport = transport_of(&outcomes);
    let started = Instant::now();
    let end = conditions.run(&transport).await;
    let (took, times) = (started.elapsed().as_millis(), transport.times(started));
    prop_assert_eq!(conditions.stats.attempts() as usize, times.len());
    prop_assert!(took <= u128::from(total) + TICK, "{took} ms of {total}");

    let mut tally = Tally::default();
    for (nth, at) in times.iter().enumerate() {
        let outcome = outcomes[nth.min(outcomes.len() - 1)];
        let allowed = tally.allows(host, outcome);
        let Some(next) = times.get(nth + 1) else {
            let left = u128::from(total).saturating_sub(*at);
            return assert_is_final(&end, outcome, allowed, fraction, (*at, left));
        };
        let Some(Allowed {
            wait,
            jitter,
            starting,
        }) = allowed
        else {
            return Err(TestCaseError::fail(format!(
                "a retry after {outcome:?} at {at} ms"
            )));
        };
        let (waited, wait) = (next - at, u128::from(wait));
        prop_assert!(
            waited >= wait,
            "{} ms instead of {} after {:?}",
            waited,
            wait,
            outcome
        );
        let longest = wait + u128::from(jitter) + TICK;
        prop_assert!(
            waited <= longest,
            "{} ms instead of {} after {:?}",
            waited,
            wait,
            outcome
        );
        prop_assert!(!starting || *next <= 10_000 + TICK, "starting at {} ms", next);
    }
    Err(TestCaseError::fail("nothing was sent"))
}

/// Asserts that the last outcome is the loop's, and that the table or the deadline allowed no retry. `over` and `left` are
/// the loop's elapsed and remaining time in milliseconds.
fn assert_is_final(
    end: &AttemptOutcome,
    outcome: Outcome,
    allowed: Option<Allowed>,
    fraction: f64,
    (over, left): (u128, u128),
) -> Result<(), TestCaseError> {
    match outcome {
        Outcome::Status(status, _) => prop_assert_eq!(status_of(end), Some(status)),
        Outcome::Error(kind) => prop_assert_eq!(error_kind_of(end), Some(kind)),
    }
    if let Some(Allowed {
        wait,
        jitter,
        starting,
    }) = allowed
    {
        let jitter = Duration::from_millis(jitter).mul_f64(fraction);
        let wait = (Duration::from_millis(wait) + jitter).as_millis() + TICK;
        prop_assert!(
            wait > left || starting && over + wait > 10_000,
            "gave up {outcome:?} after {over} ms, with {left} ms left for a wait of {wait}"
        );
    }
    Ok(())
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn random_responses_follow_the_retry_table_and_deadline((host, fraction, total, outcomes) in conditions()) {
        paused(assert_follows_table(host, fraction, total, outcomes))?;
    }

    #[test]
    fn disabled_retries_send_one_request_for_random_responses((_, fraction, total, outcomes) in conditions()) {
        let sent = paused(async {
            let conditions = Conditions {
                fraction,
                total: Duration::from_millis(total),
                ..Conditions::without_retries()
            };
            let transport = transport_of(&outcomes);
            conditions.run(&transport).await;
            transport.count()
        });
        prop_assert_eq!(sent, 1);
    }
}
