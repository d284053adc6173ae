//! A caller's `cachePlugin` as a store of records.
//!
//! JavaScript wraps the plug-in so that it never throws: one function that reads the record of an entry, or
//! replaces it. Accesses reach it through the channel of the call that they belong to. A plug-in that does not come back within a while is as good as none.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::timeout;
use zeroize::Zeroizing;

use super::callback_records::CacheAccess;
use super::completions::CallbackHandle;
use crate::cache::persistent::{BoxFuture, LockGuard, RecordStore};
use crate::error::Error;

/// How long a plug-in may take for one access.
const PLUGIN_TIMEOUT: Duration = Duration::from_secs(10);

/// A caller's plug-in.
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
        let found = timeout(PLUGIN_TIMEOUT, self.handle.access(access)).await.ok()??;
        found.map(Zeroizing::new)
    }
}

impl RecordStore for JsCachePlugin {
    fn id(&self) -> &str {
        &self.id
    }

    fn prepare(&self) -> BoxFuture<'_, Result<bool, Error>> {
        Box::pin(async { Ok(true) })
    }

    /// A plug-in locks by itself, for as long as one access takes.
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
