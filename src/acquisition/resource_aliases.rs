//! Other names that endpoints use for a requested resource, such as `management.core.windows.net`.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard};

use crate::locking::lock;
use crate::source::is_other_resource;

/// The map is emptied at this size. A process requests a handful of resources, unless it generates their names.
const MAX_ALIASES: usize = 1_024;

/// The alias that an endpoint has used for a resource twice in a row, by endpoint and resource.
#[derive(Default)]
pub(super) struct ResourceAliases(Mutex<HashMap<(String, String), String>>);

impl ResourceAliases {
    /// Returns whether a name is the known alias of a resource at an endpoint.
    pub(super) fn contains(&self, endpoint: &str, resource: &str, name: &str) -> bool {
        let key = (endpoint.to_owned(), resource.to_owned());
        self.lock()
            .get(&key)
            .is_some_and(|alias| !is_other_resource(alias, name))
    }

    /// Remembers the alias of a resource at an endpoint.
    pub(super) fn insert(&self, endpoint: &str, resource: &str, alias: String) {
        let mut aliases = self.lock();
        if aliases.len() >= MAX_ALIASES {
            aliases.clear();
        }
        aliases.insert((endpoint.to_owned(), resource.to_owned()), alias);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<(String, String), String>> {
        lock(&self.0)
    }
}
