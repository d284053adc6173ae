//! Where the outcomes of calls that had to wait come in.
//!
//! One function of the face for all calls of an environment, each under a number of the face's: a promise
//! of native code's for each would cost a handle of the event loop and a wake-up of it for each.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, RwLock, Weak};

use napi::bindgen_prelude::FnArgs;
use napi::threadsafe_function::{ThreadsafeFunction, ThreadsafeFunctionCallMode};
use napi::{Env, Result, Status};
use napi_derive::napi;
use tokio::task::AbortHandle;

use super::environment_end::EnvironmentTeardown;
use super::runtime;
use super::types::AcquisitionOutcome;
use crate::acquisition::waiter::Waiter;
use crate::locking::lock;

/// The face's function, which never throws; held weakly, but while somebody waits.
type CompletionFunction =
    ThreadsafeFunction<CompletionArguments, (), CompletionArguments, Status, false, true>;

/// The number of a call, and how it ended.
type CompletionArguments = FnArgs<(u32, AcquisitionOutcome)>;

/// The functions of every environment of this process, as long as they are there.
static CHANNELS: Mutex<Vec<Weak<RwLock<CompletionFunction>>>> = Mutex::new(Vec::new());

/// The calls of one environment that wait.
#[napi]
pub struct CompletionChannel {
    on_complete: Arc<RwLock<CompletionFunction>>,
    pending: Arc<Mutex<HashMap<u32, AbortHandle>>>,
    end: EnvironmentTeardown,
}

#[napi]
impl CompletionChannel {
    /// Takes the function that is told of each outcome.
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
            end: EnvironmentTeardown::from_env(env)?,
        })
    }

    /// Keeps the process alive, or no longer does: for as long as somebody waits.
    #[napi(catch_unwind)]
    #[allow(deprecated, reason = "a clone holds the function, not the process")]
    pub fn set_ref(&self, env: &Env, wanted: bool) -> Result<()> {
        let mut on_complete = self.on_complete.write().unwrap_or_else(PoisonError::into_inner);
        if wanted {
            on_complete.refer(env)
        } else {
            on_complete.unref(env)
        }
    }

    /// Lets go of a call that nobody waits for any more: nothing will come in. What it waits for goes on.
    #[napi(catch_unwind)]
    pub fn cancel(&self, call: u32) {
        if let Some(task) = lock(&self.pending).remove(&call) {
            task.abort();
        }
    }
}

impl CompletionChannel {
    /// Has the outcome of a call come in under this number.
    pub(super) fn register(&self, call: u32, waiter: Waiter, resource: String) -> Result<()> {
        let (on_complete, pending, end) = (self.on_complete.clone(), self.pending.clone(), self.end.clone());
        let runtime = runtime::handle()?;
        let mut pending_now = lock(&self.pending); // Until it is listed, it cannot be struck off.
        let task = runtime.spawn(async move {
            let outcome = tokio::select! {
                biased;
                outcome = waiter.wait() => Some(AcquisitionOutcome::of(outcome, resource)),
                () = end.reached() => None, // The caller is gone, and the waiter must not stay without one.
            };
            lock(&pending).remove(&call);
            let Some(outcome) = outcome else { return };
            let on_complete = on_complete.read().unwrap_or_else(PoisonError::into_inner);
            // An environment that has ended takes nothing any more.
            on_complete.call((call, outcome).into(), ThreadsafeFunctionCallMode::NonBlocking);
        });
        pending_now.insert(call, task.abort_handle());
        Ok(())
    }
}

/// Tells every thread of JavaScript that the cache was cleared, so that an idle one lets go of its tokens too.
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
