//! The answer of an endpoint: no token but from a non-empty string `access_token` without an error.
//!
//! The input is a body. The oracle reads it once more, as pairs of a name and a value.

use std::fmt;

use managed_identity_native::identity::IdKind;
use managed_identity_native::source::Answer;
use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::Value;

use crate::expiry::{assert_in_range, assert_refresh_is_at_half};
use crate::host::NOW;

/// The fields that PROTOCOL.md gives a meaning.
const FIELDS: [&str; 13] = [
    "access_token",
    "expires_on",
    "expires_in",
    "error",
    "error_description",
    "message",
    "correlation_id",
    "correlationId",
    "trace_id",
    "client_id",
    "object_id",
    "msi_res_id",
    "mi_res_id",
];

/// Checks what is read from a body.
pub fn check(body: &[u8]) {
    let fields = Fields::read(body);
    let answer = Answer::read(body);
    assert_eq!(answer.is_some(), fields.is_some(), "whether it is an answer");
    let (Some(mut answer), Some(fields)) = (answer, fields) else {
        return;
    };
    let field = |name| fields.value(name);
    for (kind, value) in [
        (IdKind::ClientId, field("client_id")),
        (IdKind::ObjectId, field("object_id")),
        (
            IdKind::ResourceId,
            field("msi_res_id").or_else(|| field("mi_res_id")),
        ),
    ] {
        assert_names_only(&answer, kind, value);
    }
    for (said, places) in [
        (answer.trace_id(), &["trace_id"][..]),
        (answer.code(), &["error"]),
        (answer.words(), &["error_description", "message", "error"]),
        (
            answer.correlation_id(),
            &["correlation_id", "correlationId", "error"],
        ),
    ] {
        let stands = |said: &str| {
            places
                .iter()
                .filter_map(|place| field(place))
                .any(|value| holds(value, said))
        };
        assert!(
            said.is_none_or(|said| !said.is_empty() && stands(said)),
            "{said:?}"
        );
    }

    let token = field("access_token")
        .and_then(Value::as_str)
        .filter(|token| !token.is_empty());
    assert_eq!(
        answer
            .token()
            .map(|token| token.expose().to_owned())
            .filter(|token| !token.is_empty())
            .as_deref(),
        token,
        "what is to be kept out of messages"
    );
    let failed = field("error").is_some_and(|error| error != "");
    let grant = answer.grant(NOW);
    assert_eq!(
        grant.as_ref().map(|grant| grant.token.secret.expose()),
        token.filter(|_| !failed),
        "the token, only without an error"
    );
    assert!(answer.grant(NOW).is_none(), "a token is taken once");
    let Some(grant) = grant else { return };
    assert_in_range(grant.token.expires_on);
    assert!(
        grant.cacheable || grant.token.expires_on == NOW,
        "no expiry is now"
    );
    assert_refresh_is_at_half(&grant.token);
}

/// An identity is confirmed by its own field, if that is a string, in any case, and by no other text.
fn assert_names_only(answer: &Answer, kind: IdKind, value: Option<&Value>) {
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
    assert_eq!(answer.is_for(kind, &swapped), named.is_some(), "{kind:?}");
    assert!(!answer.is_for(kind, &format!("{swapped}x")), "{kind:?}");
}

/// Whether a text stands in a value, or in one of its members.
fn holds(value: &Value, text: &str) -> bool {
    value == text
        || value
            .as_object()
            .is_some_and(|members| members.values().any(|member| member == text))
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
                    if FIELDS.contains(&name.as_str()) {
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
