//! When a token ends: every form of PROTOCOL.md means one instant, and nothing is out of range.
//!
//! The input is three lines: `expires_on`, `expires_in` and the claims of the token, each JSON or else
//! the content of a string. Its bytes are moreover a date, which is written in every form that has
//! been seen and must be read as the instant that the `time` crate gives it.

use std::fmt::Write as _;

use managed_identity_native::source::{Answer, Grant};
use managed_identity_native::token::{Timestamp, Token};
use serde_json::{Value, json};
use time::{Date, Month, OffsetDateTime, Time, UtcOffset};

use crate::host::NOW;

/// The last instant of a JavaScript `Date`, in milliseconds.
const LAST_MILLIS: i64 = 8_640_000_000_000_000;
const DAY: i64 = 86_400_000;
const TWO_HOURS: i64 = 7_200_000;

/// Checks what is read of three lines, and of the date that the bytes are.
pub fn check(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let mut lines = text.splitn(3, '\n');
    let [on, within, claims] = [(); 3].map(|()| lines.next().map_or(Value::Null, value));
    let nothing = &Value::Null;
    let whole = read(&on, &within, &claims);
    let alone = [
        read(&on, nothing, nothing),
        read(nothing, &within, nothing),
        read(nothing, nothing, &claims),
    ];
    for instant in alone.into_iter().flatten() {
        assert_in_range(instant);
    }
    assert_eq!(
        whole,
        alone.into_iter().flatten().next(),
        "the first that can be read"
    );
    for value in [&on, &within, &claims["exp"]] {
        if let Some(number) = value.as_u64().or_else(|| digits(value.as_str()?)) {
            check_number(number);
        }
    }
    if let Some(date) = Sampled::of(data) {
        date.check();
    }
}

/// JSON, or else the content of a string.
fn value(line: &str) -> Value {
    serde_json::from_str(line).unwrap_or_else(|_| line.into())
}

fn digits(text: &str) -> Option<u64> {
    text.trim().parse().ok()
}

/// A number means the same as a number, as a string and with a fraction of nothing.
fn check_number(number: u64) {
    let nothing = &Value::Null;
    let absolute = match i64::try_from(number) {
        // Seconds until the year 5138, milliseconds from there.
        Ok(seconds) if number <= 100_000_000_000 => Some(seconds * 1_000),
        Ok(millis) if millis <= LAST_MILLIS => Some(millis),
        _ => None,
    };
    let from_now = if number <= 978_307_200 {
        i64::try_from(number)
            .ok()
            .map(|seconds| NOW.millis() + seconds * 1_000)
    } else {
        absolute
    };
    for form in [
        json!(number),
        json!(number.to_string()),
        json!(format!(" {number}.0 ")),
    ] {
        let millis = |instant: Option<Timestamp>| instant.map(Timestamp::millis);
        assert_eq!(
            millis(read(&form, nothing, nothing)),
            absolute,
            "expires_on {form}"
        );
        assert_eq!(
            millis(read(nothing, &form, nothing)),
            from_now,
            "expires_in {form}"
        );
    }
    let claims = json!({ "exp": number });
    assert_eq!(
        read(nothing, nothing, &claims).map(Timestamp::millis),
        absolute,
        "exp {number}"
    );
}

/// What an answer with these fields says, and a token with these claims.
fn read(on: &Value, within: &Value, claims: &Value) -> Option<Timestamp> {
    let token = format!("e30.{}.c2ln", base64url(claims.to_string().as_bytes()));
    let body = json!({ "access_token": token, "expires_on": on, "expires_in": within });
    let mut answer = Answer::read(body.to_string().as_bytes()).expect("an object");
    let Grant { token, cacheable } = answer.grant(NOW).expect("a token");
    assert_refresh_is_at_half(&token);
    assert!(cacheable || token.expires_on == NOW, "no expiry is now");
    cacheable.then_some(token.expires_on)
}

/// No expiry lies outside of what a `Date` can hold; a date of 1970 in a zone east of UTC may be of 1969.
pub fn assert_in_range(instant: Timestamp) {
    assert!((-DAY..=LAST_MILLIS).contains(&instant.millis()), "{instant:?}");
}

/// A refresh stands at the half of a lifetime of over two hours, and nowhere else.
pub fn assert_refresh_is_at_half(token: &Token) {
    let lifetime = token.expires_on.millis() - NOW.millis();
    let half = (lifetime > TWO_HOURS).then(|| NOW.millis() + lifetime / 2);
    assert_eq!(token.refresh_on.map(Timestamp::millis), half, "{lifetime} ms");
}

/// A date that the bytes of an input are.
struct Sampled {
    year: i32,
    month: u8,
    day: u8,
    hour: u8,
    minute: u8,
    second: u8,
    millis: u16,
    offset: i16,
}

impl Sampled {
    fn of(data: &[u8]) -> Option<Self> {
        let data: &[u8; 11] = data.first_chunk()?;
        let pair = |first: usize| u16::from_be_bytes([data[first], data[first + 1]]);
        Some(Self {
            year: 1970 + i32::from(pair(0) % 8_030),
            // One more than there are, so that what does not exist is seen too.
            month: data[2] % 14,
            day: data[3] % 33,
            hour: data[4] % 25,
            minute: data[5] % 61,
            second: data[6] % 60,
            millis: pair(7) % 1_000,
            offset: i16::try_from(pair(9) % 2_879).ok()? - 1_439,
        })
    }

    /// The instant, by the `time` crate; `None` if there is no such date.
    fn oracle(&self) -> Option<OffsetDateTime> {
        let month = Month::try_from(self.month).ok()?;
        let date = Date::from_calendar_date(self.year, month, self.day).ok()?;
        let time = Time::from_hms_milli(self.hour, self.minute, self.second, self.millis).ok()?;
        let offset = UtcOffset::from_whole_seconds(i32::from(self.offset) * 60).ok()?;
        Some(date.with_time(time).assume_offset(offset))
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
        for (form, expected) in forms {
            let instant = read(&json!(form), &Value::Null, &Value::Null).map(Timestamp::millis);
            assert_eq!(instant, expected, "{form}");
        }
    }
}

/// Base64 for URLs, without padding: a second writer of it, for the crate's reader.
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
