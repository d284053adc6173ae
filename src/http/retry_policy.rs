//! The retry policies, as data: which failures are retried, how often, and after which delays.
//!
//! `docs/wire-protocol.md` has the same numbers. Those for IMDS are MSAL's and [Microsoft's guidance]. The
//! [`retry_loop`](super::retry_loop) applies the policies.
//!
//! [Microsoft's guidance]: https://learn.microsoft.com/entra/identity/managed-identities-azure-resources/how-to-use-vm-token#retry-guidance

use std::time::{Duration, SystemTime};

use super::TransportErrorKind;
use crate::token::Timestamp;

/// The largest share of a delay that is added to it as random jitter, so that the instances of a service do not retry
/// at the same time.
pub const MAX_JITTER_FRACTION: f64 = 0.2;
/// A `Retry-After` gets up to this much jitter, or [`MAX_JITTER_FRACTION`] of it if that is more: many instances may
/// have received the same value.
const MIN_JITTER: Duration = Duration::from_secs(1);
const TOO_MANY_REQUESTS: u16 = 429;
/// The longest delay of a caller's exponential backoff, if the caller sets none: the Azure SDK's default.
const MAX_DELAY: Duration = Duration::from_secs(64);
/// The most retries of a starting endpoint if the caller sets a delay, however short that is.
const MAX_RETRIES: u32 = 10;

/// How the delays between attempts grow.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Backoff {
    /// Every delay is the same.
    Fixed(Duration),
    /// Each delay is twice the one before: the first one, and the maximum.
    Exponential(Duration, Duration),
    /// A random delay from zero to that of [`Exponential`](Self::Exponential), which spreads clients that were throttled
    /// at the same time.
    FullJitter(Duration, Duration),
}

impl Backoff {
    /// Returns the delay before a retry (0 is the first), without jitter.
    pub fn delay_before_retry(self, retry: u32) -> Duration {
        match self {
            Self::Fixed(delay) => delay,
            Self::Exponential(first, max) | Self::FullJitter(first, max) => {
                first.saturating_mul(1 << retry.min(16)).min(max)
            }
        }
    }

    /// Returns the delay before a retry with jitter, of which `fraction` (from 0 to 1) selects the amount.
    pub fn jittered_delay(self, retry: u32, fraction: f64) -> Duration {
        let delay = self.delay_before_retry(retry);
        match self {
            Self::Fixed(_) | Self::Exponential(..) => delay + delay.mul_f64(MAX_JITTER_FRACTION * fraction),
            Self::FullJitter(..) => delay.mul_f64(fraction),
        }
    }
}

/// Adds jitter to a `Retry-After`; `fraction` (from 0 to 1) selects the amount.
pub fn with_jitter(retry_after: Duration, fraction: f64) -> Duration {
    retry_after
        + retry_after
            .mul_f64(MAX_JITTER_FRACTION)
            .max(MIN_JITTER)
            .mul_f64(fraction)
}

/// The number of retries, and their delays.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum RetryLimit {
    /// At most this many retries.
    Attempts(u32, Backoff),
    /// All retries that start within this time of the first attempt. After a transport error at least one, if its delay
    /// is not longer.
    Window(Duration, Backoff),
}

/// A caller's `retryOptions`. Those that are set replace numbers of the policies.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct RetryOptions {
    /// The most retries, for all reasons together.
    pub max_retries: Option<u32>,
    /// The first delay; each further one is twice the one before.
    pub delay: Option<Duration>,
    /// The longest delay, including jitter.
    pub max_delay: Option<Duration>,
}

impl RetryOptions {
    /// Returns a policy's limit with the caller's numbers in place of its own.
    fn apply_to(&self, limit: RetryLimit) -> RetryLimit {
        let backoff = |backoff| match self.delay {
            Some(first) => Backoff::Exponential(first, self.max_delay.unwrap_or(MAX_DELAY)),
            None => backoff,
        };
        match (limit, self.max_retries) {
            (RetryLimit::Attempts(_, default) | RetryLimit::Window(_, default), Some(max)) => {
                RetryLimit::Attempts(max, backoff(default))
            }
            (RetryLimit::Attempts(max, default), None) => RetryLimit::Attempts(max, backoff(default)),
            (RetryLimit::Window(window, default), None) => RetryLimit::Window(window, backoff(default)),
        }
    }

    /// Returns whether `maxRetries` allows no more than this many retries.
    pub fn are_exhausted(&self, retries: u32) -> bool {
        self.max_retries.is_some_and(|max| retries >= max)
    }

    /// Returns whether this many retries are too many for a window of time. Without the limit, a delay of 0 would fill
    /// the window with requests.
    pub fn exceed_window_limit(&self, retries: u32) -> bool {
        self.delay.is_some() && retries >= MAX_RETRIES
    }
}

/// A range of statuses, both ends included, and its limit.
pub type StatusRule = (u16, u16, RetryLimit);

/// The retries that one kind of endpoint allows.
#[derive(Debug)]
pub struct RetryPolicy {
    /// The statuses that are retried. The first rule that contains a status applies.
    pub statuses: &'static [StatusRule],
    /// The limit for a connection that was refused, reset, or closed without a response.
    pub disconnected: RetryLimit,
}

const SECOND: Duration = Duration::from_secs(1);

/// A timeout, an unreachable host or a failed name resolution: one retry, for every endpoint.
const TRANSIENT_ERROR: RetryLimit = RetryLimit::Attempts(1, Backoff::Fixed(SECOND));

/// A sidecar that starts with its container refuses or resets connections for some seconds.
const ENDPOINT_STARTING: RetryLimit = RetryLimit::Window(
    Duration::from_secs(10),
    Backoff::Exponential(Duration::from_millis(250), Duration::from_secs(2)),
);

const IMDS_SERVER_ERROR: RetryLimit =
    RetryLimit::Attempts(3, Backoff::Exponential(SECOND, Duration::from_secs(4)));
/// IMDS returns 410 while it is updated, which can take 70 seconds.
const IMDS_GONE: RetryLimit = RetryLimit::Attempts(7, Backoff::Fixed(Duration::from_secs(10)));
const IMDS_STATUSES: &[StatusRule] = &[
    (404, 404, IMDS_SERVER_ERROR),
    (408, 408, IMDS_SERVER_ERROR),
    (410, 410, IMDS_GONE),
    (429, 429, IMDS_SERVER_ERROR),
    (500, 599, IMDS_SERVER_ERROR),
];

const SERVER_ERROR: RetryLimit = RetryLimit::Attempts(3, Backoff::Fixed(SECOND));
/// A 429 without `Retry-After`, for every endpoint: if many instances start together, it accepts only a few at
/// a time.
const THROTTLED_RETRIES: u32 = 7;
const THROTTLED_BACKOFF: Backoff = Backoff::FullJitter(Duration::from_secs(2), Duration::from_secs(8));

/// IMDS at its well-known address. If nothing listens there, this is probably not a virtual machine, so a refused
/// connection is not a starting endpoint.
pub const IMDS_DEFAULT: RetryPolicy = RetryPolicy {
    statuses: IMDS_STATUSES,
    disconnected: TRANSIENT_ERROR,
};
/// IMDS at a configured address, where a proxy that is starting may listen.
pub const IMDS_CONFIGURED: RetryPolicy = RetryPolicy {
    statuses: IMDS_STATUSES,
    disconnected: ENDPOINT_STARTING,
};
/// Every other endpoint.
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
    /// Returns the limit for a status with the caller's options applied. A 429 has other limits if it has no usable
    /// `Retry-After`.
    pub fn after_status(
        &self,
        status: u16,
        has_retry_after: bool,
        options: &RetryOptions,
    ) -> Option<RetryLimit> {
        let limit = self.status_limit(status)?;
        if status == TOO_MANY_REQUESTS && !has_retry_after {
            // Without these delays a throttled service never gets through: the options can lower their number and
            // length, but not replace them.
            let max = options.max_retries.unwrap_or(THROTTLED_RETRIES);
            return Some(RetryLimit::Attempts(
                max.min(THROTTLED_RETRIES),
                THROTTLED_BACKOFF,
            ));
        }
        Some(options.apply_to(limit))
    }

    /// Returns the limit for a transport error with the caller's options applied.
    pub fn after_error(&self, kind: TransportErrorKind, options: &RetryOptions) -> Option<RetryLimit> {
        Some(options.apply_to(self.error_limit(kind)?))
    }

    /// Returns the policy's limit for a status; `None` if it is not retried.
    pub fn status_limit(&self, status: u16) -> Option<RetryLimit> {
        self.statuses
            .iter()
            .find(|(from, to, _)| (*from..=*to).contains(&status))
            .map(|(_, _, limit)| *limit)
    }

    /// Returns the policy's limit for a transport error; `None` if it is not retried.
    pub fn error_limit(&self, kind: TransportErrorKind) -> Option<RetryLimit> {
        use TransportErrorKind as Kind;
        match kind {
            Kind::ConnectionRefused | Kind::ConnectionReset | Kind::ConnectionClosed => {
                Some(self.disconnected)
            }
            // `Local`: ports and descriptors become available again. For a missing permission the retry costs one second.
            Kind::ConnectTimeout
            | Kind::RequestTimeout
            | Kind::CustomClientTimeout
            | Kind::Unreachable
            | Kind::NameResolution
            | Kind::Local => Some(TRANSIENT_ERROR),
            Kind::Tls
            | Kind::ThumbprintMismatch
            | Kind::NotHttp
            | Kind::BodyTooLarge
            | Kind::WireLimit
            | Kind::CustomClient
            | Kind::InvalidRequest => None,
        }
    }
}

/// Longer values of `Retry-After` are read as this, which is beyond every deadline, so that no sum overflows.
const MAX_RETRY_AFTER: Duration = Duration::from_hours(24);

/// Parses `Retry-After` (RFC 9110, section 10.2.3): seconds, or an HTTP date. At most `MAX_RETRY_AFTER`.
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
        let exponential = Backoff::Exponential(Duration::from_millis(250), Duration::from_secs(2));
        let delays: Vec<_> = (0..6)
            .map(|retry| exponential.delay_before_retry(retry).as_millis())
            .collect();
        assert_eq!(delays, [250, 500, 1_000, 2_000, 2_000, 2_000]);
        assert_eq!(exponential.delay_before_retry(u32::MAX), Duration::from_secs(2));
    }

    #[test]
    fn retry_after_has_two_forms() {
        let now = Timestamp::from_secs(1_700_000_000);
        let seconds = |value| parse_retry_after(value, now).map(|delay| delay.as_secs());
        assert_eq!(seconds(" 120 "), Some(120));
        assert_eq!(seconds("0"), Some(0));
        assert_eq!(seconds("Tue, 14 Nov 2023 22:13:50 GMT"), Some(30));
        assert_eq!(seconds("Tue, 14 Nov 2023 22:13:00 GMT"), Some(0));
        assert_eq!(seconds("99999999999999999999999"), Some(86_400));
        for invalid in ["", "-1", "1.5", "soon", "Tue, 99 Nov 2023 22:13:50 GMT"] {
            assert_eq!(seconds(invalid), None, "{invalid:?}");
        }
    }
}
