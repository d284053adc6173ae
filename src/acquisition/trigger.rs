//! Why a token is acquired.

use super::capabilities::sha256;
use crate::acquisition::in_flight::Reason;
use crate::cache::Found;
use crate::metadata::RefreshReason;
use crate::options::request::Wish;
use crate::source::Source;

/// The reason of a flight, which decides who may share it.
pub(super) fn reason(wish: Wish, found: &Found, source: &dyn Source) -> Reason {
    match wish {
        Wish::New => Reason::Forced,
        Wish::Other => {
            let refused = found.token().filter(|_| source.takes_refused_token());
            Reason::Claims(refused.map(|token| sha256(&token.secret)))
        }
        Wish::Any => match found {
            Found::Nothing { .. } => Reason::Empty,
            _ => Reason::Refresh,
        },
    }
}

/// The same as a result's metadata tells it.
pub(super) fn refresh_reason(wish: Wish, found: &Found) -> RefreshReason {
    match (wish, found) {
        (Wish::New | Wish::Other, _) => RefreshReason::ForceRefreshOrClaims,
        (Wish::Any, Found::Nothing { expired: true }) => RefreshReason::Expired,
        (Wish::Any, Found::Nothing { expired: false }) => RefreshReason::NoCachedAccessToken,
        (Wish::Any, _) => RefreshReason::ProactivelyRefreshed,
    }
}
