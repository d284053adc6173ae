//! The completion of calls that had to wait.
//!
//! One function of the JavaScript layer receives the outcomes of all calls of an environment, each with the number of its
//! call. A native promise for each call would cost a handle and a wake-up of the event loop each.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, RwLock, Weak};

use napi::bindgen_prelude::FnArgs;
use napi::threadsafe_function::{ThreadsafeFunction, ThreadsafeFunctionCallMode};
use napi::{Env, Result, Status};
use napi_derive::napi;
use tokio::task::AbortHandle;

use super::environment_teardown::EnvironmentTeardown;
use super::runtime;
use super::types::AcquisitionOutcome;
use crate::acquisition::waiter::Waiter;
use crate::locking::lock;

/// The function of the JavaScript layer, which does not throw. It is held weakly, except while a call is pending.
type CompletionFunction =
    ThreadsafeFunction<CompletionArguments, (), CompletionArguments, Status, false, true>;

/// The number of a call, and its outcome.
type CompletionArguments = FnArgs<(u32, AcquisitionOutcome)>;

/// The functions of every environment of this process.
static CHANNELS: Mutex<Vec<Weak<RwLock<CompletionFunction>>>> = Mutex::new(Vec::new());

/// The pending calls of one environment.
#[napi]
pub struct CompletionChannel {
    on_complete: Arc<RwLock<CompletionFunction>>,
    pending: Arc<Mutex<HashMap<u32, AbortHandle>>>,
    teardown: EnvironmentTeardown,
}

#[napi]
impl CompletionChannel {
    /// Takes the function that receives each outcome.
    #[napi(constructor, catch_unwind)]
    pub fn new(
        env: &Env,
        #[napi(ts_arg_type = "(call: number, outcome: AcquisitionOutcome) => void")]
        on_complete: CompletionFunction,
    ) -> Result<Self> {
        let on_complete = Arc::new(RwLock::new(on_complete));
        let mut channels = lock(&CHANNELS);
        if channels.len() == channels.capacity() {
            channels.retain(|function| function.strong_count() > 0);
        }
        channels.push(Arc::downgrade(&on_complete));
        Ok(Self {
            on_complete,
            pending: Arc::default(),
            teardown: EnvironmentTeardown::from_env(env)?,
        })
    }

    /// Keeps the process alive (`true`), as is needed while a call is pending, or lets it exit (`false`).
    #[napi(catch_unwind)]
    #[allow(deprecated, reason = "a clone holds the function, not the process")]
    pub fn set_ref(&self, env: &Env, is_ref: bool) -> Result<()> {
        let mut on_complete = self.on_complete.write().unwrap_or_else(PoisonError::into_inner);
        if is_ref {
            on_complete.refer(env)
        } else {
            on_complete.unref(env)
        }
    }

    /// Removes a call without callers: the function does not receive its outcome. A request that has been sent continues.
    #[napi(catch_unwind)]
    pub fn cancel(&self, call: u32) {
        if let Some(task) = lock(&self.pending).remove(&call) {
            task.abort();
        }
    }
}

impl CompletionChannel {
    /// Adds a call. The function receives its outcome with this number.
    pub(super) fn register(&self, call: u32, waiter: Waiter, resource: String) -> Result<()> {
        let (on_complete, pending, teardown) = (
            self.on_complete.clone(),
            self.pending.clone(),
            self.teardown.clone(),
        );
        let runtime = runtime::handle()?;
        let mut pending_now = lock(&self.pending); // The task cannot remove the call before it is added.
        let task = runtime.spawn(async move {
            let outcome = tokio::select! {
                biased;
                outcome = waiter.wait() => Some(AcquisitionOutcome::of(outcome, resource)),
                () = teardown.reached() => None, // The caller no longer exists, so its waiter must be dropped.
            };
            lock(&pending).remove(&call);
            let Some(outcome) = outcome else { return };
            let on_complete = on_complete.read().unwrap_or_else(PoisonError::into_inner);
            // A call into an environment that has ended does nothing.
            on_complete.call((call, outcome).into(), ThreadsafeFunctionCallMode::NonBlocking);
        });
        pending_now.insert(call, task.abort_handle());
        Ok(())
    }
}

/// Notifies every JavaScript thread that the cache was cleared, so that an idle thread drops its memoized tokens, too.
pub(super) fn notify_cleared() {
    let channels = lock(&CHANNELS).clone();
    for on_complete in channels.iter().filter_map(Weak::upgrade) {
        let on_complete = on_complete.read().unwrap_or_else(PoisonError::into_inner);
        // An environment that has ended has no tokens.
        on_complete.call(
            (0, AcquisitionOutcome::Cleared).into(),
            ThreadsafeFunctionCallMode::NonBlocking,
        );
    }
}
