//! A caller's `cachePlugin` as a record store.
//!
//! The JavaScript layer wraps the plug-in as one function, which reads the record of an entry or replaces it, and does not
//! throw. An access that fails or exceeds its time limit is treated as a cache miss.

use std::time::Duration;

use napi::Status;
use napi::bindgen_prelude::Promise;
use napi::threadsafe_function::ThreadsafeFunction;
use napi_derive::napi;
use tokio::time::timeout;
use zeroize::Zeroizing;

use crate::cache::persistent::{BoxFuture, LockGuard, RecordStore};
use crate::error::Error;

/// The time limit of one access.
const PLUGIN_TIMEOUT: Duration = Duration::from_secs(10);

/// The plug-in as the JavaScript layer wraps it; held weakly.
pub(super) type AccessFunction =
    ThreadsafeFunction<CacheAccess, Promise<Option<String>>, CacheAccess, Status, false, true>;

/// One access to a plug-in: reads the record of an entry, or replaces it with `record`.
#[napi(object, object_from_js = false, use_nullable = true)]
pub struct CacheAccess {
    pub entry: String,
    pub record: Option<String>,
}

/// A cache plug-in in JavaScript.
pub(super) struct JsCachePlugin {
    access: AccessFunction,
    id: String,
}

impl JsCachePlugin {
    pub(super) fn new(access: AccessFunction, id: u32) -> Self {
        Self {
            access,
            id: format!("plug-in {id}"),
        }
    }

    async fn access(&self, entry: &str, record: Option<String>) -> Option<Zeroizing<String>> {
        let access = CacheAccess {
            entry: entry.to_owned(),
            record,
        };
        let accessing = async { self.access.call_async_catch(access).await?.await };
        let record = timeout(PLUGIN_TIMEOUT, accessing).await.ok()?.ok()?;
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
