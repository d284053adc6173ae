//! The end of a JavaScript environment: of a worker thread, or of the process.
//!
//! What was begun for an environment does not outlive it: neither a call into it, which may never settle, nor the wait
//! of one of its callers.

use std::cell::OnceCell;

use napi::{Env, Result};
use tokio::sync::watch;

/// Tells when an environment is torn down.
#[derive(Clone)]
pub(super) struct EnvironmentTeardown(watch::Receiver<bool>);

impl EnvironmentTeardown {
    /// That of this thread's environment, by one hook for all who ask: those of objects would pile up.
    pub(super) fn from_env(env: &Env) -> Result<Self> {
        thread_local! {
            static END: OnceCell<EnvironmentTeardown> = const { OnceCell::new() };
        }
        END.with(|end| {
            if let Some(end) = end.get() {
                return Ok(end.clone());
            }
            let (sender, receiver) = watch::channel(false);
            env.add_env_cleanup_hook(sender, |sender| {
                sender.send_replace(true);
            })?;
            Ok(end.get_or_init(|| Self(receiver)).clone())
        })
    }

    /// Waits for it.
    pub(super) async fn reached(&self) {
        // A sender that is gone has said so, or its environment is gone with it.
        let _ = self.0.clone().wait_for(|reached| *reached).await;
    }
}
