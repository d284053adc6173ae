//! What is told of an acquisition beside its outcome: what [MSAL.NET's metadata] tells.
//!
//! [MSAL.NET's metadata]: https://learn.microsoft.com/dotnet/api/microsoft.identity.client.authenticationresultmetadata

use std::time::Duration;

/// Where a token came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenSource {
    /// The endpoint.
    IdentityProvider,
    /// A cache, in memory or on disk.
    Cache,
}

impl TokenSource {
    /// MSAL.NET's name for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::IdentityProvider => "IdentityProvider",
            Self::Cache => "Cache",
        }
    }
}

/// Why the endpoint was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CacheRefreshReason {
    /// It was not.
    NotApplicable,
    /// The caller did not want the cached token.
    ForceRefreshOrClaims,
    /// Nothing was cached.
    NoCachedAccessToken,
    /// What was cached had expired.
    Expired,
    /// What was cached is to be replaced in good time.
    ProactivelyRefreshed,
}

impl CacheRefreshReason {
    /// MSAL.NET's name for it.
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

/// Facts about one call.
#[derive(Clone, Debug)]
pub struct Metadata {
    /// Where its token came from; `None` without one.
    pub token_source: Option<TokenSource>,
    /// Why the endpoint was asked.
    pub cache_refresh_reason: CacheRefreshReason,
    /// How many requests were sent for it, also by others who wait for the same.
    pub attempts: u32,
    /// How long those requests took, all together.
    pub http_time: Duration,
    /// How long a cache outside of this process took.
    pub cache_time: Duration,
    /// How long the call took.
    pub total_time: Duration,
    /// The endpoint, without its query.
    pub endpoint: String,
}

impl Metadata {
    /// Of a token that was there.
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
