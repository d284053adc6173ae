//! The root certificates of a JavaScript thread, read by a function of the JavaScript layer.
//!
//! The function is held weakly and called only when an https request needs the certificates. It returns their version, and
//! the certificates themselves only if native code has another version, since they are 200 KB.

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

use super::environment_teardown::EnvironmentTeardown;
use crate::platform::{self, NodeRootsReader, Pem};

/// The time limit of a read, after which the certificates of the last read are used.
const READ_TIMEOUT: Duration = Duration::from_secs(1);

/// The function of the JavaScript layer, which neither throws nor rejects. Its parameter is the version that native code
/// has; 0 stands for none.
type ReadFunction = ThreadsafeFunction<u32, Promise<JsNodeRoots>, u32, Status, false, true>;

/// The root certificates of a thread at one time.
#[napi(object, object_to_js = false)]
pub struct JsNodeRoots {
    /// Counted from 1 in each thread.
    pub version: u32,
    /// PEM; absent if native code has this version.
    pub certificates: Option<String>,
    /// Whether the process has set them explicitly, so that no other roots are trusted.
    pub is_exclusive: bool,
}

/// Reads the root certificates of one thread.
#[napi]
pub struct NodeRoots(pub(super) Arc<Reader>);

#[napi]
impl NodeRoots {
    /// Takes the function that reads the certificates.
    #[napi(constructor, catch_unwind)]
    pub fn new(
        env: &Env,
        #[napi(ts_arg_type = "(version: number) => Promise<JsNodeRoots>")] read: ReadFunction,
    ) -> Result<Self> {
        Ok(Self(Arc::new(Reader {
            read,
            teardown: EnvironmentTeardown::from_env(env)?,
            last: Mutex::default(),
        })))
    }
}

pub(super) struct Reader {
    read: ReadFunction,
    teardown: EnvironmentTeardown,
    /// The result of the last read, with its version. The lock is held during a read, so that concurrent callers share it.
    last: Mutex<Option<(u32, platform::NodeRoots)>>,
}

impl Reader {
    async fn roots(&self) -> Option<platform::NodeRoots> {
        let mut last = self.last.lock().await;
        let known_version = last.as_ref().map_or(0, |(version, _)| *version);
        let read = async { self.read.call_async_catch(known_version).await?.await };
        let record = tokio::select! {
            record = read => record.ok(),
            // A call into an environment that is being torn down may never settle.
            () = self.teardown.reached() => None,
            // The event loop of the thread is blocked, which must not delay callers of other threads.
            () = sleep(READ_TIMEOUT), if last.is_some() => None,
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
