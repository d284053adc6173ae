//! Parsing of dates with a time of day, in every format that managed identity endpoints are known to send.
//!
//! These are ISO 8601, the two formats of App Service's 2017 API, and the formats of HTTP ([RFC 9110]).
//!
//! [RFC 9110]: https://www.rfc-editor.org/rfc/rfc9110#section-5.6.7

use crate::token::Timestamp;

/// Parses a date with a time of day. Without an offset it is UTC.
pub(super) fn parse(text: &str) -> Option<Timestamp> {
    Timestamp::from_http_date(text).or_else(|| parse_numeric(text))
}

/// Parses a date whose month is a number.
fn parse_numeric(text: &str) -> Option<Timestamp> {
    let mut scan = Scanner(text);
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
    let hour = match scan.meridiem_hours() {
        Some(added) => (1..=12).contains(&hour).then_some(hour % 12 + added)?,
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

/// A scanner over the rest of a text.
struct Scanner<'a>(&'a str);

impl Scanner<'_> {
    fn literal(&mut self, literal: &str) -> Option<()> {
        self.0 = self.0.strip_prefix(literal)?;
        Some(())
    }

    fn digits(&mut self, min: usize, max: usize) -> Option<i64> {
        let count = self.0.bytes().take(max).take_while(u8::is_ascii_digit).count();
        let (digits, rest) = self.0.split_at(count);
        self.0 = rest;
        if count < min { None } else { digits.parse().ok() }
    }

    /// Reads an optional fraction of a second, in milliseconds.
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

    /// Reads `AM` or `PM` and returns the hours that it adds.
    fn meridiem_hours(&mut self) -> Option<i64> {
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

    /// Reads `Z`, `+hh:mm` or `+hhmm`; without an offset the time is UTC.
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

/// Returns the number of days since 1970-01-01 in the Gregorian calendar.
fn days_since_1970(year: i64, month: i64, day: i64) -> i64 {
    let leap_days = |year: i64| year / 4 - year / 100 + year / 400;
    let years = (year - 1970) * 365 + leap_days(year - 1) - leap_days(1969);
    years + (1..month).map(|month| days_in_month(year, month)).sum::<i64>() + day - 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_datetime_format_is_parsed() {
        for (text, millis) in [
            ("2024-10-18T19:51:37Z", 1_729_281_097_000),
            ("2024-10-18T19:51:37.0000000+00:00", 1_729_281_097_000),
            ("2024-10-18T19:51:37.123Z", 1_729_281_097_123),
            ("2024-10-18T19:51:37.1Z", 1_729_281_097_100),
            ("2024-10-18T21:51:37+02:00", 1_729_281_097_000),
            ("2024-10-18T14:21:37-0530", 1_729_281_097_000),
            ("2024-10-18T19:51:37", 1_729_281_097_000),
            ("1/10/2020 8:01:28 AM +00:00", 1_578_643_288_000),
            ("1/10/2020 8:01:28 PM +00:00", 1_578_686_488_000),
            ("1/10/2020 12:01:28 AM +00:00", 1_578_614_488_000),
            ("1/10/2020 12:01:28 PM +00:00", 1_578_657_688_000),
            ("06/19/2019 23:42:01 +00:00", 1_560_987_721_000),
            ("2020-01-10 08:01:28", 1_578_643_288_000),
            ("2024-02-29T00:00:00Z", 1_709_164_800_000),
            ("2000-03-01T00:00:00Z", 951_868_800_000),
            ("1970-01-01T00:00:00Z", 0),
            // The three formats of RFC 9110, 5.6.7.
            ("Sun, 22 Nov 2026 04:05:06 GMT", 1_795_320_306_000),
            ("Sunday, 22-Nov-26 04:05:06 GMT", 1_795_320_306_000),
            ("Sun Nov 22 04:05:06 2026", 1_795_320_306_000),
        ] {
            assert_eq!(parse(text), Some(Timestamp::from_millis(millis)), "{text}");
        }
    }

    #[test]
    fn invalid_datetime_is_none() {
        for text in [
            "",
            " ",
            "soon",
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
            "0001-01-01T00:00:00Z",
            "13/10/2020 8:01:28 AM +00:00",
            "1/10/2020 13:01:28 PM +00:00",
            "1/10/2020 0:01:28 AM +00:00",
            "1/10/20 8:01:28 AM",
            "1/10/2020",
            "１/10/2020 8:01:28",
            "2024-10-18T19:51:37é",
            "Sun, 22 Nov 2026 04:05:06 CET",
            "Sun, 32 Nov 2026 04:05:06 GMT",
            "22 Nov 2026 04:05:06 GMT",
        ] {
            assert_eq!(parse(text), None, "{text:?}");
        }
    }
}
