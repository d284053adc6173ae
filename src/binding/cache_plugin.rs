//! A caller's `cachePlugin` as a store of records.
//!
//! The face wraps the plug-in so that it never throws: one function that reads the record of an entry, or
//! replaces it. A plug-in that does not come back within a while is as good as none.

use std::time::Duration;

use napi::Status;
use napi::bindgen_prelude::Promise;
use napi::threadsafe_function::ThreadsafeFunction;
use napi_derive::napi;
use tokio::time::timeout;
use zeroize::Zeroizing;

use crate::cache::persistent::{BoxFuture, LockGuard, RecordStore};
use crate::error::Error;

/// How long a plug-in may take for one access.
const PLUGIN_TIMEOUT: Duration = Duration::from_secs(10);

/// The plug-in's function, as the face wraps it; held weakly.
pub(super) type AccessFunction =
    ThreadsafeFunction<CacheAccess, Promise<Option<String>>, CacheAccess, Status, false, true>;

/// What is wanted of a plug-in: the record of an entry, or that this one replaces it.
#[napi(object, object_from_js = false, use_nullable = true)]
pub struct CacheAccess {
    pub entry: String,
    pub record: Option<String>,
}

/// A caller's plug-in.
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
        let answered = async { self.access.call_async_catch(access).await?.await };
        let found = timeout(PLUGIN_TIMEOUT, answered).await.ok()?.ok()?;
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
