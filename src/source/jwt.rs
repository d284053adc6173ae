//! Claims of a token. The signature is not verified: only the service that the token is for can do that.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;

use super::json;

/// Returns the claims of a JWT; `None` for an opaque token.
pub(super) fn parse_claims(token: &str) -> Option<Value> {
    let mut parts = token.split('.');
    let (_, payload, _) = (parts.next()?, parts.next()?, parts.next()?);
    let payload = URL_SAFE_NO_PAD.decode(payload.trim_end_matches('=')).ok()?;
    json::parse(&payload)
}

/// Returns the tenant id of a token; `None` for an opaque token.
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
