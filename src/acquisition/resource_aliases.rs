//! The names that endpoints use for resources besides the requested ones, such as `management.core.windows.net`.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard};

use crate::locking::lock;
use crate::source::is_other_resource;

/// A process asks for a handful of resources; more than this come from a caller that makes them up.
const MAX_ALIASES: usize = 1_024;

/// By endpoint and resource, what the endpoint has called the resource twice in a row.
#[derive(Default)]
pub(super) struct ResourceAliases(Mutex<HashMap<(String, String), String>>);

impl ResourceAliases {
    /// Returns whether an endpoint is known to call a resource so.
    pub(super) fn contains(&self, endpoint: &str, resource: &str, named: &str) -> bool {
        let key = (endpoint.to_owned(), resource.to_owned());
        self.lock()
            .get(&key)
            .is_some_and(|known| !is_other_resource(known, named))
    }

    pub(super) fn insert(&self, endpoint: &str, resource: &str, named: String) {
        let mut aliases = self.lock();
        if aliases.len() >= MAX_ALIASES {
            aliases.clear();
        }
        aliases.insert((endpoint.to_owned(), resource.to_owned()), named);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<(String, String), String>> {
        lock(&self.0)
    }
}
