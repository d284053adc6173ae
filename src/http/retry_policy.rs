//! When an exchange is tried again, and after how long: the policies, as data.
//!
//! The numbers are those of the [wire contract]: IMDS's are MSAL's and Microsoft's advice for it.
//! The loop that follows them is in [`retry_loop`](super::retry_loop).
//!
//! [wire contract]: https://learn.microsoft.com/entra/identity/managed-identities-azure-resources/how-to-use-vm-token#retry-guidance

use std::time::{Duration, SystemTime};

use super::TransportErrorKind;
use crate::token::Timestamp;

/// Every wait is longer by up to this share of it, so that a fleet does not ask in step.
pub const MAX_JITTER_FRACTION: f64 = 0.2;
/// A wait that the endpoint asked for is longer by up to this, or by the share if that is more: it may have asked a
/// whole fleet for the same.
const MIN_JITTER: Duration = Duration::from_secs(1);
const TOO_MANY_REQUESTS: u16 = 429;
/// The longest wait of an exponential one, unless the caller says so: the Azure SDK's.
const MAX_DELAY: Duration = Duration::from_secs(64);
/// More retries than this are never made of an endpoint that starts, however short the waits.
const MAX_RETRIES: u32 = 10;

/// How the waits between tries grow.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Backoff {
    /// Always as long.
    Fixed(Duration),
    /// Twice as long each time, up to a limit.
    Exponential(Duration, Duration),
    /// Any time up to one that doubles, up to a limit: spreads a fleet that was refused at one time.
    FullJitter(Duration, Duration),
}

impl Backoff {
    /// How long before this retry, without the jitter; the first is 0.
    pub fn delay_before_retry(self, retry: u32) -> Duration {
        match self {
            Self::Fixed(wait) => wait,
            Self::Exponential(first, most) | Self::FullJitter(first, most) => {
                first.saturating_mul(1 << retry.min(16)).min(most)
            }
        }
    }

    /// The same with the jitter of this fraction.
    pub fn jittered_delay(self, retry: u32, fraction: f64) -> Duration {
        let wait = self.delay_before_retry(retry);
        match self {
            Self::Fixed(_) | Self::Exponential(..) => wait + wait.mul_f64(MAX_JITTER_FRACTION * fraction),
            Self::FullJitter(..) => wait.mul_f64(fraction),
        }
    }
}

/// A wait that an endpoint asked for, with the jitter of this fraction.
pub fn with_jitter(asked_for: Duration, fraction: f64) -> Duration {
    asked_for
        + asked_for
            .mul_f64(MAX_JITTER_FRACTION)
            .max(MIN_JITTER)
            .mul_f64(fraction)
}

/// How often, and after what waits.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum RetryLimit {
    /// So many retries.
    Attempts(u32, Backoff),
    /// As many as start within this long of the first try.
    Window(Duration, Backoff),
}

/// What a caller wants instead of the numbers of the policies; by default nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct RetryOptions {
    /// How many retries there are, of all sorts together.
    pub max_retries: Option<u32>,
    /// How long the first wait is; each further one is twice as long.
    pub delay: Option<Duration>,
    /// No wait is longer, jitter included.
    pub max_delay: Option<Duration>,
}

impl RetryOptions {
    /// A policy's budget with these numbers in place of its own.
    fn replace(&self, budget: RetryLimit) -> RetryLimit {
        let wait = |wait| match self.delay {
            Some(first) => Backoff::Exponential(first, self.max_delay.unwrap_or(MAX_DELAY)),
            None => wait,
        };
        match (budget, self.max_retries) {
            (RetryLimit::Attempts(_, table) | RetryLimit::Window(_, table), Some(most)) => {
                RetryLimit::Attempts(most, wait(table))
            }
            (RetryLimit::Attempts(most, table), None) => RetryLimit::Attempts(most, wait(table)),
            (RetryLimit::Window(limit, table), None) => RetryLimit::Window(limit, wait(table)),
        }
    }

    /// Whether so many retries are as many as there may be.
    pub fn are_used_up(&self, retries: u32) -> bool {
        self.max_retries.is_some_and(|most| retries >= most)
    }

    /// Whether so many retries within a window of time are too many for it: waits of nothing would fill it with requests.
    pub fn fill_the_window(&self, retries: u32) -> bool {
        self.delay.is_some() && retries >= MAX_RETRIES
    }
}

/// Statuses, from and to, and what they allow.
pub type StatusRule = (u16, u16, RetryLimit);

/// What one kind of host allows.
#[derive(Debug)]
pub struct RetryPolicy {
    /// Which statuses are tried again. The first rule that fits counts.
    pub statuses: &'static [StatusRule],
    /// Refused, reset, or closed without an answer.
    pub disconnected: RetryLimit,
}

const SECOND: Duration = Duration::from_secs(1);

/// A time-out, no route, an unknown name: once more, wherever.
const TRANSIENT_ERROR: RetryLimit = RetryLimit::Attempts(1, Backoff::Fixed(SECOND));

/// A sidecar that starts with its container is refused or reset for some seconds.
const ENDPOINT_STARTING: RetryLimit = RetryLimit::Window(
    Duration::from_secs(10),
    Backoff::Exponential(Duration::from_millis(250), Duration::from_secs(2)),
);

const IMDS_SERVER_ERROR: RetryLimit =
    RetryLimit::Attempts(3, Backoff::Exponential(SECOND, Duration::from_secs(4)));
/// IMDS answers 410 while it is updated, which can take 70 seconds.
const IMDS_GONE: RetryLimit = RetryLimit::Attempts(7, Backoff::Fixed(Duration::from_secs(10)));
const IMDS_STATUSES: &[StatusRule] = &[
    (404, 404, IMDS_SERVER_ERROR),
    (408, 408, IMDS_SERVER_ERROR),
    (410, 410, IMDS_GONE),
    (429, 429, IMDS_SERVER_ERROR),
    (500, 599, IMDS_SERVER_ERROR),
];

const SERVER_ERROR: RetryLimit = RetryLimit::Attempts(3, Backoff::Fixed(SECOND));
/// 429 without `Retry-After`, wherever: a fleet that starts together is let through a few at a time.
const THROTTLED_RETRIES: u32 = 7;
const THROTTLED_BACKOFF: Backoff = Backoff::FullJitter(Duration::from_secs(2), Duration::from_secs(8));

/// IMDS at its own address: nobody there means that this is no virtual machine.
pub const IMDS_DEFAULT: RetryPolicy = RetryPolicy {
    statuses: IMDS_STATUSES,
    disconnected: TRANSIENT_ERROR,
};
/// IMDS at an address that somebody configured.
pub const IMDS_CONFIGURED: RetryPolicy = RetryPolicy {
    statuses: IMDS_STATUSES,
    disconnected: ENDPOINT_STARTING,
};
/// Every other host.
pub const DEFAULT: RetryPolicy = RetryPolicy {
    statuses: &[
        (404, 404, SERVER_ERROR),
        (408, 408, SERVER_ERROR),
        (429, 429, SERVER_ERROR),
        (500, 500, SERVER_ERROR),
        (502, 504, SERVER_ERROR),
    ],
    disconnected: ENDPOINT_STARTING,
};

impl RetryPolicy {
    /// What an answer of this status allows, by these options. Whether it says how long to wait makes a difference
    /// where the endpoint throttles.
    pub fn after_status(
        &self,
        status: u16,
        says_how_long: bool,
        options: &RetryOptions,
    ) -> Option<RetryLimit> {
        let budget = self.status_limit(status)?;
        if status == TOO_MANY_REQUESTS && !says_how_long {
            // These waits are what lets a fleet through: options limit them, and do not replace them.
            let most = options.max_retries.unwrap_or(THROTTLED_RETRIES);
            return Some(RetryLimit::Attempts(
                most.min(THROTTLED_RETRIES),
                THROTTLED_BACKOFF,
            ));
        }
        Some(options.replace(budget))
    }

    /// What a fault allows, by these options.
    pub fn after_error(&self, kind: TransportErrorKind, options: &RetryOptions) -> Option<RetryLimit> {
        Some(options.replace(self.error_limit(kind)?))
    }

    /// What an answer of this status allows.
    pub fn status_limit(&self, status: u16) -> Option<RetryLimit> {
        self.statuses
            .iter()
            .find(|(from, to, _)| (*from..=*to).contains(&status))
            .map(|(_, _, budget)| *budget)
    }

    /// What a fault allows.
    pub fn error_limit(&self, kind: TransportErrorKind) -> Option<RetryLimit> {
        use TransportErrorKind as F;
        match kind {
            F::ConnectionRefused | F::ConnectionReset | F::ConnectionClosed => Some(self.disconnected),
            // Ports and descriptors become free again, and a refused permission costs a second.
            F::ConnectTimeout
            | F::RequestTimeout
            | F::CustomClientTimeout
            | F::Unreachable
            | F::NameResolution
            | F::Local => Some(TRANSIENT_ERROR),
            F::Tls
            | F::ThumbprintMismatch
            | F::NotHttp
            | F::BodyTooLarge
            | F::WireLimit
            | F::CustomClient
            | F::InvalidRequest => None,
        }
    }
}

/// Longer than anybody waits; whatever is longer is read as this, so that no sum overflows.
const MAX_RETRY_AFTER: Duration = Duration::from_hours(24);

/// Reads `Retry-After`: seconds, or an HTTP date. What is over a day is a day.
pub fn parse_retry_after(value: &str, now: Timestamp) -> Option<Duration> {
    let value = value.trim();
    if !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit()) {
        let seconds = value.parse().map_or(MAX_RETRY_AFTER, Duration::from_secs);
        return Some(seconds.min(MAX_RETRY_AFTER));
    }
    let until = httpdate::parse_http_date(value)
        .ok()?
        .duration_since(SystemTime::UNIX_EPOCH)
        .ok()?;
    let until = Timestamp::from_secs(i64::try_from(until.as_secs()).ok()?);
    Some(until.saturating_duration_since(now).min(MAX_RETRY_AFTER))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn backoff_grows_to_its_limit() {
        let doubling = Backoff::Exponential(Duration::from_millis(250), Duration::from_secs(2));
        let waits: Vec<_> = (0..6)
            .map(|retry| doubling.delay_before_retry(retry).as_millis())
            .collect();
        assert_eq!(waits, [250, 500, 1_000, 2_000, 2_000, 2_000]);
        assert_eq!(doubling.delay_before_retry(u32::MAX), Duration::from_secs(2));
    }

    #[test]
    fn retry_after_has_two_forms() {
        let now = Timestamp::from_secs(1_700_000_000);
        let seconds = |value| parse_retry_after(value, now).map(|wait| wait.as_secs());
        assert_eq!(seconds(" 120 "), Some(120));
        assert_eq!(seconds("0"), Some(0));
        assert_eq!(seconds("Tue, 14 Nov 2023 22:13:50 GMT"), Some(30));
        assert_eq!(seconds("Tue, 14 Nov 2023 22:13:00 GMT"), Some(0));
        assert_eq!(seconds("99999999999999999999999"), Some(86_400));
        for none in ["", "-1", "1.5", "soon", "Tue, 99 Nov 2023 22:13:50 GMT"] {
            assert_eq!(seconds(none), None, "{none:?}");
        }
    }
}
