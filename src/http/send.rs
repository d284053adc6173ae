//! The one loop that sends, retries and times out.
//!
//! It follows a [`Policy`] as data, passes the endpoint's [`Gate`], and knows nothing of tokens. What
//! to answer to a challenge is asked of whoever called. Each retry starts from the first request, so
//! that a challenge's key is read anew.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, sleep, timeout};

use super::gate::Gate;
use super::retry::{Budget, Policy, Wait, retry_after};
use super::{Fault, FaultKind, Request, Response, Transport};
use crate::error::Error;
use crate::machine::Machine;

/// Every wait is longer by up to this share of it, so that a fleet does not ask in step.
const JITTER: f64 = 0.2;
const TOO_MANY_REQUESTS: u16 = 429;
/// How an identity that is not found is asked for again, by callers who expect it to appear.
const ASSIGNING: Wait = Wait::Doubling(Duration::from_secs(1), Duration::from_secs(10));

/// When the last of those who wait gives up; others who join can put it off.
#[derive(Debug)]
pub struct Deadline(Mutex<Instant>);

impl Deadline {
    /// This long from now.
    pub fn within(total: Duration) -> Self {
        Self(Mutex::new(Instant::now() + total))
    }

    /// Not before this long from now.
    pub fn put_off(&self, total: Duration) {
        let mut at = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *at = at.max(Instant::now() + total);
    }

    /// The instant.
    pub fn at(&self) -> Instant {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How much time is left.
    pub fn left(&self) -> Duration {
        self.at().saturating_duration_since(Instant::now())
    }

    fn holds(&self, wait: Duration) -> bool {
        wait <= self.left()
    }
}

/// What a chain of requests has done so far, for those who give up on it.
#[derive(Debug, Default)]
pub struct Progress {
    attempts: AtomicU32,
    in_http: AtomicU64,
    in_cache: AtomicU64,
    first_try: OnceLock<Instant>,
    /// Whether it waits for a pause to end that a 429 asked for.
    is_paused: AtomicBool,
    last: Mutex<Option<Error>>,
}

impl Progress {
    /// How many requests were sent.
    pub fn attempts(&self) -> u32 {
        self.attempts.load(Ordering::Relaxed)
    }

    /// How long the requests took, all together.
    pub fn in_http(&self) -> Duration {
        Duration::from_micros(self.in_http.load(Ordering::Relaxed))
    }

    /// Whether nothing is sent because the endpoint has asked for a pause.
    pub fn is_paused(&self) -> bool {
        self.is_paused.load(Ordering::Relaxed)
    }

    /// How the last finished try failed.
    pub fn last(&self) -> Option<Error> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn tried(&self) {
        self.attempts.fetch_add(1, Ordering::Relaxed);
        self.first_try.get_or_init(Instant::now);
    }

    fn took(&self, time: Duration) {
        self.in_http.fetch_add(micros(time), Ordering::Relaxed);
    }

    /// How long a cache outside of this process took.
    pub fn in_cache(&self) -> Duration {
        Duration::from_micros(self.in_cache.load(Ordering::Relaxed))
    }

    /// Notes how long a cache outside of this process took.
    pub fn looked(&self, time: Duration) {
        self.in_cache.fetch_add(micros(time), Ordering::Relaxed);
    }

    /// How long ago the first request was sent.
    fn since_first_try(&self) -> Duration {
        self.first_try.get().map_or(Duration::ZERO, Instant::elapsed)
    }

    /// Notes how the last finished try failed.
    pub fn failed(&self, error: Error) {
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
    }
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

/// How a chain of requests ended.
pub enum End {
    /// The endpoint answered, with whatever status.
    Answer(Response),
    /// No answer came.
    Fault(Fault),
    /// The endpoint had asked for a pause that the deadline cannot hold.
    Paused(Duration),
    /// The challenge cannot be answered.
    Stopped(Error),
}

/// What to send after an answer that is a challenge; `None` if it is none.
pub type Challenge<'a> = dyn Fn(&Response) -> Result<Option<Request>, Error> + Send + Sync + 'a;

/// Watches a chain of requests.
pub trait Witness: Sync {
    /// A request leaves.
    fn leaving(&self) {}

    /// It ended, after so long.
    fn returned(&self, _: &Result<Response, Fault>, _: Duration) {}

    /// Whether a try that ended so may be followed by another, where the policy allows one.
    fn can_retry(&self, _: &End) -> bool {
        true
    }

    /// A try ended so and is followed by another after this wait. Gives the words for it.
    fn retrying(&self, end: &End, wait: Duration) -> Error;
}

/// An identity that does not exist yet, maybe.
#[derive(Clone, Copy)]
pub struct Awaited {
    /// For how long it is asked for again.
    pub within: Duration,
    /// Whether an answer says that it is not found.
    pub is_missing: fn(&Response) -> bool,
}

/// Everything that one chain of requests goes by.
pub struct Chain<'a> {
    /// Carries the requests.
    pub transport: &'a dyn Transport,
    /// The gate of the endpoint.
    pub gate: &'a Gate,
    /// When to try again; `None` is never.
    pub policy: Option<&'static Policy>,
    /// One connection attempt.
    pub connect_timeout: Duration,
    /// One exchange.
    pub request_timeout: Duration,
    /// The end of it all.
    pub deadline: &'a Deadline,
    /// What is waited for beyond the policy.
    pub awaited: Option<Awaited>,
    /// Wall time and chance.
    pub machine: &'a Machine,
    /// Where it says how far it is.
    pub progress: &'a Progress,
}

/// How many retries of each sort were made.
#[derive(Default)]
struct Spent {
    statuses: u32,
    starting: u32,
    lost: u32,
    assigning: u32,
}

impl Chain<'_> {
    /// Sends until there is an answer that no retry would better.
    pub async fn run(&self, request: &Request, challenge: &Challenge<'_>, witness: &dyn Witness) -> End {
        let mut spent = Spent::default();
        loop {
            let end = self.attempt(request, challenge, witness).await;
            let can_retry = witness.can_retry(&end);
            let Some(wait) = can_retry.then(|| self.wait_after(&end, &mut spent)).flatten() else {
                return end;
            };
            self.progress.failed(witness.retrying(&end, wait));
            drop(end);
            let is_paused = self.gate.paused_for().is_some();
            self.progress.is_paused.store(is_paused, Ordering::Relaxed);
            sleep(wait).await;
            self.progress.is_paused.store(false, Ordering::Relaxed);
        }
    }

    async fn attempt(&self, request: &Request, challenge: &Challenge<'_>, witness: &dyn Witness) -> End {
        let answer = match self.exchange(request, witness).await {
            Ok(answer) => answer,
            Err(end) => return end,
        };
        match challenge(&answer) {
            Ok(None) => End::Answer(answer),
            Ok(Some(second)) => {
                let answered = self.exchange(&second, witness).await;
                answered.map_or_else(|end| end, End::Answer)
            }
            Err(error) => End::Stopped(error),
        }
    }

    async fn exchange(&self, request: &Request, witness: &dyn Witness) -> Result<Response, End> {
        let place = loop {
            while let Some(pause) = self.gate.paused_for() {
                if !self.deadline.holds(pause) {
                    return Err(End::Paused(pause));
                }
                self.progress.is_paused.store(true, Ordering::Relaxed);
                // The jitter may not carry a request beyond the deadline that holds the pause.
                sleep(self.lengthened(pause).min(self.deadline.left())).await;
                self.progress.is_paused.store(false, Ordering::Relaxed);
            }
            let place = self.gate.connection().await;
            // The wait for a place may have been long enough for somebody else's 429.
            if self.gate.paused_for().is_none() {
                break place;
            }
        };
        self.progress.tried();
        witness.leaving();
        let left = Instant::now();
        let sent = timeout(
            self.request_timeout,
            self.transport.send(request, self.connect_timeout),
        )
        .await;
        drop(place);
        let returned = sent.unwrap_or_else(|_| Err(Fault::of(FaultKind::RequestTimeout)));
        let took = left.elapsed();
        self.progress.took(took);
        witness.returned(&returned, took);
        let answer = returned.map_err(End::Fault)?;
        if answer.status == TOO_MANY_REQUESTS
            && let Some(pause) = self.asked_for(&answer)
        {
            self.gate.pause(pause);
        }
        Ok(answer)
    }

    /// How long to wait before the next try; `None` if this was the last.
    fn wait_after(&self, end: &End, spent: &mut Spent) -> Option<Duration> {
        let policy = self.policy?;
        let (budget, count, asked_for) = match end {
            End::Answer(answer) => {
                let (budget, count) = match self.awaits(answer) {
                    Some(within) => (Budget::Within(within, ASSIGNING), &mut spent.assigning),
                    None => (policy.status(answer.status)?, &mut spent.statuses),
                };
                (budget, count, self.asked_for(answer))
            }
            End::Fault(fault) => {
                let budget = policy.fault(fault.kind)?;
                // An endpoint that starts has a budget of its own; all other faults share one.
                let count = match budget {
                    Budget::Within(..) => &mut spent.starting,
                    Budget::Count(..) => &mut spent.lost,
                };
                (budget, count, None)
            }
            End::Paused(_) | End::Stopped(_) => return None,
        };
        let retry = *count;
        *count += 1;
        let wait = match budget {
            Budget::Count(most, wait) => (retry < most).then(|| wait.before(retry))?,
            Budget::Within(_, wait) => wait.before(retry),
        };
        let wait = self.lengthened(asked_for.map_or(wait, |asked_for| asked_for.max(wait)));
        let in_time = match budget {
            Budget::Count(..) => true,
            Budget::Within(limit, _) => self.progress.since_first_try() + wait <= limit,
        };
        (in_time && self.deadline.holds(wait)).then_some(wait)
    }

    /// For how long, since the first try, an identity that is not found is asked for again.
    fn awaits(&self, answer: &Response) -> Option<Duration> {
        let awaited = self.awaited?;
        (awaited.is_missing)(answer).then_some(awaited.within)
    }

    fn asked_for(&self, answer: &Response) -> Option<Duration> {
        retry_after(answer.headers.retry_after.as_deref()?, self.machine.clock.now())
    }

    fn lengthened(&self, wait: Duration) -> Duration {
        wait + wait.mul_f64(JITTER * self.machine.chance.fraction())
    }
}

#[cfg(test)]
#[path = "send_tests.rs"]
mod tests;
