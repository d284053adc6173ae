//! The result of an acquisition.

use std::sync::Arc;

use crate::cache::CachedToken;
use crate::error::Error;
use crate::metadata::Metadata;
use crate::options::resource::is_guid;
use crate::source::{ErrorContext, tenant_id};
use crate::token::{Timestamp, Token, WallClocks};

/// A token that is returned to a caller.
#[derive(Clone, Debug)]
pub struct AcquiredToken {
    /// The token.
    pub token: Arc<Token>,
    /// Whether the token was acquired before this call.
    pub from_cache: bool,
    /// Until when the JavaScript layer may return the token again without a native call; `None` if it must not memoize
    /// the token.
    pub fresh_until: Option<Timestamp>,
    /// The generation of the cache to which the token belongs.
    pub generation: u32,
    /// The metadata of the call.
    pub metadata: Metadata,
}

/// A token or an error.
pub type AcquisitionResult = Result<AcquiredToken, Error>;

impl AcquiredToken {
    /// Creates the result of a cache hit.
    pub fn from_cache(stored: CachedToken, generation: u32, now: WallClocks, metadata: Metadata) -> Self {
        // Under a replaced clock the token is not memoized: each call looks it up.
        let is_fresh = !now.disagree() && stored.fresh_until > now.latest(stored.token.offset_ms);
        let fresh_until = is_fresh.then_some(stored.fresh_until);
        Self {
            token: stored.token,
            from_cache: true,
            fresh_until,
            generation,
            metadata,
        }
    }

    /// Rejects a token that was issued for a different tenant than the requested one.
    ///
    /// Only GUIDs are compared: `common` and the like do not name a single tenant, and a domain name cannot be resolved
    /// here. The tenant of an opaque token (not a JWT) is unknown, so such a token is accepted.
    pub fn check_tenant(&self, requested: Option<&str>, error_context: &ErrorContext) -> Result<(), Error> {
        let Some(requested) = requested.filter(|requested| is_guid(requested)) else {
            return Ok(());
        };
        match tenant_id(self.token.secret.expose_secret()) {
            Some(tenant) if !tenant.eq_ignore_ascii_case(requested) => {
                Err(error_context.tenant_mismatch(requested, &tenant))
            }
            _ => Ok(()),
        }
    }
}
