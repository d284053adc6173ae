//! The answer of an endpoint: no token but from a non-empty string `access_token` without an error.
//!
//! The input is a body. The oracle reads it once more, as pairs of a name and a value. What a strict parser reads is read
//! the same with values around it that JSON does not have.

use std::fmt;

use managed_identity_native::error::ErrorNumber;
use managed_identity_native::options::identity::IdKind;
use managed_identity_native::source::TokenResponse;
use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::Value;

use crate::expiry::{assert_in_range, assert_refresh_is_at_half};
use crate::fake_platform::NOW;

/// The fields of a token.
const FIELDS: [&str; 7] = [
    "access_token",
    "expires_on",
    "expires_in",
    "client_id",
    "object_id",
    "msi_res_id",
    "mi_res_id",
];
/// The fields of an error, whose names have any case.
const ERROR_FIELDS: [&str; 16] = [
    "error",
    "error_description",
    "message",
    "correlation_id",
    "correlationid",
    "trace_id",
    "traceid",
    "errorcode",
    "exceptionmessage",
    "errors",
    "code",
    "title",
    "detail",
    "error_codes",
    "errorcodes",
    "timestamp",
];
/// Members that no strict parser reads, and that nothing else depends on.
const SPOILT: &str = r#""\ud800":[NaN,-Infinity,1e999,"\udc00 \ud83d"],"x":{"error":Infinity}"#;

/// Checks what is read from a body.
pub fn check(body: &[u8]) {
    let fields = Fields::read(body);
    let token_response = TokenResponse::parse(body);
    let Some(fields) = fields else {
        // Values are repaired, a structure never is.
        assert!(
            token_response.is_none() || is_framed(body),
            "whether it is an answer"
        );
        return;
    };
    let token_response = token_response.expect("an answer, as it is strictly JSON");
    check_against(token_response, &fields);
    if let Some(spoilt) = spoilt(body) {
        let token_response =
            TokenResponse::parse(&spoilt).expect("an answer with values that JSON does not have");
        check_against(token_response, &fields);
    }
}

fn is_framed(body: &[u8]) -> bool {
    let text = String::from_utf8_lossy(body);
    let text = text.trim_start_matches('\u{feff}').trim();
    text.starts_with('{') && text.ends_with('}')
}

/// The body with members before and behind its own that no strict parser reads.
fn spoilt(body: &[u8]) -> Option<Vec<u8>> {
    let text = std::str::from_utf8(body).ok()?;
    let (before, members) = text.split_once('{')?;
    let (members, after) = members.rsplit_once('}')?;
    let comma = if members.trim().is_empty() { "" } else { "," };
    Some(format!("{before}{{{SPOILT}{comma}{members},{SPOILT}}}{after}").into_bytes())
}

/// Whether an answer says what the oracle read.
fn check_against(mut token_response: TokenResponse, fields: &Fields) {
    let field = |name| fields.value(name);
    for (kind, value) in [
        (IdKind::ClientId, field("client_id")),
        (IdKind::ObjectId, field("object_id")),
        (
            IdKind::ResourceId,
            field("msi_res_id").or_else(|| field("mi_res_id")),
        ),
    ] {
        assert_names_only(&token_response, kind, value);
    }
    let stands = |said: &str, places: &[&str]| {
        let is_there = |place: &&str| fields.any_case(place).any(|value| holds(value, said));
        !said.trim().is_empty() && places.iter().any(is_there)
    };
    for (said, places) in [
        (token_response.trace_id(), &["trace_id", "traceid", "error"][..]),
        (
            token_response.error_code(),
            &["error", "errorcode", "errors", "code"],
        ),
        (
            token_response.correlation_id(),
            &["correlation_id", "correlationid", "error"],
        ),
    ] {
        assert!(said.is_none_or(|said| stands(said, places)), "{said:?}");
    }
    if let Some(sentence) = token_response.error_description() {
        let halves = ["title", "detail"].map(|half| {
            let texts = fields.any_case(half).filter_map(Value::as_str);
            texts.map(str::to_owned).collect::<Vec<_>>()
        });
        let is_whole = stands(
            &sentence,
            &[
                "error_description",
                "message",
                "exceptionmessage",
                "error",
                "errors",
                "title",
                "detail",
            ],
        );
        let ends_with_one = halves[1].iter().any(|half| sentence.ends_with(half));
        let begins_with_one = halves[0].iter().any(|half| sentence.starts_with(half));
        assert!(is_whole || (begins_with_one && ends_with_one), "{sentence:?}");
    }
    for number in token_response.error_numbers() {
        let is_there = |value: &Value| match &number {
            ErrorNumber::Text(text) => holds(value, text),
            ErrorNumber::Number(number) => holds_number(value, *number),
        };
        let mut values = ["error_codes", "errorcodes", "error"]
            .into_iter()
            .flat_map(|place| fields.any_case(place));
        assert!(values.any(is_there), "{number:?}");
    }

    let token = field("access_token")
        .and_then(Value::as_str)
        .filter(|token| !token.is_empty());
    assert_eq!(
        token_response
            .raw_token()
            .map(|token| token.expose_secret().to_owned())
            .filter(|token| !token.is_empty())
            .as_deref(),
        token,
        "what is to be kept out of messages"
    );
    let grant = token_response.take_token(NOW, None);
    assert_eq!(
        grant.as_ref().map(|grant| grant.token.secret.expose_secret()),
        token.filter(
            |token| !fields.is_error() && !token.contains(|c: char| c == '\u{fffd}' || c.is_control())
        ),
        "the token, only without an error"
    );
    assert!(
        token_response.take_token(NOW, None).is_none(),
        "a token is taken once"
    );
    let Some(grant) = grant else { return };
    assert_in_range(grant.token.expires_on.millis());
    assert!(
        grant.cacheable || grant.token.expires_on == NOW,
        "no expiry is now"
    );
    assert_refresh_is_at_half(&grant.token, NOW);
}

/// An identity is confirmed by its own field, if that is a string, in any case, and by no other text.
fn assert_names_only(token_response: &TokenResponse, kind: IdKind, value: Option<&Value>) {
    let named = value.and_then(Value::as_str);
    let swapped: String = named
        .unwrap_or("id")
        .chars()
        .map(|c| {
            if c.is_ascii_lowercase() {
                c.to_ascii_uppercase()
            } else {
                c.to_ascii_lowercase()
            }
        })
        .collect();
    assert_eq!(
        token_response.is_for_identity(kind, &swapped),
        named.is_some(),
        "{kind:?}"
    );
    assert!(
        !token_response.is_for_identity(kind, &format!("{swapped}x")),
        "{kind:?}"
    );
}

/// Whether a text stands anywhere in a value.
fn holds(value: &Value, text: &str) -> bool {
    match value {
        Value::Array(items) => items.iter().any(|item| holds(item, text)),
        Value::Object(members) => members.values().any(|member| holds(member, text)),
        value => value == text,
    }
}

/// Whether a number stands anywhere in a value.
fn holds_number(value: &Value, number: f64) -> bool {
    match value {
        Value::Array(items) => items.iter().any(|item| holds_number(item, number)),
        Value::Object(members) => members.values().any(|member| holds_number(member, number)),
        value => value
            .as_f64()
            .is_some_and(|other| other.total_cmp(&number).is_eq()),
    }
}

/// The members of an object that mean something, in their order. Of two of one name the last one counts.
struct Fields(Vec<(String, Value)>);

impl Fields {
    fn read(body: &[u8]) -> Option<Self> {
        let body = body.strip_prefix("\u{feff}".as_bytes()).unwrap_or(body);
        serde_json::from_slice(body).ok()
    }

    /// The value of a member, unless it is null.
    fn value(&self, name: &str) -> Option<&Value> {
        let (_, value) = self.0.iter().rfind(|(other, _)| other == name)?;
        Some(value).filter(|value| !value.is_null())
    }

    /// The values of all members of a name, in any case.
    fn any_case<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Value> {
        let named = self
            .0
            .iter()
            .filter(|(other, _)| other.eq_ignore_ascii_case(name));
        named.map(|(_, value)| value)
    }

    /// Whether there is an error. Of two members of one name the last counts; a name in other letters takes the place of
    /// one that says nothing.
    fn is_error(&self) -> bool {
        let mut error: Option<&(String, Value)> = None;
        let says_nothing = |(_, value): &(String, Value)| value.is_null() || value == "";
        for member in &self.0 {
            let is_error = member.0.eq_ignore_ascii_case("error");
            if is_error && error.is_none_or(|error| error.0 == member.0 || says_nothing(error)) {
                error = Some(member);
            }
        }
        error.is_some_and(|error| !says_nothing(error))
    }
}

impl<'de> Deserialize<'de> for Fields {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Members;

        impl<'de> Visitor<'de> for Members {
            type Value = Fields;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Fields, A::Error> {
                let mut fields = Vec::new();
                while let Some(name) = map.next_key::<String>()? {
                    let of_error = ERROR_FIELDS.iter().any(|field| field.eq_ignore_ascii_case(&name));
                    if of_error || FIELDS.contains(&name.as_str()) {
                        fields.push((name, map.next_value()?));
                    } else {
                        map.next_value::<IgnoredAny>()?;
                    }
                }
                Ok(Fields(fields))
            }
        }

        deserializer.deserialize_map(Members)
    }
}
