//! A series of requests that meets any sequence of answers and faults, against the table of retries as
//! it stands in the wire contract.

use proptest::prelude::*;

use super::*;
use crate::test_support::proptest::{config, paused};

/// What a request meets.
#[derive(Clone, Copy, Debug)]
enum Met {
    /// A status, and `Retry-After` in seconds.
    Status(u16, Option<u64>),
    Fault(TransportErrorKind),
}

/// The hosts that the table tells apart.
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

fn met() -> impl Strategy<Value = Met> {
    const STATUSES: [u16; 13] = [200, 301, 400, 401, 404, 408, 410, 429, 500, 501, 502, 503, 599];
    use TransportErrorKind as F;
    const FAULTS: [TransportErrorKind; 14] = [
        F::ConnectionRefused,
        F::ConnectionReset,
        F::ConnectionClosed,
        F::ConnectTimeout,
        F::RequestTimeout,
        F::Unreachable,
        F::Local,
        F::NameResolution,
        F::Tls,
        F::ThumbprintMismatch,
        F::NotHttp,
        F::BodyTooLarge,
        F::CustomClient,
        F::InvalidRequest,
    ];
    let asked_for = prop_oneof![3 => Just(None), 1 => (0..100_u64).prop_map(Some)];
    prop_oneof![
        3 => (prop::sample::select(&STATUSES[..]), asked_for).prop_map(|(status, asked_for)| Met::Status(status, asked_for)),
        2 => prop::sample::select(&FAULTS[..]).prop_map(Met::Fault),
        // Long runs of the same, so that budgets end.
        2 => prop_oneof![
            Just(Met::Status(410, None)),
            Just(Met::Status(429, None)),
            Just(Met::Status(503, None)),
            Just(Met::Fault(F::ConnectionRefused)),
        ],
    ]
}

/// What the table allows after something was met: a wait in milliseconds, by how much it may be longer, and whether it
/// holds only within ten seconds of the first try.
struct Allowed {
    wait: u64,
    jitter: u64,
    starting: bool,
}

impl Allowed {
    /// With a jitter of up to a fifth.
    fn jittered(wait: u64, starting: bool) -> Self {
        Self {
            wait,
            jitter: wait / 5,
            starting,
        }
    }
}

/// How many retries of each sort there were.
#[derive(Default)]
struct Tally {
    statuses: usize,
    starting: usize,
    lost: usize,
}

impl Tally {
    fn allows(&mut self, host: Host, met: Met) -> Option<Allowed> {
        use TransportErrorKind as F;
        let imds = !matches!(host, Host::Other);
        match met {
            Met::Status(status, asked_for) => {
                if (status, asked_for) == (429, None) {
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
                let asked_for = asked_for.map(|seconds| seconds * 1_000);
                Some(match asked_for.filter(|asked_for| *asked_for >= wait) {
                    Some(asked_for) => Allowed {
                        wait: asked_for,
                        jitter: (asked_for / 5).max(1_000),
                        starting: false,
                    },
                    None => Allowed::jittered(wait, false),
                })
            }
            Met::Fault(F::ConnectionRefused | F::ConnectionReset | F::ConnectionClosed)
                if !matches!(host, Host::ImdsDefault) =>
            {
                let wait = [250, 500, 1_000].get(self.starting).copied().unwrap_or(2_000);
                self.starting += 1;
                Some(Allowed::jittered(wait, true))
            }
            Met::Fault(
                F::ConnectionRefused
                | F::ConnectionReset
                | F::ConnectionClosed
                | F::ConnectTimeout
                | F::RequestTimeout
                | F::Unreachable
                | F::Local
                | F::NameResolution,
            ) => {
                self.lost += 1;
                (self.lost == 1).then_some(Allowed::jittered(1_000, false))
            }
            Met::Fault(_) => None,
        }
    }
}

/// Tokio's timers go by whole milliseconds and fire at the end of one.
const TICK: u128 = 2;

prop_compose! {
    fn conditions()(
        host in prop::sample::select(vec![Host::ImdsDefault, Host::ImdsConfigured, Host::Other]),
        fraction in prop_oneof![Just(0.0), 0.0..1.0, Just(0.999_999)],
        total in prop_oneof![1..3_000_u64, 1..120_000_u64, Just(600_000)],
        met in prop::collection::vec(met(), 1..14),
    ) -> (Host, f64, u64, Vec<Met>) {
        (host, fraction, total, met)
    }
}

/// A network that plays this, and the last of it for ever.
fn playing(met: &[Met]) -> Arc<FakeTransport> {
    let met = met.to_vec();
    FakeTransport::scripted(move |nth, _| match met[nth.min(met.len() - 1)] {
        Met::Status(status, asked_for) => {
            let reply = FakeResponse::new(status, "");
            match asked_for {
                Some(seconds) => reply.retry_after(seconds.to_string()).into(),
                None => reply.into(),
            }
        }
        Met::Fault(kind) => kind.into(),
    })
}

async fn follow(host: Host, fraction: f64, total: u64, met: Vec<Met>) -> Result<(), TestCaseError> {
    let conditions = Conditions {
        fraction,
        total: Duration::from_millis(total),
        ..Conditions::of(host.policy())
    };
    let transport = playing(&met);
    let started = Instant::now();
    let end = conditions.run(&transport).await;
    let (took, times) = (started.elapsed().as_millis(), transport.times(started));
    prop_assert_eq!(conditions.progress.attempts() as usize, times.len());
    prop_assert!(took <= u128::from(total) + TICK, "{took} ms of {total}");

    let mut tally = Tally::default();
    for (nth, at) in times.iter().enumerate() {
        let met = met[nth.min(met.len() - 1)];
        let allowed = tally.allows(host, met);
        let Some(next) = times.get(nth + 1) else {
            let left = u128::from(total).saturating_sub(*at);
            return assert_is_the_end(&end, met, allowed, fraction, (*at, left));
        };
        let Some(Allowed {
            wait,
            jitter,
            starting,
        }) = allowed
        else {
            return Err(TestCaseError::fail(format!("a retry after {met:?} at {at} ms")));
        };
        let (waited, wait) = (next - at, u128::from(wait));
        prop_assert!(
            waited >= wait,
            "{} ms instead of {} after {:?}",
            waited,
            wait,
            met
        );
        let longest = wait + u128::from(jitter) + TICK;
        prop_assert!(
            waited <= longest,
            "{} ms instead of {} after {:?}",
            waited,
            wait,
            met
        );
        prop_assert!(!starting || *next <= 10_000 + TICK, "starting at {} ms", next);
    }
    Err(TestCaseError::fail("nothing was sent"))
}

/// The last answer is the retry loop's, and it was the last for a reason: of its time, so much was over and
/// so much was left, in milliseconds.
fn assert_is_the_end(
    end: &AttemptOutcome,
    met: Met,
    allowed: Option<Allowed>,
    fraction: f64,
    (over, left): (u128, u128),
) -> Result<(), TestCaseError> {
    match met {
        Met::Status(status, _) => prop_assert_eq!(status_of(end), Some(status)),
        Met::Fault(kind) => prop_assert_eq!(fault_of(end), Some(kind)),
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
            "gave up {met:?} after {over} ms, with {left} ms left for a wait of {wait}"
        );
    }
    Ok(())
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn random_responses_follow_the_retry_table_and_deadline((host, fraction, total, met) in conditions()) {
        paused(follow(host, fraction, total, met))?;
    }

    #[test]
    fn disabled_retries_send_one_request_for_random_responses((_, fraction, total, met) in conditions()) {
        let sent = paused(async {
            let conditions = Conditions {
                fraction,
                total: Duration::from_millis(total),
                ..Conditions::without_retries()
            };
            let transport = playing(&met);
            conditions.run(&transport).await;
            transport.count()
        });
        prop_assert_eq!(sent, 1);
    }
}
