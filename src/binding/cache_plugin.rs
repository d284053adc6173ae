//! A caller's `cachePlugin` as a record store.
//!
//! The JavaScript layer wraps the plug-in as one function, which reads the record of an entry or replaces it, and does not
//! throw. Accesses reach it through the channel of their call. An access that fails or exceeds its time limit is treated
//! as a cache miss.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::timeout;
use zeroize::Zeroizing;

use super::completions::CallbackHandle;
use super::types::CacheAccess;
use crate::cache::persistent::{BoxFuture, LockGuard, RecordStore};
use crate::error::Error;

/// The time limit of one access.
const PLUGIN_TIMEOUT: Duration = Duration::from_secs(10);

/// A cache plug-in in JavaScript.
pub(super) struct JsCachePlugin {
    handle: Arc<CallbackHandle>,
    id: String,
}

impl JsCachePlugin {
    pub(super) fn new(handle: Arc<CallbackHandle>, id: u32) -> Self {
        Self {
            handle,
            id: format!("plug-in {id}"),
        }
    }

    async fn access(&self, entry: &str, record: Option<String>) -> Option<Zeroizing<String>> {
        let access = CacheAccess {
            entry: entry.to_owned(),
            record,
        };
        let record = timeout(PLUGIN_TIMEOUT, self.handle.access(access)).await.ok()??;
        record.map(Zeroizing::new)
    }
}

impl RecordStore for JsCachePlugin {
    fn id(&self) -> &str {
        &self.id
    }

    fn prepare(&self) -> BoxFuture<'_, Result<bool, Error>> {
        Box::pin(async { Ok(true) })
    }

    /// Returns no lock: the plug-in itself locks its store during each access.
    fn lock<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Option<LockGuard>> {
        Box::pin(async { None })
    }

    fn load<'a>(&'a self, entry: &'a str) -> BoxFuture<'a, Option<Zeroizing<String>>> {
        Box::pin(self.access(entry, None))
    }

    fn save<'a>(&'a self, entry: &'a str, record: Zeroizing<String>) -> BoxFuture<'a, ()> {
        Box::pin(async move {
            self.access(entry, Some(record.as_str().to_owned())).await;
        })
    }
}
