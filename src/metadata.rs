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
pub enum RefreshReason {
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

impl RefreshReason {
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
    pub refresh_reason: RefreshReason,
    /// How many requests were sent for it, also by others who wait for the same.
    pub attempts: u32,
    /// How long those requests took, all together.
    pub in_http: Duration,
    /// How long a cache outside of this process took.
    pub in_cache: Duration,
    /// How long the call took.
    pub total: Duration,
    /// The endpoint, without its query.
    pub endpoint: String,
}

impl Metadata {
    /// Of a token that was there.
    pub fn cached(refresh_reason: RefreshReason, endpoint: String) -> Self {
        Self {
            token_source: Some(TokenSource::Cache),
            refresh_reason,
            attempts: 0,
            in_http: Duration::ZERO,
            in_cache: Duration::ZERO,
            total: Duration::ZERO,
            endpoint,
        }
    }
}
