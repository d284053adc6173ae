//! What a token says of itself. Its signature is none of our business: the token is the endpoint's word.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;

use super::json;

/// The claims of a JWT; `None` if the token is none.
pub(super) fn parse_claims(token: &str) -> Option<Value> {
    let mut parts = token.split('.');
    let (_, payload, _) = (parts.next()?, parts.next()?, parts.next()?);
    let payload = URL_SAFE_NO_PAD.decode(payload.trim_end_matches('=')).ok()?;
    json::parse(&payload)
}

/// The tenant that a token is of.
pub fn tenant_id(token: &str) -> Option<String> {
    parse_claims(token)?.get("tid")?.as_str().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tenant_is_read_from_jwts_only() {
        let payload = URL_SAFE_NO_PAD.encode(r#"{"tid":"t-1","exp":5}"#);
        assert_eq!(tenant_id(&format!("h.{payload}.s")).as_deref(), Some("t-1"));
        assert_eq!(tenant_id(&format!("h.{payload}==.s")).as_deref(), Some("t-1"));
        for token in ["opaque", "a.b.c", "", "..", &format!("h.{payload}")] {
            assert_eq!(tenant_id(token), None, "{token}");
        }
    }
}
