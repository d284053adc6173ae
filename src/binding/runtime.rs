//! The network thread. The first acquisition that needs it starts it, and it runs until the process exits. It does not
//! keep the process alive.

use std::io;
use std::sync::Mutex;

use tokio::runtime::{Builder, Handle};

use crate::locking::lock;
use crate::platform::MAX_BLOCKING_THREADS;

/// The threads for name resolution, in addition to those for files. A lookup by the system blocks its thread for up to
/// half a minute after the request has timed out.
const MAX_RESOLVER_THREADS: usize = 120;

static STARTED: Mutex<Option<Handle>> = Mutex::new(None);

/// Returns the runtime of the network thread, which the first call starts.
pub(super) fn handle() -> io::Result<Handle> {
    let mut started = lock(&STARTED);
    if let Some(handle) = &*started {
        return Ok(handle.clone());
    }
    // One thread carries thousands of exchanges; a pool would cost memory and start-up time.
    let runtime = Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(MAX_BLOCKING_THREADS + MAX_RESOLVER_THREADS)
        .thread_name("managed-identity-blocking")
        .build()?;
    let handle = runtime.handle().clone();
    std::thread::Builder::new()
        .name("managed-identity".into())
        .spawn(move || runtime.block_on(std::future::pending::<()>()))?;
    *started = Some(handle.clone());
    Ok(handle)
}
