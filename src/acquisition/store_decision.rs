//! The decision whether and where to store a fetched token: a pure function, so that every combination can be tested.

use super::trigger::AcquisitionTrigger;

/// The facts on which the decision depends.
#[derive(Clone, Copy, Debug)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "independent facts; each has two values"
)]
pub(super) struct StoreFacts {
    /// Whether the request replaces an unwanted token: the caller passed `forceRefresh`, or a service refused the token.
    pub(super) replaces_unwanted: bool,
    /// Whether the request is a background refresh.
    pub(super) is_background_refresh: bool,
    /// Whether the cache was cleared after the request started.
    pub(super) is_cleared: bool,
    /// Whether a later request replaced the cached token.
    pub(super) is_superseded: bool,
    /// Whether the token's expiry is known.
    pub(super) is_cacheable: bool,
    /// Whether the token comes from the persistent cache.
    pub(super) is_persisted: bool,
    /// Whether the record of the persistent cache is older than an invalidation, or expires no later than the cached
    /// token.
    pub(super) is_stale_record: bool,
    /// Whether the cache holds the token of a later request.
    pub(super) is_outdated: bool,
}

/// The actions to take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "independent actions; each is done or not"
)]
pub(super) struct StoreDecision {
    /// Store the token in the memory cache.
    pub(super) insert: bool,
    /// Ignore records of the persistent cache that are older than this request: they may hold the unwanted token.
    pub(super) invalidate: bool,
    /// Remove the unwanted token and supersede earlier requests, because the new token cannot take its place.
    pub(super) remove_unwanted: bool,
    /// Delay the next background refresh, because this one fetched no token that can be cached.
    pub(super) record_failure: bool,
    /// Make the JavaScript layer look the token up again, if a token was replaced or removed.
    pub(super) bump_generation: bool,
    /// The change to the persistent cache.
    pub(super) persist: Persist,
}

/// The change to the persistent cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Persist {
    /// Write the token.
    Token,
    /// Delete the record: its token is unwanted, and the new token cannot be cached.
    Deletion,
    /// Keep the record.
    Nothing,
}

impl StoreFacts {
    /// Returns whether a request with this trigger replaces an unwanted token.
    pub(super) fn replaces_unwanted(trigger: &AcquisitionTrigger) -> bool {
        matches!(
            trigger,
            AcquisitionTrigger::ForceRefresh | AcquisitionTrigger::ClaimsChallenge(_)
        )
    }

    /// Decides what is done with the token.
    pub(super) fn decide(self) -> StoreDecision {
        let may_insert =
            self.is_cacheable && !self.is_stale_record && !self.is_cleared && !self.is_superseded;
        let insert = may_insert && !self.is_outdated;
        StoreDecision {
            insert,
            invalidate: self.replaces_unwanted && !self.is_cleared,
            remove_unwanted: self.replaces_unwanted && !may_insert,
            record_failure: !may_insert && self.is_background_refresh && !self.is_cleared,
            bump_generation: !self.is_background_refresh,
            persist: if self.is_persisted {
                Persist::Nothing
            } else if insert {
                Persist::Token
            } else if self.replaces_unwanted && !self.is_cacheable {
                Persist::Deletion
            } else {
                Persist::Nothing
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A token that was fetched on a cache miss.
    const FETCHED: StoreFacts = StoreFacts {
        replaces_unwanted: false,
        is_background_refresh: false,
        is_cleared: false,
        is_superseded: false,
        is_cacheable: true,
        is_persisted: false,
        is_stale_record: false,
        is_outdated: false,
    };
    const STORED: StoreDecision = StoreDecision {
        insert: true,
        invalidate: false,
        remove_unwanted: false,
        record_failure: false,
        bump_generation: true,
        persist: Persist::Token,
    };
    const NOT_STORED: StoreDecision = StoreDecision {
        insert: false,
        persist: Persist::Nothing,
        ..STORED
    };

    #[test]
    fn fetched_token_is_stored_and_persisted() {
        assert_eq!(FETCHED.decide(), STORED);
    }

    #[test]
    fn persisted_token_is_stored_and_not_written_back() {
        let facts = StoreFacts {
            is_persisted: true,
            ..FETCHED
        };
        let expected = StoreDecision {
            persist: Persist::Nothing,
            ..STORED
        };
        assert_eq!(facts.decide(), expected);
        let stale = StoreFacts {
            is_stale_record: true,
            ..facts
        };
        assert_eq!(stale.decide(), NOT_STORED);
    }

    #[test]
    fn token_is_not_stored_after_clear_or_when_superseded_or_outdated() {
        for facts in [
            StoreFacts {
                is_cleared: true,
                ..FETCHED
            },
            StoreFacts {
                is_superseded: true,
                ..FETCHED
            },
            StoreFacts {
                is_outdated: true,
                ..FETCHED
            },
            StoreFacts {
                is_cacheable: false,
                ..FETCHED
            },
        ] {
            assert_eq!(facts.decide(), NOT_STORED, "{facts:?}");
        }
    }

    #[test]
    fn background_refresh_keeps_the_generation_and_is_delayed_if_it_stores_nothing() {
        let refresh = StoreFacts {
            is_background_refresh: true,
            ..FETCHED
        };
        let stored = StoreDecision {
            bump_generation: false,
            ..STORED
        };
        assert_eq!(refresh.decide(), stored);
        let decide = |is_cleared, is_cacheable, is_outdated| {
            let facts = StoreFacts {
                is_cleared,
                is_cacheable,
                is_outdated,
                ..refresh
            };
            facts.decide().record_failure
        };
        assert!(decide(false, false, false));
        assert!(!decide(true, false, false), "the cache was cleared");
        assert!(!decide(false, true, true), "a later request has stored its token");
    }

    #[test]
    fn replacement_of_an_unwanted_token_invalidates_and_removes_it() {
        let forced = StoreFacts {
            replaces_unwanted: true,
            ..FETCHED
        };
        let stored = StoreDecision {
            invalidate: true,
            ..STORED
        };
        assert_eq!(forced.decide(), stored);
        let uncacheable = StoreFacts {
            is_cacheable: false,
            ..forced
        };
        let removed = StoreDecision {
            insert: false,
            invalidate: true,
            remove_unwanted: true,
            persist: Persist::Deletion,
            ..STORED
        };
        assert_eq!(uncacheable.decide(), removed);
        let cleared = StoreFacts {
            is_cleared: true,
            ..forced
        };
        let expected = StoreDecision {
            remove_unwanted: true,
            ..NOT_STORED
        };
        assert_eq!(cleared.decide(), expected);
    }

    #[test]
    fn trigger_decides_whether_the_cached_token_is_unwanted() {
        let unwanted = [
            AcquisitionTrigger::CacheMiss,
            AcquisitionTrigger::BackgroundRefresh,
            AcquisitionTrigger::ForceRefresh,
            AcquisitionTrigger::ClaimsChallenge(None),
        ]
        .map(|trigger| StoreFacts::replaces_unwanted(&trigger));
        assert_eq!(unwanted, [false, false, true, true]);
    }
}
