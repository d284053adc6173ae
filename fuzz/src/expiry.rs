//! The expiry of a token: every format of docs/wire-protocol.md is parsed correctly, the fields take precedence as that page
//! says, and no lifetime exceeds two days.
//!
//! The input is four lines: `expires_on`, `expires_in` and the claims of the token, each as JSON or else as the content of a
//! string, and the seconds by which this host's clock is ahead of the endpoint's. The bytes also determine a date, which is
//! formatted in every known format and must be parsed as the instant that the `time` crate computes.

use std::fmt::Write as _;

use managed_identity_native::source::{GrantedToken, TokenResponse};
use managed_identity_native::token::{Timestamp, Token};
use serde_json::{Value, json};
use time::{Date, Month, OffsetDateTime, Time, UtcOffset};

use crate::fake_platform::NOW;

/// The last instant of a JavaScript `Date`, in milliseconds.
const LAST_MILLIS: i64 = 8_640_000_000_000_000;
const HOUR: i64 = 3_600_000;
const DAY: i64 = 24 * HOUR;
const TWO_HOURS: i64 = 2 * HOUR;
/// The maximum lifetime of a token.
const TWO_DAYS: i64 = 2 * DAY;

/// Checks the expiry of four lines, and of the date that the bytes determine.
pub fn check(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let mut lines = text.splitn(4, '\n');
    let [on, within, claims] = [(); 3].map(|()| lines.next().map_or(Value::Null, value));
    let ahead = lines.next().and_then(|line| line.trim().parse::<i32>().ok());
    let sent_at = ahead.map(|seconds| Timestamp::from_millis(NOW.millis() - i64::from(seconds) * 1_000));
    check_rules(&Fields { on, within, claims }, sent_at);
    if let Some(date) = SampledDate::from_bytes(data) {
        date.check();
    }
}

/// The fields of a response that determine the expiry.
struct Fields {
    on: Value,
    within: Value,
    claims: Value,
}

impl Fields {
    fn empty() -> Self {
        Self {
            on: Value::Null,
            within: Value::Null,
            claims: Value::Null,
        }
    }

    fn on(on: &Value) -> Self {
        Self {
            on: on.clone(),
            ..Self::empty()
        }
    }

    fn within(within: &Value) -> Self {
        Self {
            within: within.clone(),
            ..Self::empty()
        }
    }

    fn claims(claims: &Value) -> Self {
        Self {
            claims: claims.clone(),
            ..Self::empty()
        }
    }

    /// Returns the expiry in milliseconds, and how far this host's clock is ahead, as far as that was determined.
    fn read(&self, now: i64, sent_at: Option<Timestamp>) -> (Option<i64>, Option<i64>) {
        let token = format!("e30.{}.c2ln", base64url(self.claims.to_string().as_bytes()));
        let body = json!({ "access_token": token, "expires_on": self.on, "expires_in": self.within });
        let mut token_response = TokenResponse::parse(body.to_string().as_bytes()).expect("an object");
        let now = Timestamp::from_millis(now);
        let GrantedToken {
            token,
            cacheable,
            clock_ahead,
        } = token_response.take_token(now, sent_at).expect("a token");
        assert_refresh_is_at_half(&token, now);
        assert!(
            cacheable || token.expires_on == now,
            "without an expiry, the token expires now"
        );
        let ahead = clock_ahead.map(|ahead| i64::try_from(ahead.as_millis()).expect("some years"));
        (cacheable.then_some(token.expires_on.millis()), ahead)
    }

    /// Returns the expiry of a single field.
    fn read_single(&self) -> Option<i64> {
        let (end, ahead) = self.read(NOW.millis(), None);
        assert_eq!(ahead, None, "a single field needs no comparison of clocks");
        end
    }
}

/// Checks the precedence of the three fields, given the expiry of each alone.
fn check_rules(fields: &Fields, sent_at: Option<Timestamp>) {
    let now = NOW.millis();
    let on = Fields::on(&fields.on).read_single();
    let within = Fields::within(&fields.within).read_single();
    let exp = Fields::claims(&json!({ "exp": fields.claims["exp"] })).read_single();
    let issued = Fields::on(&fields.claims["iat"].as_f64().map_or(Value::Null, Value::from)).read_single();
    for end in [on, within, exp].into_iter().flatten() {
        assert_in_range(end);
        assert!(end <= now + TWO_DAYS, "two days at most");
    }
    let (whole, ahead) = fields.read(now, sent_at);
    let ends_later = |end: &i64| *end > now;
    let by_fields = match (on.filter(|on| *on > 0), within.filter(ends_later)) {
        (Some(on), Some(within)) if on > now => Some(on.min(within)),
        (Some(on), Some(within)) => {
            let is_ahead = sent_at.is_some_and(|sent_at| sent_at.millis() < on);
            let difference = sent_at.filter(|_| is_ahead).map(|sent_at| now - sent_at.millis());
            assert_eq!(ahead, difference, "a clock that is ahead is reported");
            Some(if is_ahead { within } else { on })
        }
        (on, within) => on.or(within),
    };
    let stated = by_fields.or(exp.filter(ends_later)).or(on).or(within).or(exp);
    let is_current = issued.is_some_and(|issued| issued <= now);
    let bound = exp.filter(|exp| is_current && *exp > now);
    assert_eq!(
        whole,
        stated.map(|stated| bound.map_or(stated, |bound| stated.min(bound))),
        "the precedence of the fields"
    );
    for value in [&fields.on, &fields.within, &fields.claims["exp"]] {
        if let Some(number) = value.as_u64().or_else(|| digits(value.as_str()?)) {
            check_number(number);
        }
    }
}

/// Parses JSON; any other text is the content of a string.
fn value(line: &str) -> Value {
    serde_json::from_str(line).unwrap_or_else(|_| line.into())
}

fn digits(text: &str) -> Option<u64> {
    text.trim().parse().ok()
}

/// Checks that a number has the same meaning as a number, as a string, and with the fraction `.0`.
fn check_number(number: u64) {
    // Seconds, milliseconds, microseconds and nanoseconds, each up to the year 5138.
    let absolute = match number {
        0..=100_000_000_000 => number * 1_000,
        100_000_000_001..=100_000_000_000_000 => number,
        // As a binary fraction the limit is rounded: adjacent values are 16 apart here.
        100_000_000_000_001..=100_000_000_000_000_008 => number / 1_000,
        _ => number / 1_000_000,
    };
    let absolute = i64::try_from(absolute).expect("below the year 5138");
    // One hour earlier, so that the limit of two days does not apply.
    let before = absolute - HOUR;
    // Binary fractions cannot represent single nanoseconds.
    let is_near = |end: Option<i64>, expected: i64| end.is_some_and(|end| (end - expected).abs() <= 1);
    for form in [
        json!(number),
        json!(number.to_string()),
        json!(format!(" {number}.0 ")),
    ] {
        let (end, _) = Fields::on(&form).read(before, None);
        assert!(is_near(end, absolute), "expires_on {form}");
        let (end, expected) = match i64::try_from(number) {
            Ok(seconds) if seconds <= 978_307_200 => (
                Fields::within(&form).read_single(),
                NOW.millis() + (seconds * 1_000).min(TWO_DAYS),
            ),
            _ => (Fields::within(&form).read(before, None).0, absolute),
        };
        assert!(is_near(end, expected), "expires_in {form}");
    }
    let (end, _) = Fields::claims(&json!({ "exp": number })).read(before, None);
    assert!(is_near(end, absolute), "exp {number}");
}

/// Checks that an expiry is in the range of a JavaScript `Date`. A date of 1970 east of UTC may be in 1969.
pub fn assert_in_range(millis: i64) {
    assert!((-DAY..=LAST_MILLIS).contains(&millis), "{millis}");
}

/// Checks that the refresh is after half of a lifetime over two hours, and that a shorter lifetime has none.
pub fn assert_refresh_is_at_half(token: &Token, now: Timestamp) {
    let lifetime = token.expires_on.millis() - now.millis();
    let half = (lifetime > TWO_HOURS).then(|| now.millis() + lifetime / 2);
    assert_eq!(token.refresh_on.map(Timestamp::millis), half, "{lifetime} ms");
}

/// A date that the bytes of an input determine.
struct SampledDate {
    year: i32,
    month: u8,
    day: u8,
    hour: u8,
    minute: u8,
    second: u8,
    millis: u16,
    offset: i16,
}

impl SampledDate {
    fn from_bytes(data: &[u8]) -> Option<Self> {
        let data: &[u8; 11] = data.first_chunk()?;
        let pair = |first: usize| u16::from_be_bytes([data[first], data[first + 1]]);
        Some(Self {
            year: 1970 + i32::from(pair(0) % 8_030),
            // The ranges include invalid values.
            month: data[2] % 14,
            day: data[3] % 33,
            hour: data[4] % 25,
            minute: data[5] % 61,
            second: data[6] % 60,
            millis: pair(7) % 1_000,
            offset: i16::try_from(pair(9) % 2_879).ok()? - 1_439,
        })
    }

    /// Returns the instant by the `time` crate; `None` for an invalid date.
    fn oracle(&self) -> Option<OffsetDateTime> {
        let month = Month::try_from(self.month).ok()?;
        let date = Date::from_calendar_date(self.year, month, self.day).ok()?;
        let time = Time::from_hms_milli(self.hour, self.minute, self.second, self.millis).ok()?;
        let offset = UtcOffset::from_whole_seconds(i32::from(self.offset) * 60).ok()?;
        Some(date.with_time(time).assume_offset(offset))
    }

    /// Returns a valid date in the three formats of RFC 9110, 5.6.7.
    fn forms_of_http(&self) -> impl Iterator<Item = String> {
        let Self {
            year,
            day,
            hour,
            minute,
            second,
            ..
        } = self;
        let date = Month::try_from(self.month)
            .ok()
            .and_then(|month| Date::from_calendar_date(*year, month, *day).ok());
        let forms = date.filter(|_| *hour < 24 && *minute < 60).map(|date| {
            let (weekday, month) = (date.weekday().to_string(), &date.month().to_string()[..3]);
            let short = &weekday[..3];
            let time = format!("{hour:02}:{minute:02}:{second:02}");
            let two_digits = (*year < 2070).then(|| {
                let year = year % 100;
                format!("{weekday}, {day:02}-{month}-{year:02} {time} GMT")
            });
            let forms = [
                format!("{short}, {day:02} {month} {year} {time} GMT"),
                format!("{short} {month} {day:>2} {time} {year}"),
            ];
            forms.into_iter().chain(two_digits)
        });
        forms.into_iter().flatten()
    }

    fn check(&self) {
        let Self {
            year,
            month,
            day,
            hour,
            minute,
            second,
            millis,
            offset,
        } = self;
        let instant = self.oracle().map(|at| {
            i64::try_from(at.unix_timestamp_nanos() / 1_000_000).expect("within ten thousand years")
        });
        let whole = instant.map(|at| at - i64::from(*millis));
        let utc = whole.map(|at| at + i64::from(*offset) * 60_000);
        let sign = if *offset < 0 { '-' } else { '+' };
        let (hours, minutes) = (offset.abs() / 60, offset.abs() % 60);
        let iso = format!("{year}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}");
        let slashes = format!("{month:02}/{day:02}/{year}");
        let half = if *hour < 12 { "AM" } else { "PM" };
        let of_twelve = if hour % 12 == 0 { 12 } else { hour % 12 };
        let mut forms = vec![
            (iso.clone(), utc),
            (format!("{iso}Z"), utc),
            (iso.replace('T', " "), utc),
            (format!("{iso}.{millis:03}{sign}{hours:02}:{minutes:02}"), instant),
            (
                format!("{iso}.{millis:03}0000{sign}{hours:02}{minutes:02}"),
                instant,
            ),
            (
                format!("{slashes} {hour:02}:{minute:02}:{second:02} {sign}{hours:02}:{minutes:02}"),
                whole,
            ),
        ];
        if *hour < 24 {
            let mut form = format!("{month}/{day}/{year} {of_twelve}:{minute:02}:{second:02} {half} ");
            let _ = write!(form, "{sign}{hours:02}:{minutes:02}");
            forms.push((form, whole));
        }
        forms.extend(self.forms_of_http().map(|form| (form, utc)));
        for (form, expected) in forms {
            // One hour earlier, so that the limit of two days does not apply.
            let now = expected.map_or(0, |expected| expected - HOUR);
            let (end, _) = Fields::on(&json!(form)).read(now, None);
            assert_eq!(end, expected, "{form}");
        }
    }
}

/// Encodes base64url without padding, independently of the add-on's crate.
fn base64url(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let group = [0, 1, 2].map(|at| u32::from(chunk.get(at).copied().unwrap_or(0)));
        let bits = group[0] << 16 | group[1] << 8 | group[2];
        for at in 0..=chunk.len() {
            text.push(char::from(ALPHABET[(bits >> (18 - 6 * at)) as usize % 64]));
        }
    }
    text
}
