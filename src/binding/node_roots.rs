//! The trust roots of a thread, read by JavaScript.
//!
//! The function is held weakly and called only when an https request needs the roots. It answers with a version, and
//! with the certificates only if native code has another one: they are 200 KB.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use napi::bindgen_prelude::Promise;
use napi::threadsafe_function::ThreadsafeFunction;
use napi::{Env, Result, Status};
use napi_derive::napi;
use tokio::sync::Mutex;
use tokio::time::sleep;

use super::environment_end::EnvironmentTeardown;
use crate::platform::{self, NodeRootsReader, Pem};

/// How long a thread may take to hand its roots over, before those that it handed over last are used.
const MAX_READ_TIME: Duration = Duration::from_secs(1);

/// JavaScript's function, which never throws and never rejects. Its parameter is the version that native code has; 0 is
/// none.
type ReadFunction = ThreadsafeFunction<u32, Promise<JsNodeRoots>, u32, Status, false, true>;

/// The roots of a thread at one time.
#[napi(object, object_to_js = false)]
pub struct JsNodeRoots {
    /// Counted from 1 in each thread.
    pub version: u32,
    /// PEM; absent if the version is the one that native code has.
    pub certificates: Option<String>,
    /// Whether the process has chosen them, so that no others count.
    pub is_exclusive: bool,
}

/// Where native code reads the roots of one thread.
#[napi]
pub struct NodeRoots(pub(super) Arc<Reader>);

#[napi]
impl NodeRoots {
    /// Takes the function that reads them.
    #[napi(constructor, catch_unwind)]
    pub fn new(
        env: &Env,
        #[napi(ts_arg_type = "(version: number) => Promise<JsNodeRoots>")] read: ReadFunction,
    ) -> Result<Self> {
        Ok(Self(Arc::new(Reader {
            read,
            environment_end: EnvironmentTeardown::from_env(env)?,
            last: Mutex::default(),
        })))
    }
}

pub(super) struct Reader {
    read: ReadFunction,
    environment_end: EnvironmentTeardown,
    /// What was read last, with its version. Held while reading, so that callers of one moment share one reading.
    last: Mutex<Option<(u32, platform::NodeRoots)>>,
}

impl Reader {
    async fn roots(&self) -> Option<platform::NodeRoots> {
        let mut last = self.last.lock().await;
        let known = last.as_ref().map_or(0, |(version, _)| *version);
        let read = async { self.read.call_async_catch(known).await?.await };
        let record = tokio::select! {
            record = read => record.ok(),
            // A call into an environment that is being torn down may never settle.
            () = self.environment_end.reached() => None,
            // The event loop of the thread stands still, which must not hold up callers of other threads.
            () = sleep(MAX_READ_TIME), if last.is_some() => None,
        };
        if let Some(record) = record
            && let Some(certificates) = record.certificates
        {
            let roots = platform::NodeRoots {
                certificates: Pem::new(certificates.into_bytes()),
                is_exclusive: record.is_exclusive,
            };
            *last = Some((record.version, roots));
        }
        last.as_ref().map(|(_, roots)| roots.clone())
    }
}

impl NodeRootsReader for Reader {
    fn read(&self) -> Pin<Box<dyn Future<Output = Option<platform::NodeRoots>> + Send + '_>> {
        Box::pin(self.roots())
    }
}
