//! Randomly mutated input: parsing never panics, and every result is in range.

use serde_json::Value;

use super::*;
use crate::http::retry_policy::parse_retry_after;
use crate::source::expiry;
use crate::test_support::{FakeResponse, START};
use crate::token::Timestamp;

/// The last instant of a JavaScript `Date`, in milliseconds.
const LAST_MILLIS: i64 = 8_640_000_000_000_000;
const ROUNDS: usize = 1_500;

/// A xorshift generator, which produces the same texts in every run.
struct Mutator(u64);

impl Mutator {
    fn next_below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % limit as u64).expect("small")
    }

    /// Changes, removes, duplicates or inserts one to four characters.
    fn mutate(&mut self, text: &str) -> String {
        const INSERTED: [char; 20] = [
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
        for _ in 0..=self.next_below(4) {
            let (at, inserted) = (
                self.next_below(chars.len() + 1),
                INSERTED[self.next_below(INSERTED.len())],
            );
            match self.next_below(4) {
                0 if at < chars.len() => chars[at] = inserted,
                1 if at < chars.len() => {
                    chars.remove(at);
                }
                2 if at < chars.len() => chars.insert(at, chars[at]),
                _ => chars.insert(at, inserted),
            }
        }
        chars.into_iter().collect()
    }
}

fn for_each_mutation(texts: &[&str], mut check: impl FnMut(&str)) {
    let mut mutator = Mutator(0x9e37_79b9_7f4a_7c15);
    for text in texts {
        check(text);
        for _ in 0..ROUNDS {
            check(&mutator.mutate(text));
        }
    }
}

fn in_range(instant: Timestamp) -> bool {
    // A date in 1970 with an offset east of UTC may be before 1970 in UTC.
    (-86_400_000..=LAST_MILLIS).contains(&instant.millis())
}

#[test]
fn mutated_expiry_is_in_range() {
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
    for_each_mutation(&forms, |text| {
        for value in [
            Value::String(text.into()),
            serde_json::from_str(text).unwrap_or_default(),
        ] {
            for (on, within) in [(&value, &Value::Null), (&Value::Null, &value)] {
                let expiry = expiry::parse_expiry(on, within, text, START, Some(START));
                assert!(
                    expiry.as_ref().is_none_or(|expiry| in_range(expiry.expires_on)),
                    "{text:?} {expiry:?}"
                );
            }
        }
    });
}

#[test]
fn mutated_body_gives_a_valid_token_or_a_bounded_error() {
    let bodies = [
        r#"{"access_token":"t","expires_on":"1732145000","expires_in":3599,"error":null}"#,
        r#"{"error":"invalid_request","error_description":"Identity not found","correlation_id":"c"}"#,
        r#"{"error":{"code":"X","message":"m","correlationId":"e"},"statusCode":400,"message":"m"}"#,
        r#"{"access_token":"h.eyJleHAiOjE3MzIxNDU5OTl9.s","client_id":"id"}"#,
        r#"{"access_token":"t","x":[NaN,-Infinity,1e999],"\ud800":"\udc00 \ud83d\udca5"}"#,
        r#"{"ExceptionMessage":"x","ErrorCode":"y","Message":null,"errors":[{"code":"z","message":"m"}]}"#,
        r#"{"type":"about:blank","title":"t","status":403,"detail":"d","error_codes":[5,"6"],"timestamp":7}"#,
    ];
    let source = open_source(APP_SERVICE, &system_assigned()).expect("a source");
    let error_context = ErrorContext::new(&*source);
    let request = source
        .request(&query(&system_assigned()), &platform(&[]))
        .expect("a request");
    for_each_mutation(&bodies, |text| {
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
fn mutated_challenge_is_rejected() {
    let source = open_source(AZURE_ARC, &system_assigned()).expect("a source");
    let (query, platform) = (query(&system_assigned()), platform(&[]));
    let request = source.request(&query, &platform).expect("a request");
    let headers = [
        "Basic realm=/var/opt/azcmagent/tokens/abc.key",
        "basic Realm = \"/var/opt/azcmagent/tokens/abc.key\"",
        "Basic realm=\"",
    ];
    for_each_mutation(&headers, |text| {
        // The platform has no files, so no challenge can be answered.
        let response = FakeResponse::new(401, "").challenge(text).to(&request);
        assert!(
            source.answer_challenge(&query, &response, &platform).is_err(),
            "{text:?}"
        );
    });
}

#[test]
fn mutated_retry_after_keeps_plain_seconds() {
    for_each_mutation(
        &[
            "120",
            "Fri, 15 Jan 2027 08:00:30 GMT",
            "Friday, 15-Jan-27 08:00:30 GMT",
        ],
        |text| {
            let wait = parse_retry_after(text, START);
            let is_number = !text.trim().is_empty() && text.trim().bytes().all(|byte| byte.is_ascii_digit());
            assert!(wait.is_some() || !is_number, "{text:?}");
        },
    );
}

#[test]
fn mutated_endpoint_is_rejected_or_an_http_url() {
    let addresses = [
        "http://127.0.0.1:8081/msi/token?a=b",
        "https://[::1]:8443/token",
        "HTTP://LocalHost/Msi",
    ];
    for_each_mutation(&addresses, |text| {
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
