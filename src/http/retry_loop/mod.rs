//! The one loop that sends, retries and times out.
//!
//! It follows a [`Policy`] as data, passes the endpoint's [`Gate`], and knows nothing of tokens. What
//! to answer to a challenge is asked of whoever called. Each retry starts from the first request, so
//! that a challenge's key is read anew.

use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::delay::Spent;
use super::endpoint_limiter::Gate;
use super::retry_policy::{Policy, RetryOptions, retry_after, spread};
use super::timer::timeout_at;
use super::waiters::Waiters;
use super::{Fault, FaultKind, Request, Response, Transport};
use crate::error::Error;
use crate::platform::Machine;

const TOO_MANY_REQUESTS: u16 = 429;
/// How often a wait looks at the wall clock.
const CLOCK_CHECK_INTERVAL: Duration = Duration::from_secs(1);

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

    pub(super) fn holds(&self, wait: Duration) -> bool {
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
    pub(super) fn since_first_try(&self) -> Duration {
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
    /// The last caller has left.
    Unattended,
}

/// What to send after a response that is a challenge; `None` if it is not one.
pub type Challenge<'a> = dyn Fn(&Response) -> ChallengeRequest<'a> + Send + Sync + 'a;

/// The request that follows a response. Building it can take a while, since a file may have to be read for it.
pub type ChallengeRequest<'a> = Pin<Box<dyn Future<Output = Result<Option<Request>, Error>> + Send + 'a>>;

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
    /// What the caller wants instead of the policy's numbers.
    pub retry_options: RetryOptions,
    /// One connection attempt.
    pub connect_timeout: Duration,
    /// One exchange.
    pub request_timeout: Duration,
    /// One exchange, where one was too slow already and no other try would follow.
    pub last_request_timeout: Duration,
    /// The end of it all.
    pub deadline: &'a Deadline,
    /// The callers that it works for.
    pub waiters: &'a Waiters,
    /// What is waited for beyond the policy.
    pub awaited: Option<Awaited>,
    /// Wall time and chance.
    pub machine: &'a Machine,
    /// Where it says how far it is.
    pub progress: &'a Progress,
}

impl Chain<'_> {
    /// Sends until there is an answer that no retry would better.
    pub async fn run(&self, request: &Request, challenge: &Challenge<'_>, witness: &dyn Witness) -> End {
        let mut spent = Spent::default();
        loop {
            let limit = if spent.is_last {
                self.last_request_timeout
            } else {
                self.request_timeout
            };
            let mut end = self.attempt(request, limit, challenge, witness).await;
            let can_retry = witness.can_retry(&end);
            let Some(wait) = can_retry.then(|| self.wait_after(&end, &mut spent)).flatten() else {
                return end;
            };
            if let End::Answer(response) = &mut end {
                response.keep_connection();
            }
            if self.waiters.have_left() {
                return End::Unattended;
            }
            self.progress.failed(witness.retrying(&end, wait));
            drop(end);
            let is_paused = self.gate.paused_for().is_some();
            if self.pause(wait, is_paused).await.is_none() {
                return End::Unattended;
            }
        }
    }

    /// Sends nothing for a while; `None` when the last caller has left meanwhile.
    async fn pause(&self, wait: Duration, was_asked_for: bool) -> Option<()> {
        self.progress.is_paused.store(was_asked_for, Ordering::Relaxed);
        let waited = self.waiters.unless_left(self.sleep(wait)).await;
        self.progress.is_paused.store(false, Ordering::Relaxed);
        waited
    }

    /// Sleeps until one of the clocks says that the time is over: the monotonic one stands still while a machine sleeps.
    async fn sleep(&self, wait: Duration) {
        let clock = &self.machine.clock;
        let wall_until = clock.now().plus(wait);
        let mut left = wait;
        while !left.is_zero() {
            let part = left.min(CLOCK_CHECK_INTERVAL);
            sleep(part).await;
            left -= part;
            if clock.now() >= wall_until {
                return;
            }
        }
    }

    async fn attempt(
        &self,
        request: &Request,
        limit: Duration,
        challenge: &Challenge<'_>,
        witness: &dyn Witness,
    ) -> End {
        let mut answer = match self.exchange(request, limit, witness).await {
            Ok(answer) => answer,
            Err(end) => return end,
        };
        match challenge(&answer).await {
            Ok(None) => End::Answer(answer),
            Ok(Some(mut second)) => {
                second.needs_new_connection = request.needs_new_connection;
                // Held meanwhile, it would be a second connection in the place of one.
                answer.keep_connection();
                let answered = self.exchange(&second, limit, witness).await;
                answered.map_or_else(|end| end, End::Answer)
            }
            Err(error) => End::Stopped(error),
        }
    }

    async fn exchange(
        &self,
        request: &Request,
        limit: Duration,
        witness: &dyn Witness,
    ) -> Result<Response, End> {
        let place = self.place().await?;
        self.progress.tried();
        witness.leaving();
        let left = Instant::now();
        let sent = timeout_at(left + limit, self.transport.send(request, self.connect_timeout));
        let returned = self
            .carried(place, sent)
            .await?
            .unwrap_or_else(|| Err(Fault::of(FaultKind::RequestTimeout)));
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

    /// A place for one exchange, once the endpoint may be asked; none where the transport takes none.
    async fn place(&self) -> Result<Option<impl Drop>, End> {
        let place = loop {
            while let Some(pause) = self.gate.paused_for() {
                if !self.deadline.holds(pause) {
                    return Err(End::Paused(pause));
                }
                // The jitter may not carry a request beyond the deadline that holds the pause.
                let pause = spread(pause, self.fraction()).min(self.deadline.left());
                self.pause(pause, true).await.ok_or(End::Unattended)?;
            }
            let place = if self.transport.takes_a_place() {
                let place = self.waiters.unless_left(self.gate.connection()).await;
                Some(place.ok_or(End::Unattended)?)
            } else {
                None
            };
            // The wait for a place may have been long enough for another caller's 429.
            if self.gate.paused_for().is_none() {
                break place;
            }
        };
        if self.waiters.have_left() {
            return Err(End::Unattended);
        }
        Ok(place)
    }

    /// Sees an exchange through. When the last caller has left, it goes on without its place: its token may still be
    /// of use, and must not cost others theirs.
    async fn carried<T>(
        &self,
        place: Option<impl Drop>,
        exchange: impl Future<Output = T>,
    ) -> Result<T, End> {
        let mut exchange = pin!(exchange);
        if let Some(ended) = self.waiters.unless_left(exchange.as_mut()).await {
            return Ok(ended);
        }
        drop(place);
        let mut unattended = self.gate.unattended();
        loop {
            tokio::select! {
                biased;
                ended = exchange.as_mut() => return Ok(ended),
                () = unattended.must_end() => return Err(End::Unattended),
                () = self.waiters.any_joined() => {}
            }
            unattended.set_attended(true);
            if let Some(ended) = self.waiters.unless_left(exchange.as_mut()).await {
                return Ok(ended);
            }
            unattended.set_attended(false);
        }
    }

    pub(super) fn asked_for(&self, answer: &Response) -> Option<Duration> {
        retry_after(answer.headers.retry_after.as_deref()?, self.machine.clock.now())
    }

    pub(super) fn fraction(&self) -> f64 {
        self.machine.chance.fraction()
    }
}

#[cfg(test)]
mod tests;
