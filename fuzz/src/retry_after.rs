//! `Retry-After`: seconds or a date, and at most one day, whatever the time is.
//!
//! The input is the value of the header. An optional second line is the wall-clock time in milliseconds.

use std::time::Duration;

use managed_identity_native::http::retry_policy::parse_retry_after;
use managed_identity_native::token::Timestamp;
use time::{Month, OffsetDateTime, Weekday};

use crate::fake_platform::NOW;

const DAY: Duration = Duration::from_hours(24);

/// Checks the delay of a header.
pub fn check(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let (value, second) = text.split_once('\n').unwrap_or((&text, ""));
    let time = second.trim().parse().map(Timestamp::from_millis);
    for now in [
        time.unwrap_or(NOW),
        NOW,
        Timestamp::from_millis(i64::MIN),
        Timestamp::from_millis(i64::MAX),
    ] {
        let wait = parse_retry_after(value, now);
        assert!(wait.is_none_or(|wait| wait <= DAY), "{wait:?}");
        let digits = value.trim();
        if !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()) {
            assert_eq!(wait, Some(at_most_a_day(digits)), "{digits}");
        } else if let Some(wait) = wait {
            // Anything except a number is a date; all three date formats start with the weekday.
            let is_date = digits.get(..3).is_some_and(|day| DAYS.contains(&day));
            assert!(
                is_date && wait.subsec_nanos() % 1_000_000 == 0,
                "{value:?}: {wait:?}"
            );
        }
    }
    if let Some(seconds) = data.first_chunk().copied().map(u32::from_be_bytes) {
        check_date(i64::from(seconds));
    }
}

const DAYS: [&str; 7] = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];

fn at_most_a_day(digits: &str) -> Duration {
    let significant = digits.trim_start_matches('0');
    let seconds = if significant.len() > 5 {
        u64::MAX
    } else {
        significant.parse().unwrap_or(0)
    };
    Duration::from_secs(seconds).min(DAY)
}

/// Checks the delay for a date that the `time` crate formats.
fn check_date(seconds: i64) {
    let at = OffsetDateTime::from_unix_timestamp(seconds).expect("before the year 2107");
    let day = match at.weekday() {
        Weekday::Monday => "Mon",
        Weekday::Tuesday => "Tue",
        Weekday::Wednesday => "Wed",
        Weekday::Thursday => "Thu",
        Weekday::Friday => "Fri",
        Weekday::Saturday => "Sat",
        Weekday::Sunday => "Sun",
    };
    let month = match at.month() {
        Month::January => "Jan",
        Month::February => "Feb",
        Month::March => "Mar",
        Month::April => "Apr",
        Month::May => "May",
        Month::June => "Jun",
        Month::July => "Jul",
        Month::August => "Aug",
        Month::September => "Sep",
        Month::October => "Oct",
        Month::November => "Nov",
        Month::December => "Dec",
    };
    let (hour, minute, second) = at.to_hms();
    let date = format!(
        "{day}, {:02} {month} {} {hour:02}:{minute:02}:{second:02} GMT",
        at.day(),
        at.year()
    );
    for before in [0, 1, 30, 86_399, 86_400, 1_000_000] {
        let wait = parse_retry_after(&date, Timestamp::from_secs(seconds - before));
        assert_eq!(
            wait,
            Some(Duration::from_secs(before.unsigned_abs()).min(DAY)),
            "{date}"
        );
    }
    assert_eq!(
        parse_retry_after(&date, Timestamp::from_secs(seconds + 1)),
        Some(Duration::ZERO),
        "{date}"
    );
}
