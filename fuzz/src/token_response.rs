//! The response of a token endpoint: a token comes only from a non-empty string `access_token` without an error.
//!
//! The input is a body. The oracle parses it as a list of names and values. A body that a strict parser accepts must give the
//! same result with values around it that are invalid in JSON.

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
/// The fields of an error, whose names are case-insensitive.
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
/// Irrelevant members that a strict parser rejects.
const INVALID_MEMBERS: &str = r#""\ud800":[NaN,-Infinity,1e999,"\udc00 \ud83d"],"x":{"error":Infinity}"#;

/// Checks the parsed response of a body.
pub fn check(body: &[u8]) {
    let fields = Fields::read(body);
    let token_response = TokenResponse::parse(body);
    let Some(fields) = fields else {
        // The parser repairs values, but never the structure.
        assert!(
            token_response.is_none() || is_framed(body),
            "a repaired body is an object"
        );
        return;
    };
    let token_response = token_response.expect("a response, because the body is valid JSON");
    check_against(token_response, &fields);
    if let Some(invalid) = with_invalid_members(body) {
        let token_response =
            TokenResponse::parse(&invalid).expect("a response with values that are invalid in JSON");
        check_against(token_response, &fields);
    }
}

fn is_framed(body: &[u8]) -> bool {
    let text = String::from_utf8_lossy(body);
    let text = text.trim_start_matches('\u{feff}').trim();
    text.starts_with('{') && text.ends_with('}')
}

/// Adds members that a strict parser rejects, before and after the body's own.
fn with_invalid_members(body: &[u8]) -> Option<Vec<u8>> {
    let text = std::str::from_utf8(body).ok()?;
    let (before, members) = text.split_once('{')?;
    let (members, after) = members.rsplit_once('}')?;
    let comma = if members.trim().is_empty() { "" } else { "," };
    Some(format!("{before}{{{INVALID_MEMBERS}{comma}{members},{INVALID_MEMBERS}}}{after}").into_bytes())
}

/// Checks a response against the fields of the oracle.
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
        assert_confirms_only(&token_response, kind, value);
    }
    let is_in_fields = |text: &str, names: &[&str]| {
        let has_text = |name: &&str| fields.any_case(name).any(|value| contains_text(value, text));
        !text.trim().is_empty() && names.iter().any(has_text)
    };
    for (text, names) in [
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
        assert!(text.is_none_or(|text| is_in_fields(text, names)), "{text:?}");
    }
    if let Some(description) = token_response.error_description() {
        let halves = ["title", "detail"].map(|name| {
            let texts = fields.any_case(name).filter_map(Value::as_str);
            texts.map(str::to_owned).collect::<Vec<_>>()
        });
        let is_whole = is_in_fields(
            &description,
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
        let ends_with_one = halves[1].iter().any(|half| description.ends_with(half));
        let begins_with_one = halves[0].iter().any(|half| description.starts_with(half));
        assert!(is_whole || (begins_with_one && ends_with_one), "{description:?}");
    }
    for number in token_response.error_numbers() {
        let has_number = |value: &Value| match &number {
            ErrorNumber::Text(text) => contains_text(value, text),
            ErrorNumber::Number(number) => contains_number(value, *number),
        };
        let mut values = ["error_codes", "errorcodes", "error"]
            .into_iter()
            .flat_map(|name| fields.any_case(name));
        assert!(values.any(has_number), "{number:?}");
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
        "the raw token, which messages redact"
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
        "a token can be taken only once"
    );
    let Some(grant) = grant else { return };
    assert_in_range(grant.token.expires_on.millis());
    assert!(
        grant.cacheable || grant.token.expires_on == NOW,
        "without an expiry, the token expires now"
    );
    assert_refresh_is_at_half(&grant.token, NOW);
}

/// Checks that only the field of an identity confirms it, compared case-insensitively.
fn assert_confirms_only(token_response: &TokenResponse, kind: IdKind, value: Option<&Value>) {
    let id = value.and_then(Value::as_str);
    let swapped: String = id
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
        id.is_some(),
        "{kind:?}"
    );
    assert!(
        !token_response.is_for_identity(kind, &format!("{swapped}x")),
        "{kind:?}"
    );
}

/// Returns whether a value contains a text at any depth.
fn contains_text(value: &Value, text: &str) -> bool {
    match value {
        Value::Array(items) => items.iter().any(|item| contains_text(item, text)),
        Value::Object(members) => members.values().any(|member| contains_text(member, text)),
        value => value == text,
    }
}

/// Returns whether a value contains a number at any depth.
fn contains_number(value: &Value, number: f64) -> bool {
    match value {
        Value::Array(items) => items.iter().any(|item| contains_number(item, number)),
        Value::Object(members) => members.values().any(|member| contains_number(member, number)),
        value => value
            .as_f64()
            .is_some_and(|other| other.total_cmp(&number).is_eq()),
    }
}

/// The relevant members of an object, in their order. The last of several members with one name wins.
struct Fields(Vec<(String, Value)>);

impl Fields {
    fn read(body: &[u8]) -> Option<Self> {
        let body = body.strip_prefix("\u{feff}".as_bytes()).unwrap_or(body);
        serde_json::from_slice(body).ok()
    }

    /// Returns the value of a member; `None` if it is null.
    fn value(&self, name: &str) -> Option<&Value> {
        let (_, value) = self.0.iter().rfind(|(other, _)| other == name)?;
        Some(value).filter(|value| !value.is_null())
    }

    /// Returns the values of all members with a name, compared case-insensitively.
    fn any_case<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Value> {
        let matching = self
            .0
            .iter()
            .filter(|(other, _)| other.eq_ignore_ascii_case(name));
        matching.map(|(_, value)| value)
    }

    /// Returns whether the object has an error. The last of several members with one name wins; a name in another case
    /// replaces an empty value only.
    fn is_error(&self) -> bool {
        let mut error: Option<&(String, Value)> = None;
        let is_empty = |(_, value): &(String, Value)| value.is_null() || value == "";
        for member in &self.0 {
            let is_error = member.0.eq_ignore_ascii_case("error");
            if is_error && error.is_none_or(|error| error.0 == member.0 || is_empty(error)) {
                error = Some(member);
            }
        }
        error.is_some_and(|error| !is_empty(error))
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
