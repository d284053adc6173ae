//! What one call of `acquireToken` asks for, parsed.

use std::time::Duration;

use crate::error::{Code, Error};
use crate::options::resource::Resource;
use crate::options::{UntypedValue, type_error};

/// The fields of a request as a caller gave them.
#[derive(Default)]
#[expect(
    missing_docs,
    reason = "each is the field of its name; index.d.ts documents them"
)]
pub struct RawRequest {
    pub resource: UntypedValue,
    pub scopes: UntypedValue,
    pub force_refresh: UntypedValue,
    pub claims: UntypedValue,
    pub timeout: UntypedValue,
    pub tenant_id: UntypedValue,
    pub enable_cae: UntypedValue,
    pub retry_identity_not_found: UntypedValue,
    /// Whether the call comes from `getToken`.
    pub is_credential_call: bool,
    /// The face looks at the signal; what arrives is whether it is one.
    pub abort_signal: UntypedValue,
}

/// Whether what is cached will do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CachePolicy {
    /// Any token that is valid.
    UseCache,
    /// A new one, because the caller says so.
    ForceRefresh,
    /// Another one than the cached one, which a service refused.
    ReplaceRefused,
}

/// What one call asks for.
#[derive(Clone, Debug)]
pub struct TokenRequest {
    /// What the token is for.
    pub resource: Resource,
    /// Whether what is cached will do.
    pub cache_policy: CachePolicy,
    /// The claims challenge of the service that refused a token, as text.
    pub claims: Option<String>,
    /// How long this call may take; `None` is the application's own limit.
    pub timeout: Option<Duration>,
    /// The id of this call.
    pub correlation_id: String,
    /// The only tenant of which a token will do.
    pub tenant: Option<String>,
    /// Whether the caller handles claims challenges of continuous access evaluation.
    pub enable_cae: bool,
    /// For how long an identity that is not found is asked for again.
    pub identity_not_found_timeout: Option<Duration>,
    /// Whether the caller has other credentials to try, and wants to know soon that there is no identity.
    pub is_credential_call: bool,
}

impl TokenRequest {
    /// Checks every field; the error names the one that is wrong.
    pub fn parse(raw: &RawRequest, correlation_id: String) -> Result<Self, Error> {
        let resource = Resource::parse(resource_or_scope(raw)?)?;
        let force_refresh = raw.force_refresh.as_bool("forceRefresh")?;
        let claims = raw.claims.as_str("claims")?;
        let timeout = raw.timeout.as_millis("timeout")?;
        if !matches!(
            raw.abort_signal,
            UntypedValue::Undefined | UntypedValue::Boolean(true)
        ) {
            return Err(type_error("abortSignal", "an AbortSignal", &UntypedValue::Other));
        }
        let cache_policy = match (force_refresh, claims) {
            (true, _) => CachePolicy::ForceRefresh,
            (false, Some(_)) => CachePolicy::ReplaceRefused,
            (false, None) => CachePolicy::UseCache,
        };
        Ok(Self {
            resource,
            cache_policy,
            claims: claims.map(str::to_owned),
            timeout,
            correlation_id,
            tenant: raw.tenant_id.as_str("tenantId")?.map(str::to_owned),
            enable_cae: raw.enable_cae.as_bool("enableCae")?,
            identity_not_found_timeout: raw.retry_identity_not_found.as_millis("retryIdentityNotFound")?,
            is_credential_call: raw.is_credential_call,
        })
    }
}

/// The one resource that is asked for, be it as a list of scopes.
fn resource_or_scope(raw: &RawRequest) -> Result<&UntypedValue, Error> {
    match &raw.scopes {
        UntypedValue::Undefined => Ok(&raw.resource),
        UntypedValue::Array(scopes) => {
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
            resource: UntypedValue::String("https://a".into()),
            ..RawRequest::default()
        }
    }

    #[test]
    fn invalid_request_error_describes_valid_fields() {
        let cache_policy = |force_refresh, claims: &str| {
            let raw = RawRequest {
                force_refresh: UntypedValue::Boolean(force_refresh),
                claims: UntypedValue::String(claims.into()),
                ..raw()
            };
            TokenRequest::parse(&raw, String::new())
                .expect("valid")
                .cache_policy
        };
        assert_eq!(cache_policy(false, ""), CachePolicy::UseCache);
        assert_eq!(cache_policy(false, "{}"), CachePolicy::ReplaceRefused);
        assert_eq!(cache_policy(true, "{}"), CachePolicy::ForceRefresh);
    }

    #[test]
    fn invalid_request_field_is_named() {
        type Wrong = (fn(&mut RawRequest), &'static str);
        let cases: [Wrong; 5] = [
            (|raw| raw.resource = UntypedValue::Undefined, "invalid_resource: "),
            (
                |raw| raw.force_refresh = UntypedValue::String("yes".into()),
                "invalid_configuration: forceRefresh ",
            ),
            (
                |raw| raw.claims = UntypedValue::Object,
                "invalid_configuration: claims ",
            ),
            (
                |raw| raw.timeout = UntypedValue::Number(-1.0),
                "invalid_configuration: timeout ",
            ),
            (
                |raw| raw.abort_signal = UntypedValue::Boolean(false),
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
