//! What an endpoint answers: a token, or an error in one of its shapes.
//!
//! Success is status 200 with a token and no error, nothing less. The shapes of errors are those of
//! IMDS and Entra (`error`, `error_description`), App Service (`message`, `statusCode`) and Cloud
//! Shell and Service Fabric (`error: { code, message }`).

use std::fmt;

use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::Value;

use super::expiry;
use crate::identity::IdKind;
use crate::token::{Secret, Timestamp, Token};

/// The fields of an answer that anybody here looks at; all may be absent or of any type.
#[derive(Default)]
pub struct Answer {
    access_token: Value,
    expires_on: Value,
    expires_in: Value,
    error: Value,
    error_description: Value,
    message: Value,
    correlation_id: Value,
    correlation_id_camel: Value,
    trace_id: Value,
    client_id: Value,
    object_id: Value,
    msi_res_id: Value,
    mi_res_id: Value,
}

/// A token as the endpoint granted it.
#[derive(Debug)]
pub struct Grant {
    /// The token.
    pub token: Token,
    /// Whether its expiry is known: a token without one is served once.
    pub cacheable: bool,
}

impl Answer {
    /// Reads a body; `None` if it is no JSON object.
    pub fn read(body: &[u8]) -> Option<Self> {
        let body = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body);
        serde_json::from_slice(body).ok()
    }

    /// The place of a field.
    fn field(&mut self, name: &str) -> Option<&mut Value> {
        Some(match name {
            "access_token" => &mut self.access_token,
            "expires_on" => &mut self.expires_on,
            "expires_in" => &mut self.expires_in,
            "error" => &mut self.error,
            "error_description" => &mut self.error_description,
            "message" => &mut self.message,
            "correlation_id" => &mut self.correlation_id,
            "correlationId" => &mut self.correlation_id_camel,
            "trace_id" => &mut self.trace_id,
            "client_id" => &mut self.client_id,
            "object_id" => &mut self.object_id,
            "msi_res_id" => &mut self.msi_res_id,
            "mi_res_id" => &mut self.mi_res_id,
            _ => return None,
        })
    }

    /// Takes the token out. `None` without one, or beside an error.
    pub fn grant(&mut self, now: Timestamp) -> Option<Grant> {
        if self.names_error() {
            return None;
        }
        let Value::String(token) = self.access_token.take() else {
            return None;
        };
        let secret = Some(Secret::new(token)).filter(|secret| !secret.expose().is_empty())?;
        let expires_on = expiry::read(&self.expires_on, &self.expires_in, secret.expose(), now);
        let token = Token::new(secret, now, expires_on.unwrap_or(now));
        Some(Grant {
            token,
            cacheable: expires_on.is_some(),
        })
    }

    /// Whatever stands where a token does, beside an error too.
    pub fn token(&self) -> Option<Secret> {
        self.access_token
            .as_str()
            .map(|token| Secret::new(token.to_owned()))
    }

    /// The code of an error: `error`, or `error.code`.
    pub fn code(&self) -> Option<&str> {
        self.error
            .as_str()
            .or_else(|| self.error.get("code")?.as_str())
            .filter(|code| !code.is_empty())
    }

    /// The words of an error.
    pub fn words(&self) -> Option<&str> {
        [
            &self.error_description,
            &self.message,
            self.error.get("message").unwrap_or(&Value::Null),
        ]
        .into_iter()
        .filter_map(Value::as_str)
        .find(|words| !words.is_empty())
    }

    /// The id under which the service remembers this exchange.
    pub fn correlation_id(&self) -> Option<&str> {
        let nested = self
            .error
            .get("correlationId")
            .or_else(|| self.error.get("correlation_id"));
        [
            &self.correlation_id,
            &self.correlation_id_camel,
            nested.unwrap_or(&Value::Null),
        ]
        .into_iter()
        .filter_map(Value::as_str)
        .find(|id| !id.is_empty())
    }

    /// The id of Entra's own log.
    pub fn trace_id(&self) -> Option<&str> {
        self.trace_id.as_str().filter(|id| !id.is_empty())
    }

    /// Tells whether the answer names the identity that was asked for.
    pub fn is_for(&self, kind: IdKind, id: &str) -> bool {
        let fields: &[&Value] = match kind {
            IdKind::ClientId => &[&self.client_id],
            IdKind::ObjectId => &[&self.object_id],
            IdKind::ResourceId => &[&self.msi_res_id, &self.mi_res_id],
        };
        let named = fields.iter().find(|field| !field.is_null());
        named
            .and_then(|field| field.as_str())
            .is_some_and(|named| named.eq_ignore_ascii_case(id))
    }

    /// Whether it has one of the fields by which the response of a token endpoint is known.
    pub fn has_token_or_error(&self) -> bool {
        self.names_error() || self.access_token.as_str().is_some_and(|token| !token.is_empty())
    }

    fn names_error(&self) -> bool {
        match &self.error {
            Value::Null => false,
            Value::String(code) => !code.is_empty(),
            _ => true,
        }
    }
}

/// Not derived: where a name is there twice, the last one counts, as for `JSON.parse`.
impl<'de> Deserialize<'de> for Answer {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Fields;

        impl<'de> Visitor<'de> for Fields {
            type Value = Answer;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Answer, A::Error> {
                let mut answer = Answer::default();
                while let Some(name) = fields.next_key::<String>()? {
                    if let Some(field) = answer.field(&name) {
                        *field = fields.next_value()?;
                    } else {
                        fields.next_value::<IgnoredAny>()?;
                    }
                }
                Ok(answer)
            }
        }

        deserializer.deserialize_map(Fields)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const NOW: Timestamp = Timestamp::from_secs(1_700_000_000);

    fn read(value: &Value) -> Answer {
        Answer::read(value.to_string().as_bytes()).expect("an object")
    }

    #[test]
    fn a_token_is_a_string_beside_no_error() {
        let granted = |value| read(&value).grant(NOW);
        let grant = granted(json!({"access_token": "t", "expires_in": "60"})).expect("granted");
        assert_eq!((grant.token.secret.expose(), grant.cacheable), ("t", true));
        assert_eq!(grant.token.expires_on, Timestamp::from_secs(1_700_000_060));
        let once = granted(json!({"access_token": "t", "error": null})).expect("granted");
        assert_eq!((once.token.expires_on, once.cacheable), (NOW, false));
        for refused in [
            json!({}),
            json!({"access_token": ""}),
            json!({"access_token": 5}),
            json!({"access_token": null}),
            json!({"access_token": "t", "error": "denied"}),
            json!({"access_token": "t", "error": {"code": "denied"}}),
        ] {
            assert!(granted(refused.clone()).is_none(), "{refused}");
        }
    }

    #[test]
    fn of_two_fields_of_one_name_the_last_counts() {
        let mut answer = Answer::read(br#"{"access_token":"a","access_token":"b"}"#).expect("an object");
        assert_eq!(answer.grant(NOW).expect("granted").token.secret.expose(), "b");
    }

    #[test]
    fn errors_are_read_in_every_shape() {
        let imds = read(&json!({
            "error": "invalid_request", "error_description": "Identity not found",
            "correlation_id": "c", "trace_id": "t",
        }));
        assert_eq!(
            (imds.code(), imds.words()),
            (Some("invalid_request"), Some("Identity not found"))
        );
        assert_eq!((imds.correlation_id(), imds.trace_id()), (Some("c"), Some("t")));
        let app_service = read(&json!({"statusCode": 400, "message": "No identity", "correlationId": "d"}));
        assert_eq!(
            (app_service.code(), app_service.words()),
            (None, Some("No identity"))
        );
        assert_eq!(app_service.correlation_id(), Some("d"));
        let nested = read(&json!({"error": {"code": "X", "message": "m", "correlationId": "e"}}));
        assert_eq!(
            (nested.code(), nested.words(), nested.correlation_id()),
            (Some("X"), Some("m"), Some("e"))
        );
    }

    #[test]
    fn what_is_no_object_is_no_answer() {
        for body in [
            "",
            "null",
            "[]",
            "\"t\"",
            "5",
            "<html>",
            "{",
            "{\"access_token\":\"t\"} x",
            "\u{0}",
        ] {
            assert!(Answer::read(body.as_bytes()).is_none(), "{body:?}");
        }
        assert!(Answer::read(&[0xff, b'{', b'}']).is_none());
        assert!(Answer::read("[".repeat(100_000).as_bytes()).is_none());
        assert!(Answer::read("\u{feff} {}".as_bytes()).is_some());
    }

    #[test]
    fn an_identity_is_confirmed_by_its_own_field_in_any_case() {
        let answer = read(&json!({"client_id": "ABC", "mi_res_id": "/Sub/x", "object_id": 5}));
        assert!(answer.is_for(IdKind::ClientId, "abc") && answer.is_for(IdKind::ResourceId, "/sub/X"));
        assert!(!answer.is_for(IdKind::ClientId, "abd") && !answer.is_for(IdKind::ObjectId, "5"));
    }
}
