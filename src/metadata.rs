//! The metadata of a call, modelled on [MSAL.NET's metadata].
//!
//! [MSAL.NET's metadata]: https://learn.microsoft.com/dotnet/api/microsoft.identity.client.authenticationresultmetadata

use std::time::Duration;

/// The origin of a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenSource {
    /// The token endpoint.
    IdentityProvider,
    /// The memory cache or the persistent cache.
    Cache,
}

impl TokenSource {
    /// Returns MSAL.NET's name of the value.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::IdentityProvider => "IdentityProvider",
            Self::Cache => "Cache",
        }
    }
}

/// Why a request was sent to the endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CacheRefreshReason {
    /// No request was sent.
    NotApplicable,
    /// The caller requested a new token (`forceRefresh` or `claims`).
    ForceRefreshOrClaims,
    /// No token was cached.
    NoCachedAccessToken,
    /// The cached token had expired.
    Expired,
    /// The cached token was due for a refresh before its expiry.
    ProactivelyRefreshed,
}

impl CacheRefreshReason {
    /// Returns MSAL.NET's name of the value.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NotApplicable => "NotApplicable",
            Self::ForceRefreshOrClaims => "ForceRefreshOrClaims",
            Self::NoCachedAccessToken => "NoCachedAccessToken",
            Self::Expired => "Expired",
            Self::ProactivelyRefreshed => "ProactivelyRefreshed",
        }
    }
}

/// The metadata of one call.
#[derive(Clone, Debug)]
pub struct Metadata {
    /// The origin of the token; `None` if there is no token.
    pub token_source: Option<TokenSource>,
    /// Why a request was sent to the endpoint.
    pub cache_refresh_reason: CacheRefreshReason,
    /// The number of requests that were sent, also if another call started them.
    pub attempts: u32,
    /// The total time of those requests.
    pub http_time: Duration,
    /// The total time of accesses to the persistent cache.
    pub cache_time: Duration,
    /// The time of the whole call.
    pub total_time: Duration,
    /// The endpoint, without its query.
    pub endpoint: String,
}

impl Metadata {
    /// Creates the metadata of a call that returns a cached token.
    pub fn from_cache(refresh_reason: CacheRefreshReason, endpoint: String) -> Self {
        Self {
            token_source: Some(TokenSource::Cache),
            cache_refresh_reason: refresh_reason,
            attempts: 0,
            http_time: Duration::ZERO,
            cache_time: Duration::ZERO,
            total_time: Duration::ZERO,
            endpoint,
        }
    }
}
