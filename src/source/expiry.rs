//! When a token ends, in every form that a managed identity endpoint has been seen to say it.
//!
//! The only place that parses an expiry. The forms are those of the wire contract: Unix seconds and
//! milliseconds as numbers and strings, ISO 8601, the two date formats of App Service's 2017 API,
//! seconds from now, and at last the `exp` of the token itself ([RFC 7519]).
//!
//! [RFC 7519]: https://www.rfc-editor.org/rfc/rfc7519#section-4.1.4

use serde_json::Value;

use super::claims::claims;
use crate::token::Timestamp;

/// An absolute number over this is in milliseconds (as seconds it would be the year 5138).
const MILLIS_FROM: f64 = 100_000_000_000.0;
/// An `expires_in` over this (the year 2001) is an instant, not a duration.
const ABSOLUTE_FROM: f64 = 978_307_200.0;
/// The last instant that a JavaScript `Date` can hold, in milliseconds.
const LAST_MILLIS: f64 = 8_640_000_000_000_000.0;

/// Reads the expiry of a token from its answer: `expires_on`, else `expires_in`, else the token.
pub(super) fn read(expires_on: &Value, expires_in: &Value, token: &str, now: Timestamp) -> Option<Timestamp> {
    instant(expires_on)
        .or_else(|| from_now(expires_in, now))
        .or_else(|| expiry_claim(token))
}

fn instant(value: &Value) -> Option<Timestamp> {
    number(value).map_or_else(|| date(value.as_str()?.trim()), absolute)
}

fn from_now(value: &Value, now: Timestamp) -> Option<Timestamp> {
    let seconds = number(value)?;
    if seconds > ABSOLUTE_FROM {
        absolute(seconds)
    } else {
        let wait = millis(seconds.abs() * 1_000.0)?.millis();
        let wait = if seconds < 0.0 { -wait } else { wait };
        Some(Timestamp::from_millis(now.millis().saturating_add(wait).max(0)))
    }
}

fn absolute(number: f64) -> Option<Timestamp> {
    millis(if number > MILLIS_FROM {
        number
    } else {
        number * 1_000.0
    })
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "checked to be within what an i64 holds exactly"
)]
fn millis(millis: f64) -> Option<Timestamp> {
    (0.0..=LAST_MILLIS)
        .contains(&millis)
        .then_some(Timestamp::from_millis(millis as i64))
}

/// A JSON number, or a string of digits with an optional sign and fraction.
fn number(value: &Value) -> Option<f64> {
    match value {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => {
            let text = text.trim();
            let amount = text.strip_prefix('-').unwrap_or(text);
            let plain = amount.starts_with(|c: char| c.is_ascii_digit())
                && amount.chars().all(|c| c.is_ascii_digit() || c == '.');
            if plain { text.parse().ok() } else { None }
        }
        _ => None,
    }
}

/// The `exp` of a JWT.
fn expiry_claim(token: &str) -> Option<Timestamp> {
    absolute(claims(token)?.get("exp")?.as_f64()?)
}

/// A date with a time of day, in one of the written forms. Without an offset it is UTC.
fn date(text: &str) -> Option<Timestamp> {
    let mut scan = Scan(text);
    let (year, month, day) = if text.contains('/') {
        let (month, day) = (
            scan.digits(1, 2)?,
            scan.literal("/").and_then(|()| scan.digits(1, 2))?,
        );
        (scan.literal("/").and_then(|()| scan.digits(4, 4))?, month, day)
    } else {
        let (year, month) = (
            scan.digits(4, 4)?,
            scan.literal("-").and_then(|()| scan.digits(2, 2))?,
        );
        (year, month, scan.literal("-").and_then(|()| scan.digits(2, 2))?)
    };
    scan.literal("T")
        .or_else(|| scan.literal("t"))
        .or_else(|| scan.literal(" "))?;
    let hour = scan.digits(1, 2)?;
    let minute = scan.literal(":").and_then(|()| scan.digits(2, 2))?;
    let second = scan.literal(":").and_then(|()| scan.digits(2, 2))?;
    let fraction = scan.fraction()?;
    let hour = match scan.half_of_day() {
        Some(after_noon) => (1..=12).contains(&hour).then_some(hour % 12 + after_noon)?,
        None => hour,
    };
    let offset = scan.offset_minutes()?;
    let valid = (1970..=9999).contains(&year)
        && (1..=12).contains(&month)
        && (1..=days_in_month(year, month)).contains(&day)
        && hour < 24
        && minute < 60
        && second <= 60;
    let days = days_since_1970(year, month, day);
    let seconds = days * 86_400 + hour * 3_600 + minute * 60 + second - offset * 60;
    (valid && scan.0.is_empty()).then_some(Timestamp::from_millis(seconds * 1_000 + fraction))
}

/// What is left of a text that is read from its front.
struct Scan<'a>(&'a str);

impl Scan<'_> {
    fn literal(&mut self, literal: &str) -> Option<()> {
        self.0 = self.0.strip_prefix(literal)?;
        Some(())
    }

    fn digits(&mut self, least: usize, most: usize) -> Option<i64> {
        let count = self.0.bytes().take(most).take_while(u8::is_ascii_digit).count();
        let (digits, rest) = self.0.split_at(count);
        self.0 = rest;
        if count < least { None } else { digits.parse().ok() }
    }

    /// Milliseconds; none written is none.
    fn fraction(&mut self) -> Option<i64> {
        if self.literal(".").is_none() {
            return Some(0);
        }
        let count = self.0.bytes().take_while(u8::is_ascii_digit).count();
        let (digits, rest) = self.0.split_at(count);
        self.0 = rest;
        let millis = format!("{digits:0<3}");
        if count == 0 {
            None
        } else {
            millis[..3].parse().ok()
        }
    }

    /// The hours that `AM` or `PM` adds.
    fn half_of_day(&mut self) -> Option<i64> {
        let trimmed = self.0.trim_start();
        let half = trimmed.get(..2)?;
        let hours = if half.eq_ignore_ascii_case("am") {
            0
        } else if half.eq_ignore_ascii_case("pm") {
            12
        } else {
            return None;
        };
        self.0 = &trimmed[2..];
        Some(hours)
    }

    /// `Z`, `+hh:mm` or `+hhmm`; none written is UTC.
    fn offset_minutes(&mut self) -> Option<i64> {
        self.0 = self.0.trim_start();
        if self.0.is_empty() || self.literal("Z").or_else(|| self.literal("z")).is_some() {
            return Some(0);
        }
        let sign = if self.literal("-").is_some() {
            -1
        } else {
            self.literal("+").map(|()| 1)?
        };
        let hours = self.digits(2, 2)?;
        let _ = self.literal(":");
        let minutes = self.digits(2, 2)?;
        (hours < 24 && minutes < 60).then_some(sign * (hours * 60 + minutes))
    }
}

fn is_leap(year: i64) -> bool {
    year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
}

fn days_in_month(year: i64, month: i64) -> i64 {
    match month {
        2 if is_leap(year) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days of the Gregorian calendar, counted over the leap days of the years before.
fn days_since_1970(year: i64, month: i64, day: i64) -> i64 {
    let leap_days = |year: i64| year / 4 - year / 100 + year / 400;
    let years = (year - 1970) * 365 + leap_days(year - 1) - leap_days(1969);
    years + (1..month).map(|month| days_in_month(year, month)).sum::<i64>() + day - 1
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;

    use super::*;

    const NOW: Timestamp = Timestamp::from_secs(1_700_000_000);

    fn on(value: Value) -> Option<i64> {
        read(&value, &Value::Null, "opaque", NOW).map(Timestamp::millis)
    }

    fn within(value: Value) -> Option<i64> {
        read(&Value::Null, &value, "opaque", NOW).map(Timestamp::millis)
    }

    #[test]
    fn every_form_of_the_table_is_read() {
        for (value, millis) in [
            (json!(1_732_145_000), 1_732_145_000_000),
            (json!(1_732_145_000.0), 1_732_145_000_000),
            (json!("1732145000"), 1_732_145_000_000),
            (json!("1732145000.0"), 1_732_145_000_000),
            (json!(" 1732145000 "), 1_732_145_000_000),
            (json!(1_732_145_000_123_i64), 1_732_145_000_123),
            (json!("1732145000123"), 1_732_145_000_123),
            (json!("2024-10-18T19:51:37Z"), 1_729_281_097_000),
            (json!("2024-10-18T19:51:37.0000000+00:00"), 1_729_281_097_000),
            (json!("2024-10-18T19:51:37.123Z"), 1_729_281_097_123),
            (json!("2024-10-18T19:51:37.1Z"), 1_729_281_097_100),
            (json!("2024-10-18T21:51:37+02:00"), 1_729_281_097_000),
            (json!("2024-10-18T14:21:37-0530"), 1_729_281_097_000),
            (json!("2024-10-18T19:51:37"), 1_729_281_097_000),
            (json!("1/10/2020 8:01:28 AM +00:00"), 1_578_643_288_000),
            (json!("1/10/2020 8:01:28 PM +00:00"), 1_578_686_488_000),
            (json!("1/10/2020 12:01:28 AM +00:00"), 1_578_614_488_000),
            (json!("1/10/2020 12:01:28 PM +00:00"), 1_578_657_688_000),
            (json!("06/19/2019 23:42:01 +00:00"), 1_560_987_721_000),
            (json!("2020-01-10 08:01:28"), 1_578_643_288_000),
            (json!("2024-02-29T00:00:00Z"), 1_709_164_800_000),
            (json!("2000-03-01T00:00:00Z"), 951_868_800_000),
            (json!("1970-01-01T00:00:00Z"), 0),
        ] {
            assert_eq!(on(value.clone()), Some(millis), "{value}");
        }
    }

    #[test]
    fn seconds_from_now_have_two_forms_and_large_ones_are_instants() {
        assert_eq!(within(json!("3599")), Some(1_700_003_599_000));
        assert_eq!(within(json!(3_599)), Some(1_700_003_599_000));
        assert_eq!(within(json!(978_307_200)), Some(NOW.millis() + 978_307_200_000));
        assert_eq!(within(json!(1_732_145_000)), Some(1_732_145_000_000));
        // One that is over is over, and no reason to look elsewhere.
        assert_eq!(within(json!(-5)), Some(NOW.millis() - 5_000));
        assert_eq!(within(json!("-5")), Some(NOW.millis() - 5_000));
        assert_eq!(within(json!(-1e300)), None);
        assert_eq!(within(json!("soon")), None);
    }

    #[test]
    fn what_comes_first_counts_if_it_can_be_read() {
        let token = format!("h.{}.s", URL_SAFE_NO_PAD.encode(r#"{"exp":1732145999}"#));
        let padded = format!("h.{}==.s", URL_SAFE_NO_PAD.encode(r#"{"exp":1732145999}"#));
        let millis = |on, within, token: &str| read(&on, &within, token, NOW).map(Timestamp::millis);
        assert_eq!(
            millis(json!("1732145000"), json!(60), &token),
            Some(1_732_145_000_000)
        );
        assert_eq!(
            millis(json!("nonsense"), json!(60), &token),
            Some(1_700_000_060_000)
        );
        assert_eq!(millis(Value::Null, json!(""), &token), Some(1_732_145_999_000));
        assert_eq!(millis(Value::Null, Value::Null, &padded), Some(1_732_145_999_000));
        for opaque in ["", "h", "h.p", "h.!.s", "h.e30.s", "h.bnVsbA.s"] {
            assert_eq!(millis(json!({}), json!([]), opaque), None, "{opaque:?}");
        }
    }

    #[test]
    fn what_is_no_instant_is_none() {
        for text in [
            "",
            " ",
            "soon",
            "-1",
            "1.2.3",
            "1e9",
            "0x10",
            "2024-10-18",
            "2024-13-18T19:51:37Z",
            "2024-00-18T19:51:37Z",
            "2023-02-29T00:00:00Z",
            "2024-10-32T19:51:37Z",
            "2024-10-18T24:00:00Z",
            "2024-10-18T19:60:37Z",
            "2024-10-18T19:51:61Z",
            "2024-10-18T19:51:37.Z",
            "2024-10-18T19:51:37+2",
            "2024-10-18T19:51:37+24:00",
            "2024-10-18T19:51:37ZZ",
            "2024-10-18X19:51:37Z",
            "1969-12-31T23:59:59Z",
            "13/10/2020 8:01:28 AM +00:00",
            "1/10/2020 13:01:28 PM +00:00",
            "1/10/2020 0:01:28 AM +00:00",
            "1/10/20 8:01:28 AM",
            "1/10/2020",
            "１/10/2020 8:01:28",
            "2024-10-18T19:51:37é",
        ] {
            assert_eq!(on(json!(text)), None, "{text:?}");
        }
        for value in [
            json!(-1),
            json!(1e300),
            json!(true),
            json!(null),
            json!([1]),
            json!({"a": 1}),
        ] {
            assert_eq!(on(value.clone()), None, "{value}");
        }
    }
}
