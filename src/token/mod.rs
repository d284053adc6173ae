//! An access token: its secret string, its timestamps, and its freshness.
//!
//! Does not depend on sources or caches. The numbers are those of the [managed identity caching guidance] and of
//! msal-node, which refreshes a token at half of a lifetime of over two hours and treats the last five minutes of a token
//! as expired.
//!
//! [managed identity caching guidance]: https://learn.microsoft.com/entra/identity/managed-identities-azure-resources/how-to-use-vm-token#token-caching

mod wall_clocks;

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use zeroize::Zeroizing;

pub use self::wall_clocks::{CallerClock, WallClocks};

/// A token with a longer lifetime has a `refresh_on`, at half of its lifetime.
const MIN_LIFETIME_FOR_REFRESH: Duration = Duration::from_hours(2);
/// A token with less than this left is near expiry.
pub const NEAR_EXPIRY_WINDOW: Duration = Duration::from_mins(5);
/// The most jitter added to `refresh_on`, so that the instances of a service do not refresh at the same time.
pub const MAX_REFRESH_JITTER: Duration = Duration::from_mins(5);

/// No token of a managed identity has a longer lifetime: Entra's are valid for 24 hours and some minutes.
pub const MAX_TOKEN_LIFETIME: Duration = Duration::from_hours(48);

/// A secret string. It has no `Display`, its `Debug` prints `<redacted>`, and its memory is overwritten when the last
/// clone is dropped.
#[derive(Clone)]
pub struct Secret(Arc<Zeroizing<Box<str>>>);

impl Secret {
    /// Creates a secret from a string.
    pub fn new(value: String) -> Self {
        Self(Arc::new(Zeroizing::new(value.into())))
    }

    /// Returns the string. Only for sending it, for returning it to the caller, and for redacting it from messages.
    pub fn expose_secret(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<redacted>")
    }
}

/// A point in time of the wall clock, in milliseconds since 1970 (UTC).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Timestamp(i64);

impl Timestamp {
    /// Creates a timestamp from milliseconds since 1970.
    pub const fn from_millis(millis: i64) -> Self {
        Self(millis)
    }

    /// Creates a timestamp from seconds since 1970.
    pub const fn from_secs(secs: i64) -> Self {
        Self(secs.saturating_mul(1_000))
    }

    /// Parses an HTTP date in any of the three formats of RFC 9110, section 5.6.7. Ignores surrounding white space.
    pub fn from_http_date(text: &str) -> Option<Self> {
        let instant = httpdate::parse_http_date(text).ok()?;
        let since = instant.duration_since(SystemTime::UNIX_EPOCH).ok()?;
        Some(Self::from_secs(0).saturating_add(since))
    }

    /// Returns the milliseconds since 1970.
    pub const fn millis(self) -> i64 {
        self.0
    }

    /// Adds a duration.
    #[must_use]
    pub fn saturating_add(self, duration: Duration) -> Self {
        Self(
            self.0
                .saturating_add(i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)),
        )
    }

    /// Subtracts a duration.
    #[must_use]
    pub fn saturating_sub(self, duration: Duration) -> Self {
        Self(
            self.0
                .saturating_sub(i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)),
        )
    }

    /// Returns the same point in time on a clock that is `offset_ms` milliseconds ahead.
    #[must_use]
    pub const fn with_offset(self, offset_ms: i64) -> Self {
        Self(self.0.saturating_add(offset_ms))
    }

    /// Returns the time since an earlier timestamp; zero if that one is later.
    pub fn saturating_duration_since(self, earlier: Self) -> Duration {
        Duration::from_millis(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }
}

/// The freshness of a cached token, which decides what happens when it is requested.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Freshness {
    /// It is returned.
    Fresh,
    /// It is returned, and refreshed in the background.
    Stale,
    /// It is refreshed first, and returned only if the refresh fails.
    NearExpiry,
    /// It is never returned.
    Expired,
}

/// An access token and its timestamps.
#[derive(Clone, Debug)]
pub struct Token {
    /// The access token.
    pub secret: Secret,
    /// When it expires. When it was received, if its expiry cannot be determined.
    pub expires_on: Timestamp,
    /// When it should be refreshed: at half of its lifetime, if that is over two hours.
    pub refresh_on: Option<Timestamp>,
    /// How far the caller's clock was ahead of the system's when the token was dated, in milliseconds: 0 unless a test has
    /// replaced the caller's clock. The timestamps above are the system's.
    pub offset_ms: i64,
}

impl Token {
    /// Creates a token that was received `now` and expires at `expires_on`.
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

    /// Returns the token as dated by a caller's clock that is `offset_ms` ahead of the system's.
    #[must_use]
    pub fn with_clock_offset(&self, offset_ms: i64) -> Self {
        Self {
            offset_ms,
            ..self.clone()
        }
    }

    /// Returns whether the token is valid by both clocks.
    pub fn is_valid(&self, now: WallClocks) -> bool {
        now.latest(self.offset_ms) < self.expires_on
    }

    /// Returns when the token expires on the caller's clock.
    pub fn caller_expires_on(&self) -> Timestamp {
        self.expires_on.with_offset(self.offset_ms)
    }

    /// Returns when the token should be refreshed on the caller's clock.
    pub fn caller_refresh_on(&self) -> Option<Timestamp> {
        Some(self.refresh_on?.with_offset(self.offset_ms))
    }

    /// Returns when the token stops being fresh. `jitter` differs between the instances of a service.
    pub fn fresh_until(&self, jitter: Duration) -> Timestamp {
        let near_expiry = self.expires_on.saturating_sub(NEAR_EXPIRY_WINDOW);
        self.refresh_on.map_or(near_expiry, |refresh_on| {
            refresh_on.saturating_add(jitter).min(near_expiry)
        })
    }

    /// Returns the freshness at a point in time.
    pub fn freshness(&self, now: Timestamp, jitter: Duration) -> Freshness {
        if now >= self.expires_on {
            Freshness::Expired
        } else if now < self.fresh_until(jitter) {
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

    fn token_with_lifetime(lifetime: Duration) -> Token {
        Token::new(Secret::new("t".into()), NOW, NOW.saturating_add(lifetime))
    }

    #[test]
    fn secret_debug_is_redacted() {
        let token = token_with_lifetime(Duration::from_hours(1));
        let debug = format!("{token:?} {:?}", Secret::new("hush".into()));
        assert!(!debug.contains("hush") && debug.contains("<redacted>"), "{debug}");
    }

    #[test]
    fn refresh_on_is_half_of_a_lifetime_over_2h() {
        assert_eq!(token_with_lifetime(Duration::from_hours(2)).refresh_on, None);
        let over = Duration::from_hours(2) + Duration::from_secs(2);
        assert_eq!(
            token_with_lifetime(over).refresh_on,
            Some(NOW.saturating_add(Duration::from_secs(3_601)))
        );
        let day = token_with_lifetime(Duration::from_hours(24));
        assert_eq!(day.refresh_on, Some(NOW.saturating_add(Duration::from_hours(12))));
    }

    #[test]
    fn freshness_advances_in_order() {
        let jitter = Duration::from_mins(1);
        let day = token_with_lifetime(Duration::from_hours(24));
        let half = NOW.saturating_add(Duration::from_hours(12));
        let second = Duration::from_secs(1);
        for (instant, expected) in [
            (NOW, Freshness::Fresh),
            (
                half.saturating_add(jitter).saturating_sub(second),
                Freshness::Fresh,
            ),
            (half.saturating_add(jitter), Freshness::Stale),
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
            assert_eq!(day.freshness(instant, jitter), expected, "{instant:?}");
        }
    }

    #[test]
    fn short_lived_token_is_fresh_until_near_expiry() {
        let hour = token_with_lifetime(Duration::from_hours(1));
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
