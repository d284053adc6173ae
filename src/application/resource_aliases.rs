//! The names that endpoints have for resources besides the one that was asked for.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// A process asks for a handful of resources; more than this come from a caller that makes them up.
const MAX_ALIASES: usize = 1_024;

/// By endpoint and resource, what the endpoint has called the resource twice in a row.
#[derive(Default)]
pub(super) struct ResourceAliases(Mutex<HashMap<(String, String), String>>);

impl ResourceAliases {
    /// Returns whether an endpoint is known to call a resource so.
    pub(super) fn contains(&self, endpoint: &str, resource: &str, named: &str) -> bool {
        let key = (endpoint.to_owned(), resource.to_owned());
        self.lock().get(&key).is_some_and(|known| known == named)
    }

    pub(super) fn insert(&self, endpoint: &str, resource: &str, named: String) {
        let mut aliases = self.lock();
        if aliases.len() >= MAX_ALIASES {
            aliases.clear();
        }
        aliases.insert((endpoint.to_owned(), resource.to_owned()), named);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<(String, String), String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
