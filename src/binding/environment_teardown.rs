//! The teardown of a JavaScript environment: of a worker thread, or of the process.
//!
//! It ends calls into the environment, which might otherwise never settle, and the waiters of its callers.

use std::cell::OnceCell;

use napi::{Env, Result};
use tokio::sync::watch;

/// A signal that an environment has been torn down.
#[derive(Clone)]
pub(super) struct EnvironmentTeardown(watch::Receiver<bool>);

impl EnvironmentTeardown {
    /// Returns the signal of this thread's environment. All objects share one cleanup hook: hooks of their own would
    /// accumulate.
    pub(super) fn from_env(env: &Env) -> Result<Self> {
        thread_local! {
            static TEARDOWN: OnceCell<EnvironmentTeardown> = const { OnceCell::new() };
        }
        TEARDOWN.with(|teardown| {
            if let Some(teardown) = teardown.get() {
                return Ok(teardown.clone());
            }
            let (sender, receiver) = watch::channel(false);
            env.add_env_cleanup_hook(sender, |sender| {
                sender.send_replace(true);
            })?;
            Ok(teardown.get_or_init(|| Self(receiver)).clone())
        })
    }

    /// Waits for the teardown.
    pub(super) async fn reached(&self) {
        // A closed channel means that the environment has been torn down, too.
        let _ = self.0.clone().wait_for(|is_torn_down| *is_torn_down).await;
    }
}
