//! The acquisition tasks that have not ended, for `TokenClient::flush`.
//!
//! A task can outlive its callers: a background refresh has none, and a token is written to a slow persistent cache after
//! its callers have it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use tokio::sync::watch;

use crate::locking::lock;

/// The tasks that have not ended, by the sequence number of their requests. The channel of a task closes when it ends.
#[derive(Default)]
pub(super) struct RunningTasks(Mutex<HashMap<u64, watch::Receiver<()>>>);

/// Belongs to a task, which ends when this value is dropped.
pub(super) struct RunningTask {
    tasks: Arc<RunningTasks>,
    sequence: u64,
    _end: watch::Sender<()>,
}

impl RunningTasks {
    pub(super) fn start(self: &Arc<Self>, sequence: u64) -> RunningTask {
        let (end, ended) = watch::channel(());
        lock(&self.0).insert(sequence, ended);
        RunningTask {
            tasks: self.clone(),
            sequence,
            _end: end,
        }
    }

    /// Returns a future that waits for the end of the present tasks; `None` if there are none.
    pub(super) fn ended(&self) -> Option<impl Future<Output = ()> + Send + use<>> {
        let tasks: Vec<_> = lock(&self.0).values().cloned().collect();
        (!tasks.is_empty()).then_some(async move {
            for mut task in tasks {
                // Nothing is sent, so the only result is that the channel was closed.
                let _ = task.changed().await;
            }
        })
    }
}

impl Drop for RunningTask {
    fn drop(&mut self) {
        lock(&self.tasks.0).remove(&self.sequence);
    }
}
