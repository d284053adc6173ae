//! The response of a token endpoint: a token, or an error.
//!
//! A response is a success only if it has a 2xx status and a token, and no error. [`error_body`](super::error_body) parses
//! errors.

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::Value;

use super::error_body::ErrorBody;
use super::{expiry, json};
use crate::error::ErrorNumber;
use crate::options::identity::IdKind;
use crate::token::{Secret, Timestamp, Token};

/// The fields of a response that this crate reads. Each may be absent or of any type.
#[derive(Default)]
pub struct TokenResponse {
    access_token: Value,
    expires_on: Value,
    expires_in: Value,
    resource: Value,
    client_id: Value,
    object_id: Value,
    msi_res_id: Value,
    mi_res_id: Value,
    error: ErrorBody,
}

/// The token of a response.
#[derive(Debug)]
pub struct GrantedToken {
    /// The token.
    pub token: Token,
    /// Whether its expiry is known. A token without a known expiry is returned once and not cached.
    pub cacheable: bool,
    /// How far this host's clock is ahead of the endpoint's, if the expiry depends on it.
    pub clock_ahead: Option<Duration>,
}

impl TokenResponse {
    /// Parses a body; `None` if it is not a JSON object.
    pub fn parse(body: &[u8]) -> Option<Self> {
        json::parse(body)
    }

    /// Returns the field of this name.
    fn field(&mut self, name: &str) -> Option<&mut Value> {
        Some(match name {
            "access_token" => &mut self.access_token,
            "expires_on" => &mut self.expires_on,
            "expires_in" => &mut self.expires_in,
            "resource" => &mut self.resource,
            "client_id" => &mut self.client_id,
            "object_id" => &mut self.object_id,
            "msi_res_id" => &mut self.msi_res_id,
            "mi_res_id" => &mut self.mi_res_id,
            _ => return None,
        })
    }

    /// Takes the token; `None` without a token or with an error. `sent_at` is the `Date` header of the response.
    pub fn take_token(&mut self, now: Timestamp, sent_at: Option<Timestamp>) -> Option<GrantedToken> {
        if self.error.is_error() {
            return None;
        }
        let Value::String(token) = self.access_token.take() else {
            return None;
        };
        let secret = Some(Secret::new(token)).filter(|secret| is_token(secret.expose_secret()))?;
        let expiry = expiry::parse_expiry(
            &self.expires_on,
            &self.expires_in,
            secret.expose_secret(),
            now,
            sent_at,
        );
        let expires_on = expiry.as_ref().map_or(now, |expiry| expiry.expires_on);
        Some(GrantedToken {
            token: Token::new(secret, now, expires_on),
            cacheable: expiry.is_some(),
            clock_ahead: expiry.and_then(|expiry| expiry.clock_ahead),
        })
    }

    /// Returns the string in the token field, even beside an error.
    pub fn raw_token(&self) -> Option<Secret> {
        self.access_token
            .as_str()
            .map(|token| Secret::new(token.to_owned()))
    }

    /// Returns the error code.
    pub fn error_code(&self) -> Option<&str> {
        self.error.code()
    }

    /// Returns the error message.
    pub fn error_description(&self) -> Option<Cow<'_, str>> {
        self.error.description()
    }

    /// Returns the id of this exchange in the service's logs.
    pub fn correlation_id(&self) -> Option<&str> {
        self.error.correlation_id()
    }

    /// Returns the id of the request in Entra's logs.
    pub fn trace_id(&self) -> Option<&str> {
        self.error.trace_id()
    }

    /// Returns the service's numeric error codes.
    pub fn error_numbers(&self) -> Vec<ErrorNumber> {
        self.error.numbers()
    }

    /// Returns the time of an error by the service's clock.
    pub fn timestamp(&self) -> Option<Cow<'_, str>> {
        self.error.timestamp()
    }

    /// Returns the resource of the token, in the endpoint's spelling.
    pub fn resource(&self) -> Option<&str> {
        self.resource.as_str()
    }

    /// Returns whether the response names this identity.
    pub fn is_for_identity(&self, kind: IdKind, id: &str) -> bool {
        let fields: &[&Value] = match kind {
            IdKind::ClientId => &[&self.client_id],
            IdKind::ObjectId => &[&self.object_id],
            IdKind::ResourceId => &[&self.msi_res_id, &self.mi_res_id],
        };
        let confirmed = fields.iter().find(|field| !field.is_null());
        confirmed
            .and_then(|field| field.as_str())
            .is_some_and(|confirmed| confirmed.eq_ignore_ascii_case(id))
    }

    /// Returns whether the response has a token or an error, as only a token endpoint sends it.
    pub fn has_token_or_error(&self) -> bool {
        self.error.is_error() || self.access_token.as_str().is_some_and(|token| !token.is_empty())
    }
}

/// Returns whether a text can be a token: it is not empty, was valid Unicode, and can be sent in a header.
fn is_token(text: &str) -> bool {
    // Nearly every token is ASCII. A loop over its bytes without a branch is faster than one over its characters.
    let is_plain = text
        .bytes()
        .fold(true, |is_plain, byte| is_plain & matches!(byte, b' '..=b'~'));
    let is_invalid = |c: char| c == char::REPLACEMENT_CHARACTER || c.is_control();
    !text.is_empty() && (is_plain || !text.contains(is_invalid))
}

/// Not derived, because the last of several fields with one name wins, as in `JSON.parse`.
impl<'de> Deserialize<'de> for TokenResponse {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Fields;

        impl<'de> Visitor<'de> for Fields {
            type Value = TokenResponse;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<TokenResponse, A::Error> {
                let mut token_response = TokenResponse::default();
                while let Some(name) = fields.next_key::<String>()? {
                    if let Some(field) = token_response.field(&name) {
                        *field = fields.next_value()?;
                    } else if let Some(root) = ErrorBody::root(&name) {
                        token_response.error.put(root, name, fields.next_value()?);
                    } else {
                        fields.next_value::<IgnoredAny>()?;
                    }
                }
                Ok(token_response)
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

    fn response(value: &Value) -> TokenResponse {
        TokenResponse::parse(value.to_string().as_bytes()).expect("an object")
    }

    #[test]
    fn token_is_a_string_without_an_error() {
        let take_token = |value| response(&value).take_token(NOW, None);
        let grant = take_token(json!({"access_token": "t", "expires_in": "60"})).expect("granted");
        assert_eq!((grant.token.secret.expose_secret(), grant.cacheable), ("t", true));
        assert_eq!(grant.token.expires_on, Timestamp::from_secs(1_700_000_060));
        let uncacheable = take_token(json!({"access_token": "t", "error": null})).expect("granted");
        assert_eq!(
            (uncacheable.token.expires_on, uncacheable.cacheable),
            (NOW, false)
        );
        for body in [
            json!({}),
            json!({"access_token": ""}),
            json!({"access_token": 5}),
            json!({"access_token": null}),
            json!({"access_token": "t", "error": "denied"}),
            json!({"access_token": "t", "error": {"code": "denied"}}),
            json!({"access_token": "t", "Error": "denied"}),
        ] {
            assert!(take_token(body.clone()).is_none(), "{body}");
        }
    }

    #[test]
    fn duplicate_field_last_wins() {
        let mut token_response =
            TokenResponse::parse(br#"{"access_token":"a","access_token":"b"}"#).expect("an object");
        assert_eq!(
            token_response
                .take_token(NOW, None)
                .expect("granted")
                .token
                .secret
                .expose_secret(),
            "b"
        );
    }

    #[test]
    fn invalid_json_value_does_not_lose_the_token() {
        for other in [
            r#""x": NaN"#,
            r#""x": [1e999, -Infinity]"#,
            r#""\ud800": 1"#,
            r#""x": "\udfff""#,
            r#""expires_on": 1e999, "expires_in": 60"#,
            r#""expires_on": NaN"#,
            "\"x\": \"a\u{1}b\"",
            r#""error": "", "\udc00\ud800": Infinity"#,
        ] {
            for body in [
                format!(r#"{{"access_token": "t", {other}}}"#),
                format!(r#"{{{other}, "access_token": "t"}}"#),
            ] {
                let mut token_response = TokenResponse::parse(body.as_bytes()).expect("an object");
                let grant = token_response.take_token(NOW, None).expect("granted");
                assert_eq!(grant.token.secret.expose_secret(), "t", "{body}");
            }
        }
        for body in [
            r#"{"access_token": NaN}"#,
            r#"{"access_token": "\ud800"}"#,
            r#"{"access_token": "t\r\nX-Injected: yes"}"#,
            r#"{"access_token": "t\u0000"}"#,
            r#"{"access_token": "t", "error": NaN}"#,
            r#"{"access_token": "t", "error": "\ud800"}"#,
            r#"{"access_token": "t", "x": NaN, "access_token": ""}"#,
        ] {
            let mut token_response = TokenResponse::parse(body.as_bytes()).expect("an object");
            assert!(token_response.take_token(NOW, None).is_none(), "{body}");
        }
    }

    #[test]
    fn non_object_body_is_rejected() {
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
            assert!(TokenResponse::parse(body.as_bytes()).is_none(), "{body:?}");
        }
        assert!(TokenResponse::parse(&[0xff, b'{', b'}']).is_none());
        assert!(TokenResponse::parse("[".repeat(100_000).as_bytes()).is_none());
        assert!(TokenResponse::parse("\u{feff} {}".as_bytes()).is_some());
    }

    #[test]
    fn identity_is_confirmed_by_its_own_field_case_insensitively() {
        let token_response = response(&json!({"client_id": "ABC", "mi_res_id": "/Sub/x", "object_id": 5}));
        assert!(
            token_response.is_for_identity(IdKind::ClientId, "abc")
                && token_response.is_for_identity(IdKind::ResourceId, "/sub/X")
        );
        assert!(
            !token_response.is_for_identity(IdKind::ClientId, "abd")
                && !token_response.is_for_identity(IdKind::ObjectId, "5")
        );
    }
}
