//! The token: its secret string, its instants, and the arithmetic of its ages.
//!
//! Knows nothing of where a token came from or where it is kept. The figures are those of the
//! [managed identity caching guidance] and of msal-node (a refresh at half of a lifetime of over
//! two hours; a token in its last five minutes counts as expired there).
//!
//! [managed identity caching guidance]: https://learn.microsoft.com/entra/identity/managed-identities-azure-resources/how-to-use-vm-token#token-caching

mod wall_clocks;

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use zeroize::Zeroizing;

pub use self::wall_clocks::{CallerClock, WallClocks};

/// A lifetime over this has a `refresh_on`, at its half.
const MIN_LIFETIME_FOR_REFRESH: Duration = Duration::from_hours(2);
/// A token with less than this left is nearly expired.
pub const NEAR_EXPIRY_WINDOW: Duration = Duration::from_mins(5);
/// The refreshes of one fleet are spread over this long after `refresh_on`.
pub const MAX_REFRESH_JITTER: Duration = Duration::from_mins(5);

/// No managed identity's token lives longer: Entra's live for 24 hours and some minutes.
pub const MAX_TOKEN_LIFETIME: Duration = Duration::from_hours(48);

/// A string that must not be shown: it has no `Display`, its `Debug` is blind, its memory is
/// overwritten when the last clone goes.
#[derive(Clone)]
pub struct Secret(Arc<Zeroizing<Box<str>>>);

impl Secret {
    /// Takes a string into custody.
    pub fn new(value: String) -> Self {
        Self(Arc::new(Zeroizing::new(value.into())))
    }

    /// Shows it: only for the wire, for the caller that asked, and for taking it out of messages.
    pub fn expose_secret(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<redacted>")
    }
}

/// An instant by the wall clock, in milliseconds since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Timestamp(i64);

impl Timestamp {
    /// From milliseconds since 1970.
    pub const fn from_millis(millis: i64) -> Self {
        Self(millis)
    }

    /// From seconds since 1970.
    pub const fn from_secs(secs: i64) -> Self {
        Self(secs.saturating_mul(1_000))
    }

    /// Reads a date of HTTP, in any of the three forms of RFC 9110 5.6.7, with or without blanks around it.
    pub fn from_http_date(text: &str) -> Option<Self> {
        let instant = httpdate::parse_http_date(text).ok()?;
        let since = instant.duration_since(SystemTime::UNIX_EPOCH).ok()?;
        Some(Self::from_secs(0).saturating_add(since))
    }

    /// Milliseconds since 1970.
    pub const fn millis(self) -> i64 {
        self.0
    }

    /// This long after it.
    #[must_use]
    pub fn saturating_add(self, duration: Duration) -> Self {
        Self(
            self.0
                .saturating_add(i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)),
        )
    }

    /// This long before it.
    #[must_use]
    pub fn saturating_sub(self, duration: Duration) -> Self {
        Self(
            self.0
                .saturating_sub(i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)),
        )
    }

    /// The same instant on a clock that is so many milliseconds ahead.
    #[must_use]
    pub const fn with_offset(self, offset_ms: i64) -> Self {
        Self(self.0.saturating_add(offset_ms))
    }

    /// The time from an earlier instant to this one; nothing if that one is later.
    pub fn saturating_duration_since(self, earlier: Self) -> Duration {
        Duration::from_millis(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }
}

/// How old a token is, which decides what happens when it is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Freshness {
    /// Served, and nothing else happens.
    Fresh,
    /// Served, and refreshed behind the caller.
    Stale,
    /// Refreshed first; served if that brings nothing.
    NearExpiry,
    /// Never served.
    Expired,
}

/// An access token and its instants.
#[derive(Clone, Debug)]
pub struct Token {
    /// What the caller wants.
    pub secret: Secret,
    /// When it ends. For a token whose expiry cannot be read, when it was received.
    pub expires_on: Timestamp,
    /// When it should be replaced: the half of a lifetime of over two hours.
    pub refresh_on: Option<Timestamp>,
    /// How far the clock of the caller that it is told to was ahead of the system's when it was dated, in milliseconds;
    /// 0 unless a test had replaced that clock. The instants above are the system's.
    pub offset_ms: i64,
}

impl Token {
    /// A token received `now` that ends at `expires_on`.
    pub fn new(secret: Secret, now: Timestamp, expires_on: Timestamp) -> Self {
        let lifetime = expires_on.saturating_duration_since(now);
        let refresh_on = (lifetime > MIN_LIFETIME_FOR_REFRESH).then(|| now.saturating_add(lifetime / 2));
        Self {
            secret,
            expires_on,
            refresh_on,
            offset_ms: 0,
        }
    }

    /// The same token, dated by a clock that is so far ahead of the system's.
    #[must_use]
    pub fn with_clock_offset(&self, offset_ms: i64) -> Self {
        Self {
            offset_ms,
            ..self.clone()
        }
    }

    /// Whether both clocks say that it is valid.
    pub fn is_valid(&self, now: WallClocks) -> bool {
        now.latest(self.offset_ms) < self.expires_on
    }

    /// When it ends, on the clock of the caller.
    pub fn caller_expires_on(&self) -> Timestamp {
        self.expires_on.with_offset(self.offset_ms)
    }

    /// When it should be replaced, on the clock of the caller.
    pub fn caller_refresh_on(&self) -> Option<Timestamp> {
        Some(self.refresh_on?.with_offset(self.offset_ms))
    }

    /// When it stops being fresh. `spread` is what a fleet's members differ by.
    pub fn fresh_until(&self, spread: Duration) -> Timestamp {
        let nearly_expired = self.expires_on.saturating_sub(NEAR_EXPIRY_WINDOW);
        self.refresh_on.map_or(nearly_expired, |refresh_on| {
            refresh_on.saturating_add(spread).min(nearly_expired)
        })
    }

    /// How old it is at this instant.
    pub fn freshness(&self, now: Timestamp, spread: Duration) -> Freshness {
        if now >= self.expires_on {
            Freshness::Expired
        } else if now < self.fresh_until(spread) {
            Freshness::Fresh
        } else if now > self.expires_on.saturating_sub(NEAR_EXPIRY_WINDOW) {
            Freshness::NearExpiry
        } else {
            Freshness::Stale
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_secs(1_800_000_000);

    fn living(lifetime: Duration) -> Token {
        Token::new(Secret::new("t".into()), NOW, NOW.saturating_add(lifetime))
    }

    #[test]
    fn secret_debug_is_redacted() {
        let token = living(Duration::from_hours(1));
        let shown = format!("{token:?} {:?}", Secret::new("hush".into()));
        assert!(!shown.contains("hush") && shown.contains("<redacted>"), "{shown}");
    }

    #[test]
    fn refresh_on_is_half_of_a_lifetime_over_2h() {
        assert_eq!(living(Duration::from_hours(2)).refresh_on, None);
        let over = Duration::from_hours(2) + Duration::from_secs(2);
        assert_eq!(
            living(over).refresh_on,
            Some(NOW.saturating_add(Duration::from_secs(3_601)))
        );
        let day = living(Duration::from_hours(24));
        assert_eq!(day.refresh_on, Some(NOW.saturating_add(Duration::from_hours(12))));
    }

    #[test]
    fn freshness_advances_in_order() {
        let spread = Duration::from_mins(1);
        let day = living(Duration::from_hours(24));
        let half = NOW.saturating_add(Duration::from_hours(12));
        let second = Duration::from_secs(1);
        for (instant, age) in [
            (NOW, Freshness::Fresh),
            (
                half.saturating_add(spread).saturating_sub(second),
                Freshness::Fresh,
            ),
            (half.saturating_add(spread), Freshness::Stale),
            (
                day.expires_on.saturating_sub(NEAR_EXPIRY_WINDOW),
                Freshness::Stale,
            ),
            (
                day.expires_on
                    .saturating_sub(NEAR_EXPIRY_WINDOW)
                    .saturating_add(second),
                Freshness::NearExpiry,
            ),
            (day.expires_on.saturating_sub(second), Freshness::NearExpiry),
            (day.expires_on, Freshness::Expired),
        ] {
            assert_eq!(day.freshness(instant, spread), age, "{instant:?}");
        }
    }

    #[test]
    fn short_lived_token_is_fresh_until_near_expiry() {
        let hour = living(Duration::from_hours(1));
        let last = hour.expires_on.saturating_sub(NEAR_EXPIRY_WINDOW);
        assert_eq!(
            hour.freshness(last.saturating_sub(Duration::from_secs(1)), MAX_REFRESH_JITTER),
            Freshness::Fresh
        );
        assert_eq!(
            hour.freshness(last.saturating_add(Duration::from_millis(1)), MAX_REFRESH_JITTER),
            Freshness::NearExpiry
        );
    }

    #[test]
    fn http_dates_have_three_formats() {
        for text in [
            "Sun, 06 Nov 1994 08:49:37 GMT",
            " Sunday, 06-Nov-94 08:49:37 GMT ",
            "Sun Nov  6 08:49:37 1994",
        ] {
            let instant = Timestamp::from_http_date(text);
            assert_eq!(instant, Some(Timestamp::from_secs(784_111_777)), "{text}");
        }
        for text in [
            "",
            "now",
            "784111777",
            "Sun, 06 Nov 1994 08:49:37",
            "1994-11-06T08:49:37Z",
        ] {
            assert_eq!(Timestamp::from_http_date(text), None, "{text}");
        }
    }

    #[test]
    fn timestamps_do_not_overflow() {
        let end = Timestamp::from_secs(i64::MAX);
        assert_eq!(
            end.saturating_add(Duration::MAX),
            Timestamp::from_millis(i64::MAX)
        );
        assert_eq!(
            Timestamp::from_millis(i64::MIN)
                .saturating_sub(Duration::MAX)
                .millis(),
            i64::MIN
        );
        assert_eq!(
            Timestamp::from_millis(i64::MIN).saturating_duration_since(end),
            Duration::ZERO
        );
    }
}

#[cfg(test)]
mod properties;
