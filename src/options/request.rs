//! The parsed options of one call of `acquireToken` or `getToken`.

use std::time::Duration;

use crate::error::{Code, Error};
use crate::options::resource::Resource;
use crate::options::{UntypedValue, type_error};

/// The fields of a request before validation.
#[derive(Default)]
#[expect(
    missing_docs,
    reason = "each field is the request field of the same name; index.d.ts documents them"
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
    /// Whether the caller's value is an `AbortSignal`: the JavaScript layer checks it.
    pub abort_signal: UntypedValue,
}

/// The use of cached tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CachePolicy {
    /// A valid cached token is used.
    UseCache,
    /// A new token is requested (`forceRefresh`).
    ForceRefresh,
    /// A token other than the cached one is needed, because a service refused that one.
    ReplaceRefused,
}

/// A validated token request of one call.
#[derive(Clone, Debug)]
pub struct TokenRequest {
    /// The resource of the token.
    pub resource: Resource,
    /// The use of cached tokens.
    pub cache_policy: CachePolicy,
    /// The claims challenge of the service that refused a token, as JSON text.
    pub claims: Option<String>,
    /// The time limit of this call; `None` selects the application's limit.
    pub timeout: Option<Duration>,
    /// The correlation id of this call.
    pub correlation_id: String,
    /// The tenant that the token must belong to.
    pub tenant: Option<String>,
    /// Whether the caller handles claims challenges of continuous access evaluation.
    pub enable_cae: bool,
    /// How long to retry while the identity is not found.
    pub identity_not_found_timeout: Option<Duration>,
    /// Whether the caller may have other credentials to try, so that a missing identity must be reported soon.
    pub is_credential_call: bool,
}

impl TokenRequest {
    /// Validates every field; the error names the invalid one.
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

/// Returns the resource of a request, from `resource` or from `scopes`.
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
    fn force_refresh_and_claims_determine_the_cache_policy() {
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
        type InvalidField = (fn(&mut RawRequest), &'static str);
        let cases: [InvalidField; 5] = [
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
        for (set_invalid, expected) in cases {
            let mut raw = raw();
            set_invalid(&mut raw);
            let error = TokenRequest::parse(&raw, String::new())
                .expect_err("invalid")
                .to_string();
            assert!(error.starts_with(expected), "{error}");
        }
    }
}
