//! What arrives from outside, spoiled at random: nothing panics, and what is read is in range.

use serde_json::Value;

use super::*;
use crate::http::retry_policy::parse_retry_after;
use crate::source::expiry;
use crate::test_support::{FakeResponse, START};
use crate::token::Timestamp;

/// The last instant of a JavaScript `Date`, in milliseconds.
const LAST_MILLIS: i64 = 8_640_000_000_000_000;
const ROUNDS: usize = 1_500;

/// A xorshift generator: the same texts at every run.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % sides as u64).expect("small")
    }

    /// The text with up to four characters changed, removed, doubled or put in.
    fn spoil(&mut self, text: &str) -> String {
        const ODD: [char; 20] = [
            '0',
            '9',
            '-',
            '+',
            '.',
            ':',
            '/',
            'T',
            'Z',
            ' ',
            '"',
            '\\',
            '{',
            '}',
            ',',
            '=',
            '\0',
            'é',
            '\u{1f4a5}',
            '%',
        ];
        let mut chars: Vec<char> = text.chars().collect();
        for _ in 0..=self.roll(4) {
            let (at, odd) = (self.roll(chars.len() + 1), ODD[self.roll(ODD.len())]);
            match self.roll(4) {
                0 if at < chars.len() => chars[at] = odd,
                1 if at < chars.len() => {
                    chars.remove(at);
                }
                2 if at < chars.len() => chars.insert(at, chars[at]),
                _ => chars.insert(at, odd),
            }
        }
        chars.into_iter().collect()
    }
}

fn each(texts: &[&str], mut check: impl FnMut(&str)) {
    let mut dice = Dice(0x9e37_79b9_7f4a_7c15);
    for text in texts {
        check(text);
        for _ in 0..ROUNDS {
            check(&dice.spoil(text));
        }
    }
}

fn in_range(instant: Timestamp) -> bool {
    // A date of 1970 with an offset east of UTC is before its beginning.
    (-86_400_000..=LAST_MILLIS).contains(&instant.millis())
}

#[test]
fn expiries() {
    let forms = [
        "1732145000",
        "1732145000.0",
        "1732145000123",
        "2024-10-18T19:51:37.0000000+00:00",
        "9999-12-31T23:59:60-23:59",
        "1/10/2020 8:01:28 AM +00:00",
        "06/19/2019 23:42:01 +00:00",
        "2020-01-10 08:01:28",
        "Sun, 22 Nov 2026 04:05:06 GMT",
        "3599",
    ];
    each(&forms, |text| {
        for value in [
            Value::String(text.into()),
            serde_json::from_str(text).unwrap_or_default(),
        ] {
            for (on, within) in [(&value, &Value::Null), (&Value::Null, &value)] {
                let read = expiry::parse_expiry(on, within, text, START, Some(START));
                assert!(
                    read.as_ref().is_none_or(|expiry| in_range(expiry.expires_on)),
                    "{text:?} {read:?}"
                );
            }
        }
    });
}

#[test]
fn bodies() {
    let bodies = [
        r#"{"access_token":"t","expires_on":"1732145000","expires_in":3599,"error":null}"#,
        r#"{"error":"invalid_request","error_description":"Identity not found","correlation_id":"c"}"#,
        r#"{"error":{"code":"X","message":"m","correlationId":"e"},"statusCode":400,"message":"m"}"#,
        r#"{"access_token":"h.eyJleHAiOjE3MzIxNDU5OTl9.s","client_id":"id"}"#,
        r#"{"access_token":"t","x":[NaN,-Infinity,1e999],"\ud800":"\udc00 \ud83d\udca5"}"#,
        r#"{"ExceptionMessage":"x","ErrorCode":"y","Message":null,"errors":[{"code":"z","message":"m"}]}"#,
        r#"{"type":"about:blank","title":"t","status":403,"detail":"d","error_codes":[5,"6"],"timestamp":7}"#,
    ];
    let source = opened(APP_SERVICE, &system_assigned()).expect("opened");
    let error_context = ErrorContext::new(&*source);
    let request = source
        .request(&query(&system_assigned()), &platform(&[]))
        .expect("a request");
    each(&bodies, |text| {
        if let Some(grant) = TokenResponse::parse(text.as_bytes())
            .and_then(|mut token_response| token_response.take_token(START, None))
        {
            assert!(
                !grant.token.secret.expose_secret().is_empty() && in_range(grant.token.expires_on),
                "{text}"
            );
        }
        for status in [200, 400] {
            let error =
                error_context.response_error(&FakeResponse::new(status, text).to(&request), None, 1, false);
            let name = error.code().as_str();
            assert!(!name.is_empty() && name.len() <= 100, "{name}");
            assert!(
                error.details().message.chars().count() < 1_000 && !error.details().message.contains('\n')
            );
        }
    });
}

#[test]
fn challenges() {
    let source = opened(AZURE_ARC, &system_assigned()).expect("opened");
    let (query, platform) = (query(&system_assigned()), platform(&[]));
    let request = source.request(&query, &platform).expect("a request");
    let headers = [
        "Basic realm=/var/opt/azcmagent/tokens/abc.key",
        "basic Realm = \"/var/opt/azcmagent/tokens/abc.key\"",
        "Basic realm=\"",
    ];
    each(&headers, |text| {
        // There is no file at all, so no challenge can be answered.
        let token_response = FakeResponse::new(401, "").challenge(text).to(&request);
        assert!(
            source
                .answer_challenge(&query, &token_response, &platform)
                .is_err(),
            "{text:?}"
        );
    });
}

#[test]
fn waits() {
    each(
        &[
            "120",
            "Fri, 15 Jan 2027 08:00:30 GMT",
            "Friday, 15-Jan-27 08:00:30 GMT",
        ],
        |text| {
            let wait = parse_retry_after(text, START);
            let bare = !text.trim().is_empty() && text.trim().bytes().all(|byte| byte.is_ascii_digit());
            assert!(wait.is_some() || !bare, "{text:?}");
        },
    );
}

#[test]
fn addresses() {
    let addresses = [
        "http://127.0.0.1:8081/msi/token?a=b",
        "https://[::1]:8443/token",
        "HTTP://LocalHost/Msi",
    ];
    each(&addresses, |text| {
        let Ok(endpoint) = Endpoint::parse("X", &Code::MsiEndpointMalformed, text) else {
            return;
        };
        let url = endpoint.with_query(&[("resource", "https://a/&b")]);
        assert!(["http", "https"].contains(&url.scheme()), "{text:?}");
        assert!(!endpoint.host().is_empty() && url.username().is_empty() && url.password().is_none());
        assert!(
            url.fragment().is_none() && url.as_str().ends_with("resource=https%3A%2F%2Fa%2F%26b"),
            "{url}"
        );
        assert!(!endpoint.without_query().contains('?'), "{text:?}");
    });
}
