//! The trigger of an acquisition, and the rule that decides which callers may share one request.

use crate::cache::Lookup;
use crate::encoding::sha256_hex;
use crate::metadata::CacheRefreshReason;
use crate::options::request::CachePolicy;
use crate::source::Source;

/// The reason for which a request was started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AcquisitionTrigger {
    /// The cache has no valid token.
    CacheMiss,
    /// The caller passed `forceRefresh`.
    ForceRefresh,
    /// A service refused the cached token (claims challenge). Holds the token's SHA-256 if the source supports that.
    ClaimsChallenge(Option<String>),
    /// The cached token is due for a refresh.
    BackgroundRefresh,
}

impl AcquisitionTrigger {
    /// Returns whether a caller with this trigger may share a request that another trigger started.
    ///
    /// A caller that rejects the cached token needs a request that returns a new one. With `reads_persistent_cache`, a
    /// request for a cache miss may return an old token from the persistent cache.
    pub fn can_share(&self, in_flight: &Self, reads_persistent_cache: bool) -> bool {
        let returns_new_token = |in_flight: &Self| match in_flight {
            Self::ForceRefresh => true,
            Self::CacheMiss => !reads_persistent_cache,
            _ => false,
        };
        match self {
            Self::CacheMiss | Self::BackgroundRefresh => true,
            Self::ForceRefresh => returns_new_token(in_flight),
            Self::ClaimsChallenge(None) => {
                returns_new_token(in_flight) || *in_flight == Self::ClaimsChallenge(None)
            }
            Self::ClaimsChallenge(Some(_)) => self == in_flight,
        }
    }
}

/// Returns the trigger of a call.
pub(super) fn acquisition_trigger(
    cache_policy: CachePolicy,
    found: &Lookup,
    source: &dyn Source,
) -> AcquisitionTrigger {
    match cache_policy {
        CachePolicy::ForceRefresh => AcquisitionTrigger::ForceRefresh,
        CachePolicy::ReplaceRefused => {
            let refused = found.token().filter(|_| source.supports_token_revocation_hash());
            AcquisitionTrigger::ClaimsChallenge(
                refused.map(|token| sha256_hex(token.secret.expose_secret().as_bytes())),
            )
        }
        CachePolicy::UseCache => match found {
            Lookup::Miss { .. } => AcquisitionTrigger::CacheMiss,
            _ => AcquisitionTrigger::BackgroundRefresh,
        },
    }
}

/// Returns the reason that the metadata of a call's result shows.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trigger_decides_which_requests_are_shared() {
        let [one, two] = ["a", "b"].map(|hash| AcquisitionTrigger::ClaimsChallenge(Some(hash.into())));
        let all = [
            AcquisitionTrigger::CacheMiss,
            AcquisitionTrigger::ForceRefresh,
            AcquisitionTrigger::BackgroundRefresh,
            AcquisitionTrigger::ClaimsChallenge(None),
            one.clone(),
            two.clone(),
        ];
        let shared_by = |trigger: &AcquisitionTrigger, reads_persistent_cache| {
            all.iter()
                .map(|in_flight| trigger.can_share(in_flight, reads_persistent_cache))
                .collect::<Vec<_>>()
        };
        let shared = |trigger: &AcquisitionTrigger| shared_by(trigger, false);
        assert_eq!(shared(&AcquisitionTrigger::CacheMiss), [true; 6]);
        assert_eq!(shared(&AcquisitionTrigger::BackgroundRefresh), [true; 6]);
        assert_eq!(
            shared(&AcquisitionTrigger::ForceRefresh),
            [true, true, false, false, false, false]
        );
        assert_eq!(
            shared(&AcquisitionTrigger::ClaimsChallenge(None)),
            [true, true, false, true, false, false]
        );
        assert_eq!(shared(&one), [false, false, false, false, true, false]);
        let shared_with_persistent_cache = |trigger: &AcquisitionTrigger| shared_by(trigger, true);
        assert_eq!(
            shared_with_persistent_cache(&AcquisitionTrigger::CacheMiss),
            [true; 6]
        );
        assert_eq!(
            shared_with_persistent_cache(&AcquisitionTrigger::ForceRefresh),
            [false, true, false, false, false, false]
        );
        assert_eq!(
            shared_with_persistent_cache(&AcquisitionTrigger::ClaimsChallenge(None)),
            [false, true, false, true, false, false]
        );
        assert_eq!(shared(&two), [false, false, false, false, false, true]);
    }
}
