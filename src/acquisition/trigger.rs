//! Why a token is acquired.

use super::capabilities::sha256_hex;
use crate::acquisition::in_flight::AcquisitionTrigger;
use crate::cache::Lookup;
use crate::metadata::CacheRefreshReason;
use crate::options::request::CachePolicy;
use crate::source::Source;

/// The reason of a flight, which decides who may share it.
pub(super) fn acquisition_trigger(
    cache_policy: CachePolicy,
    found: &Lookup,
    source: &dyn Source,
) -> AcquisitionTrigger {
    match cache_policy {
        CachePolicy::ForceRefresh => AcquisitionTrigger::ForceRefresh,
        CachePolicy::ReplaceRefused => {
            let refused = found.token().filter(|_| source.supports_token_revocation_hash());
            AcquisitionTrigger::ClaimsChallenge(refused.map(|token| sha256_hex(&token.secret)))
        }
        CachePolicy::UseCache => match found {
            Lookup::Miss { .. } => AcquisitionTrigger::CacheMiss,
            _ => AcquisitionTrigger::BackgroundRefresh,
        },
    }
}

/// The same as a result's metadata tells it.
pub(super) fn cache_refresh_reason(cache_policy: CachePolicy, found: &Lookup) -> CacheRefreshReason {
    match (cache_policy, found) {
        (CachePolicy::ForceRefresh | CachePolicy::ReplaceRefused, _) => {
            CacheRefreshReason::ForceRefreshOrClaims
        }
        (CachePolicy::UseCache, Lookup::Miss { expired: true }) => CacheRefreshReason::Expired,
        (CachePolicy::UseCache, Lookup::Miss { expired: false }) => CacheRefreshReason::NoCachedAccessToken,
        (CachePolicy::UseCache, _) => CacheRefreshReason::ProactivelyRefreshed,
    }
}
