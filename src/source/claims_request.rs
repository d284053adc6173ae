//! The `claims` parameter of a token request to Microsoft Entra (`OpenID` Connect Core 1.0, section 5.5).
//!
//! One JSON object contains both the claims challenge of a service that refused a token and the client's capabilities.
//! They are merged as in msal-node, without its claims for an ID token: a client credentials grant returns no ID token.

use serde_json::{Map, Value, json};

use crate::error::{Code, Error};

const ACCESS_TOKEN: &str = "access_token";
const CAPABILITIES: &str = "xms_cc";

/// Merges a challenge with capabilities that are joined by commas. `None` if both are `None`.
///
/// The members have a canonical order, whatever the order of the challenge, so equal claims share one request.
pub(super) fn merge(challenge: Option<&str>, capabilities: Option<&str>) -> Result<Option<String>, Error> {
    if challenge.is_none() && capabilities.is_none() {
        return Ok(None);
    }
    let mut claims = challenge.map_or_else(|| Ok(Map::new()), parse)?;
    if let Some(capabilities) = capabilities {
        let values: Vec<&str> = capabilities.split(',').collect();
        let access_token = claims.entry(ACCESS_TOKEN).or_insert(Value::Null);
        if access_token.is_null() {
            *access_token = Value::Object(Map::new());
        }
        let members = access_token
            .as_object_mut()
            .ok_or_else(|| invalid("has an access_token that is not an object"))?;
        members.insert(CAPABILITIES.to_owned(), json!({ "values": values }));
    }
    Ok(Some(Value::Object(claims).to_string()))
}

fn parse(text: &str) -> Result<Map<String, Value>, Error> {
    match serde_json::from_str(text) {
        Ok(Value::Object(claims)) => Ok(claims),
        // The error does not repeat the text, which may identify a user.
        _ => Err(invalid("is not a JSON object")),
    }
}

fn invalid(reason: &str) -> Error {
    let message = format!(
        "claims {reason}. Pass the claims challenge of the service after base64 decoding, otherwise unchanged."
    );
    Error::new(Code::InvalidConfiguration, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn merged(challenge: Option<&str>, capabilities: Option<&str>) -> Option<Value> {
        let text = merge(challenge, capabilities).expect("valid")?;
        Some(serde_json::from_str(&text).expect("JSON"))
    }

    #[test]
    fn challenge_claims_and_capabilities_are_merged() {
        let nbf = r#"{"access_token":{"nbf":{"essential":true,"value":"1700000000"}}}"#;
        let cases = [
            (None, None, None),
            (
                None,
                Some("CP1"),
                Some(json!({"access_token":{"xms_cc":{"values":["CP1"]}}})),
            ),
            (
                Some(nbf),
                None,
                Some(json!({"access_token":{"nbf":{"essential":true,"value":"1700000000"}}})),
            ),
            (
                Some(nbf),
                Some("CP1"),
                Some(json!({"access_token":{
                    "nbf":{"essential":true,"value":"1700000000"},
                    "xms_cc":{"values":["CP1"]}
                }})),
            ),
            (
                Some(r#"{"id_token":{"a":null},"access_token":{"xms_cc":{"values":["x"]}}}"#),
                Some("cp1,CP1"),
                Some(json!({"id_token":{"a":null},"access_token":{"xms_cc":{"values":["cp1","CP1"]}}})),
            ),
            (
                Some(r#"{"access_token":null}"#),
                Some("CP1"),
                Some(json!({"access_token":{"xms_cc":{"values":["CP1"]}}})),
            ),
            (Some("{}"), None, Some(json!({}))),
        ];
        for (challenge, capabilities, expected) in cases {
            assert_eq!(
                merged(challenge, capabilities),
                expected,
                "{challenge:?} {capabilities:?}"
            );
        }
    }

    #[test]
    fn equal_claims_have_one_canonical_string() {
        let text = |challenge| merge(Some(challenge), Some("CP1")).expect("valid");
        let one = text(r#"{"access_token":{"a":null,"b":{"value":"1"}},"userinfo":{}}"#);
        let other =
            text("{ \"userinfo\": {},\n \"access_token\": { \"b\": {\"value\":\"1\"}, \"a\": null } }");
        assert_eq!(one, other);
        assert_ne!(
            one,
            text(r#"{"access_token":{"a":null,"b":{"value":"2"}},"userinfo":{}}"#)
        );
    }

    #[test]
    fn non_object_claims_are_rejected_and_not_repeated() {
        for (challenge, capabilities) in [
            ("hush", None),
            ("[]", None),
            ("\"hush\"", Some("CP1")),
            ("null", None),
            ("eyJhY2Nlc3NfdG9rZW4iOnt9fQ==", None),
            ("{\"hush\":1", None),
            (r#"{"access_token":"hush"}"#, Some("CP1")),
            (r#"{"access_token":["hush"]}"#, Some("CP1")),
        ] {
            let error = merge(Some(challenge), capabilities).expect_err(challenge);
            assert_eq!(*error.code(), Code::InvalidConfiguration);
            let message = error.to_string();
            assert!(
                message.contains("claims ") && !message.contains("hush"),
                "{message}"
            );
        }
    }
}
