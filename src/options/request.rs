//! What one call of `acquireToken` asks for, parsed.

use std::time::Duration;

use crate::error::{Code, Error};
use crate::options::resource::Resource;
use crate::options::{Given, wrong};

/// The fields of a request as a caller gave them.
#[derive(Default)]
#[expect(
    missing_docs,
    reason = "each is the field of its name; index.d.ts documents them"
)]
pub struct RawRequest {
    pub resource: Given,
    pub scopes: Given,
    pub force_refresh: Given,
    pub claims: Given,
    pub timeout: Given,
    pub tenant_id: Given,
    pub enable_cae: Given,
    pub retry_identity_not_found: Given,
    /// Whether the call comes from `getToken`.
    pub for_credential: bool,
    /// The face looks at the signal; what arrives is whether it is one.
    pub abort_signal: Given,
}

/// Whether what is cached will do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wish {
    /// Any token that is valid.
    Any,
    /// A new one, because the caller says so.
    New,
    /// Another one than the cached one, which a service refused.
    Other,
}

/// What one call asks for.
#[derive(Clone, Debug)]
pub struct TokenRequest {
    /// What the token is for.
    pub resource: Resource,
    /// Whether what is cached will do.
    pub wish: Wish,
    /// The claims challenge of the service that refused a token, as text.
    pub claims: Option<String>,
    /// How long this call may take; `None` is the application's own limit.
    pub timeout: Option<Duration>,
    /// The id of this call.
    pub correlation_id: String,
    /// The only tenant of which a token will do.
    pub tenant: Option<String>,
    /// Whether the caller handles claims challenges of continuous access evaluation.
    pub continuous_access: bool,
    /// For how long an identity that is not found is asked for again.
    pub identity_wait: Option<Duration>,
    /// Whether the caller has other credentials to try, and wants to know soon that there is no identity.
    pub for_credential: bool,
}

impl TokenRequest {
    /// Checks every field; the error names the one that is wrong.
    pub fn parse(raw: &RawRequest, correlation_id: String) -> Result<Self, Error> {
        let resource = Resource::parse(audience(raw)?)?;
        let force_refresh = raw.force_refresh.flag("forceRefresh")?;
        let claims = raw.claims.text("claims")?;
        let timeout = raw.timeout.millis("timeout")?;
        if !matches!(raw.abort_signal, Given::Absent | Given::Boolean(true)) {
            return Err(wrong("abortSignal", "an AbortSignal", &Given::Other));
        }
        let wish = match (force_refresh, claims) {
            (true, _) => Wish::New,
            (false, Some(_)) => Wish::Other,
            (false, None) => Wish::Any,
        };
        Ok(Self {
            resource,
            wish,
            claims: claims.map(str::to_owned),
            timeout,
            correlation_id,
            tenant: raw.tenant_id.text("tenantId")?.map(str::to_owned),
            continuous_access: raw.enable_cae.flag("enableCae")?,
            identity_wait: raw.retry_identity_not_found.millis("retryIdentityNotFound")?,
            for_credential: raw.for_credential,
        })
    }
}

/// The one resource that is asked for, be it as a list of scopes.
fn audience(raw: &RawRequest) -> Result<&Given, Error> {
    match &raw.scopes {
        Given::Absent => Ok(&raw.resource),
        Given::List(scopes) => {
            let [scope] = scopes.as_slice() else {
                let message = format!(
                    "A managed identity's token is for exactly one scope; scopes has {}.",
                    scopes.len()
                );
                return Err(Error::new(Code::ExactlyOneScopeExpected, message));
            };
            Ok(scope)
        }
        scope => Ok(scope),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw() -> RawRequest {
        RawRequest {
            resource: Given::Text("https://a".into()),
            ..RawRequest::default()
        }
    }

    #[test]
    fn fields_say_what_will_do() {
        let wish = |force_refresh, claims: &str| {
            let raw = RawRequest {
                force_refresh: Given::Boolean(force_refresh),
                claims: Given::Text(claims.into()),
                ..raw()
            };
            TokenRequest::parse(&raw, String::new()).expect("valid").wish
        };
        assert_eq!(wish(false, ""), Wish::Any);
        assert_eq!(wish(false, "{}"), Wish::Other);
        assert_eq!(wish(true, "{}"), Wish::New);
    }

    #[test]
    fn a_wrong_field_is_named() {
        type Wrong = (fn(&mut RawRequest), &'static str);
        let cases: [Wrong; 5] = [
            (|raw| raw.resource = Given::Absent, "invalid_resource: "),
            (
                |raw| raw.force_refresh = Given::Text("yes".into()),
                "invalid_configuration: forceRefresh ",
            ),
            (|raw| raw.claims = Given::Object, "invalid_configuration: claims "),
            (
                |raw| raw.timeout = Given::Number(-1.0),
                "invalid_configuration: timeout ",
            ),
            (
                |raw| raw.abort_signal = Given::Boolean(false),
                "invalid_configuration: abortSignal ",
            ),
        ];
        for (spoil, said) in cases {
            let mut raw = raw();
            spoil(&mut raw);
            let error = TokenRequest::parse(&raw, String::new())
                .expect_err("refused")
                .to_string();
            assert!(error.starts_with(said), "{error}");
        }
    }
}
