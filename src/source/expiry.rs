//! The expiry of a token, from the fields of its response and from its claims.
//!
//! No other module computes an expiry. Numbers are Unix seconds or smaller units, and texts are the dates of [`datetime`];
//! both fields occur as numbers and as strings. The last resort is the `exp` claim of the token ([RFC 7519]).
//!
//! [RFC 7519]: https://www.rfc-editor.org/rfc/rfc7519#section-4.1.4

use std::time::Duration;

use serde_json::Value;

use super::datetime;
use super::jwt::parse_claims;
use crate::token::{MAX_TOKEN_LIFETIME, Timestamp};

/// An absolute number over this is in milliseconds: as seconds it would be the year 5138.
const MILLIS_FROM: f64 = 100_000_000_000.0;
/// An absolute number over this is in microseconds, by the same reasoning.
const MICROS_FROM: f64 = 1_000.0 * MILLIS_FROM;
/// An absolute number over this is in nanoseconds.
const NANOS_FROM: f64 = 1_000.0 * MICROS_FROM;
/// An `expires_in` over this (the year 2001) is an instant, not a duration.
const ABSOLUTE_FROM: f64 = 978_307_200.0;
/// The last instant that a JavaScript `Date` can hold, in milliseconds.
const MAX_MILLIS: f64 = 8_640_000_000_000_000.0;

/// The expiry of a token.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Expiry {
    /// The instant, by this host's clock.
    pub(super) expires_on: Timestamp,
    /// How far this host's clock is ahead of the endpoint's, if the expiry depends on it.
    pub(super) clock_ahead: Option<Duration>,
}

/// Determines the expiry of a token: `expires_on`, else `expires_in`, else the `exp` claim. `sent_at` is the `Date` header
/// of the response. Returns `None` if none of them is readable. An expiry in the past means that the token is old.
pub(super) fn parse_expiry(
    expires_on: &Value,
    expires_in: &Value,
    token: &str,
    now: Timestamp,
    sent_at: Option<Timestamp>,
) -> Option<Expiry> {
    let (on, within) = (parse_timestamp(expires_on), parse_duration(expires_in, now));
    let claims = parse_claims(token);
    let claim = |name| from_unix(claims.as_ref()?.get(name)?.as_f64()?);
    let (issued, exp) = (claim("iat"), claim("exp"));
    let is_ahead = |instant: &Timestamp| *instant > now;
    let mut clock_ahead = None;
    let stated = match (on.filter(|on| on.millis() > 0), within.filter(is_ahead)) {
        // If this host's clock is behind, `expires_on` is too late by this clock.
        (Some(on), Some(within)) if on > now => on.min(within),
        (Some(on), Some(within)) => match sent_at.filter(|sent_at| *sent_at < on) {
            Some(sent_at) => {
                clock_ahead = Some(now.saturating_duration_since(sent_at));
                within
            }
            None => on,
        },
        (Some(positive), None) | (None, Some(positive)) => positive,
        // Zero and negative values are used only without a better value.
        (None, None) => exp.filter(is_ahead).or(on).or(within).or(exp)?,
    };
    let is_current = issued.is_some_and(|issued| issued <= now);
    let bound = exp.filter(|exp| is_current && is_ahead(exp)).unwrap_or(stated);
    Some(Expiry {
        expires_on: stated.min(bound).min(now.saturating_add(MAX_TOKEN_LIFETIME)),
        clock_ahead,
    })
}

fn parse_timestamp(value: &Value) -> Option<Timestamp> {
    number(value).map_or_else(|| datetime::parse(value.as_str()?.trim()), from_unix)
}

fn parse_duration(value: &Value, now: Timestamp) -> Option<Timestamp> {
    let seconds = number(value)?;
    if seconds > ABSOLUTE_FROM {
        from_unix(seconds)
    } else {
        let lifetime = millis(seconds.abs() * 1_000.0)?.millis();
        let lifetime = if seconds < 0.0 { -lifetime } else { lifetime };
        Some(Timestamp::from_millis(
            now.millis().saturating_add(lifetime).max(0),
        ))
    }
}

/// Converts a Unix timestamp in seconds, or in the smaller unit that its magnitude implies.
fn from_unix(number: f64) -> Option<Timestamp> {
    millis(match number {
        nanos if nanos > NANOS_FROM => nanos / 1_000_000.0,
        micros if micros > MICROS_FROM => micros / 1_000.0,
        millis if millis > MILLIS_FROM => millis,
        seconds => seconds * 1_000.0,
    })
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "checked to be within what an i64 holds exactly"
)]
fn millis(millis: f64) -> Option<Timestamp> {
    (0.0..=MAX_MILLIS)
        .contains(&millis)
        .then_some(Timestamp::from_millis(millis as i64))
}

/// Reads a JSON number, or a string of digits with an optional sign and fraction.
fn number(value: &Value) -> Option<f64> {
    match value {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => {
            let text = text.trim();
            let unsigned = text.strip_prefix('-').unwrap_or(text);
            let is_number = unsigned.starts_with(|c: char| c.is_ascii_digit())
                && unsigned.chars().all(|c| c.is_ascii_digit() || c == '.');
            if is_number { text.parse().ok() } else { None }
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    use serde_json::json;

    use super::*;

    const NOW: Timestamp = Timestamp::from_secs(1_700_000_000);

    /// Returns a JWT with these claims.
    fn jwt(claims: &Value) -> String {
        format!("h.{}.s", URL_SAFE_NO_PAD.encode(claims.to_string()))
    }

    /// Returns the lifetime of a token in seconds.
    fn lifetime(expires_on: Value, expires_in: Value, token: &str) -> Option<i64> {
        let expiry = parse_expiry(&expires_on, &expires_in, token, NOW, None)?;
        assert_eq!(expiry.clock_ahead, None);
        Some((expiry.expires_on.millis() - NOW.millis()) / 1_000)
    }

    /// Returns the Unix timestamp so many seconds from now.
    fn at(seconds: i64) -> i64 {
        NOW.millis() / 1_000 + seconds
    }

    #[test]
    fn each_expiry_format_is_parsed() {
        for (value, millis) in [
            (json!(1_732_145_000), 1_732_145_000_000),
            (json!(1_732_145_000.0), 1_732_145_000_000),
            (json!("1732145000"), 1_732_145_000_000),
            (json!("1732145000.0"), 1_732_145_000_000),
            (json!(" 1732145000 "), 1_732_145_000_000),
            (json!(1_732_145_000_123_i64), 1_732_145_000_123),
            (json!("1732145000123"), 1_732_145_000_123),
            (json!(1_732_145_000_123_456_i64), 1_732_145_000_123),
            (json!("1732145000123456"), 1_732_145_000_123),
            (json!(1_732_145_000_123_456_789_i64), 1_732_145_000_123),
            (json!("2024-10-18T19:51:37Z"), 1_729_281_097_000),
            (json!("1/10/2020 8:01:28 AM +00:00"), 1_578_643_288_000),
            (json!(" Sun, 22 Nov 2026 04:05:06 GMT "), 1_795_320_306_000),
            (json!("Sunday, 22-Nov-26 04:05:06 GMT"), 1_795_320_306_000),
            (json!("Sun Nov 22 04:05:06 2026"), 1_795_320_306_000),
            (json!(0), 0),
        ] {
            assert_eq!(
                parse_timestamp(&value).map(Timestamp::millis),
                Some(millis),
                "{value}"
            );
        }
        for value in [
            json!(-1),
            json!("-1"),
            json!("1.2.3"),
            json!("1e9"),
            json!("soon"),
            json!(""),
            json!(1e300),
            json!(true),
            json!(null),
            json!([1]),
            json!({"a": 1}),
        ] {
            assert_eq!(parse_timestamp(&value), None, "{value}");
        }
    }

    #[test]
    fn durations_have_two_formats_and_large_values_are_timestamps() {
        let within = |value| lifetime(Value::Null, value, "opaque");
        for (value, seconds) in [
            (json!("3599"), Some(3_599)),
            (json!(3_599), Some(3_599)),
            (json!(" 3599.5 "), Some(3_599)),
            (json!(at(3_600)), Some(3_600)),
            (json!(at(3_600).to_string()), Some(3_600)),
            (json!(at(3_600) * 1_000), Some(3_600)),
            // Zero and negative values are used without a better value.
            (json!(0), Some(0)),
            (json!("-5"), Some(-5)),
            (json!(-1e300), None),
            (json!("soon"), None),
        ] {
            assert_eq!(within(value.clone()), seconds, "{value}");
        }
    }

    #[test]
    fn zero_and_negative_expiry_yields_to_a_valid_field() {
        let good = jwt(&json!({"exp": at(1_800)}));
        let old = jwt(&json!({"exp": at(-1_800)}));
        for (on, within, token, seconds) in [
            (json!(0), json!(3_600), "opaque", 3_600),
            (json!("0"), json!("3600"), "opaque", 3_600),
            (json!(-1), json!(3_600), "opaque", 3_600),
            (json!("1970-01-01T00:00:00Z"), json!(3_600), "opaque", 3_600),
            (json!("0001-01-01T00:00:00Z"), json!(3_600), "opaque", 3_600),
            (json!(at(3_600)), json!(0), "opaque", 3_600),
            (json!(at(3_600)), json!("-1"), "opaque", 3_600),
            (Value::Null, json!("0"), &*good, 1_800),
            (json!(0), json!(0), &*good, 1_800),
            (json!(0), Value::Null, &*good, 1_800),
            (json!("nonsense"), json!(-5), &*good, 1_800),
            // Without a plausible value the stated one is used.
            (Value::Null, json!(0), &*old, 0),
            (json!(0), Value::Null, "opaque", -at(0)),
            (json!(0), json!(0), &*old, -at(0)),
        ] {
            assert_eq!(
                lifetime(on.clone(), within.clone(), token),
                Some(seconds),
                "{on} {within}"
            );
        }
    }

    #[test]
    fn first_readable_expiry_field_wins() {
        let token = jwt(&json!({"exp": at(1_800)}));
        let padded = token.replace(".s", "==.s");
        for (on, within, token, seconds) in [
            // Without `iat` the claims do not limit the fields.
            (json!(at(3_600)), Value::Null, &*token, Some(3_600)),
            (json!("nonsense"), json!(60), &*token, Some(60)),
            (Value::Null, json!(""), &*token, Some(1_800)),
            (Value::Null, Value::Null, &*padded, Some(1_800)),
            // A past `expires_on` means an old token, whatever its claims are.
            (json!(at(-60)), Value::Null, &*token, Some(-60)),
            (json!({}), json!([]), "opaque", None),
            (json!({}), json!([]), "h.!.s", None),
            (json!({}), json!([]), "h.e30.s", None),
            (json!({}), json!([]), "h.bnVsbA.s", None),
        ] {
            assert_eq!(
                lifetime(on.clone(), within.clone(), token),
                seconds,
                "{on} {within}"
            );
        }
    }

    #[test]
    fn earlier_of_two_future_expiries_wins() {
        for (on, within, seconds) in [
            (at(7_200), 3_600, 3_600),
            (at(3_600), 7_200, 3_600),
            // This host's clock is a day behind.
            (at(86_400 + 3_600), 3_600, 3_600),
            (at(3_600), at(1_800), 1_800),
        ] {
            assert_eq!(
                lifetime(json!(on), json!(within), "opaque"),
                Some(seconds),
                "{on} {within}"
            );
        }
    }

    #[test]
    fn past_expires_on_is_compared_with_the_response_date() {
        const DAY: i64 = 86_400;
        let expiry = |on: i64, within: Value, sent_at: Option<i64>| {
            let sent_at = sent_at.map(|seconds| Timestamp::from_secs(at(seconds)));
            let expiry = parse_expiry(&json!(at(on)), &within, "opaque", NOW, sent_at).expect("read");
            let ahead = expiry.clock_ahead.map(|ahead| ahead.as_secs());
            ((expiry.expires_on.millis() - NOW.millis()) / 1_000, ahead)
        };
        // This host's clock is a day ahead.
        assert_eq!(expiry(-1, json!(DAY - 1), Some(-DAY)), (DAY - 1, Some(86_400)));
        assert_eq!(expiry(-60, json!("3600"), Some(-61)), (3_600, Some(61)));
        // The token is old.
        for sent_at in [None, Some(0), Some(-60), Some(60), Some(DAY)] {
            assert_eq!(expiry(-60, json!(3_600), sent_at), (-60, None), "{sent_at:?}");
        }
        // Without a usable `expires_in` the past expiry remains.
        for within in [Value::Null, json!(0), json!(-5), json!("soon")] {
            assert_eq!(expiry(-60, within, Some(-DAY)), (-60, None));
        }
        // A future `expires_on` is not compared with the date of the response.
        assert_eq!(expiry(60, json!(3_600), Some(-DAY)), (60, None));
    }

    #[test]
    fn token_lifetime_is_capped_at_48h() {
        const TWO_DAYS: i64 = 172_800;
        let forever = jwt(&json!({"exp": at(10 * 365 * 86_400)}));
        for (on, within, token, seconds) in [
            (json!(at(TWO_DAYS)), Value::Null, "opaque", TWO_DAYS),
            (json!(at(TWO_DAYS + 1)), Value::Null, "opaque", TWO_DAYS),
            (json!("9999-12-31T23:59:59Z"), Value::Null, "opaque", TWO_DAYS),
            (Value::Null, json!(3_599_000), "opaque", TWO_DAYS),
            (Value::Null, json!(3_599_000_000_i64), "opaque", TWO_DAYS),
            (Value::Null, Value::Null, &*forever, TWO_DAYS),
            // Microseconds are recognized.
            (json!(at(3_600) * 1_000_000), Value::Null, "opaque", 3_600),
        ] {
            assert_eq!(
                lifetime(on.clone(), within.clone(), token),
                Some(seconds),
                "{on} {within}"
            );
        }
    }

    #[test]
    fn jwt_exp_limits_the_expiry() {
        let far = at(10 * 365 * 86_400);
        for (claims, seconds) in [
            (json!({"iat": at(-300), "exp": at(3_600)}), 3_600),
            (json!({"iat": at(0), "exp": at(1)}), 1),
            (json!({"iat": at(-300), "exp": at(3_600) * 1_000}), 3_600),
            // Claims that do not enclose the current time set no limit.
            (json!({"exp": at(3_600)}), 172_800),
            (json!({"iat": at(1), "exp": at(3_600)}), 172_800),
            (json!({"iat": at(-300), "exp": at(0)}), 172_800),
            (json!({"iat": "x", "exp": at(3_600)}), 172_800),
        ] {
            let token = jwt(&claims);
            assert_eq!(
                lifetime(json!(far), Value::Null, &token),
                Some(seconds),
                "{claims}"
            );
            assert_eq!(
                lifetime(Value::Null, json!(900_000), &token),
                Some(seconds),
                "{claims}"
            );
            // The claim never extends an expiry.
            assert_eq!(lifetime(json!(at(-9)), Value::Null, &token), Some(-9), "{claims}");
        }
        let token = jwt(&json!({"iat": at(-300), "exp": at(3_600)}));
        assert_eq!(lifetime(json!(at(60)), Value::Null, &token), Some(60));
        let claims = format!(r#"{{"x": NaN, "iat": {}, "exp": {}}}"#, at(-300), at(3_600));
        let token = format!("h.{}.s", URL_SAFE_NO_PAD.encode(claims));
        assert_eq!(lifetime(json!(far), Value::Null, &token), Some(3_600));
    }
}
