//! The channel from native code to JavaScript. It carries the outcomes of calls that had to wait, their log lines and
//! events, requests to a custom network client, and accesses to a cache plug-in.
//!
//! An environment has one function for all messages, so that they arrive in the order in which they were sent: the log
//! lines and events of a call are delivered before its outcome. Each message carries the number of its call, by which
//! JavaScript finds the callbacks of the call and the async context in which they run.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockWriteGuard, Weak};

use napi::bindgen_prelude::{Either, FnArgs, Function, Unknown};
use napi::threadsafe_function::{ThreadsafeFunction, ThreadsafeFunctionCallMode};
use napi::{Env, Result, Status};
use napi_derive::napi;
use tokio::sync::oneshot;
use tokio::task::AbortHandle;

use super::environment_teardown::EnvironmentTeardown;
use super::types::{
    AcquisitionOutcome, CacheAccess, JsEvent, JsFailure, JsNetworkRequest, JsNetworkResponse,
};
use super::untyped_value::from_js;
use super::{TOKEN_CLIENT, runtime};
use crate::acquisition::waiter::Waiter;
use crate::locking::lock;

/// The most log lines and events that wait for the event loop. Further ones are dropped, since neither may delay a token.
const MAX_QUEUED_NOTIFICATIONS: usize = 1_024;

/// A message, after the number of its call; 0 stands for no call.
type MessageArguments = FnArgs<(u32, Either<AcquisitionOutcome, JsMessage>)>;

/// The function of the JavaScript layer, which does not throw. It keeps the process alive only while calls are pending.
type MessageFunction = ThreadsafeFunction<Message, (), MessageArguments, Status, false, true>;

/// The channels of every environment of this process.
static CHANNELS: Mutex<Vec<Weak<Channel>>> = Mutex::new(Vec::new());

/// A message other than the outcome of a call.
#[allow(
    clippy::large_enum_variant,
    reason = "a message is moved into the queue and out of it"
)]
#[napi(discriminant = "kind", object_from_js = false)]
pub enum JsMessage {
    /// The cache was cleared.
    Cleared,
    /// A line for the call's logger.
    Line { level: u32, line: String },
    /// An event for the call's observers.
    Event { event: JsEvent },
    /// A request for the call's network client, whose response `respond` takes with this number.
    Request { id: u32, request: JsNetworkRequest },
    /// An access for the call's cache plug-in, whose record `provideRecord` takes with this number.
    Access { id: u32, access: CacheAccess },
    /// The last message of this call.
    Released,
    /// The end of the flush with this number. All messages of acquisitions that were under way when it began precede it,
    /// unless its time limit has passed (`isComplete` is false).
    Flushed { is_complete: bool },
}

struct Message {
    call: u32,
    content: Either<AcquisitionOutcome, JsMessage>,
    _permit: Option<QueuePermit>,
}

/// Counts one queued notification until it is delivered.
struct QueuePermit(Arc<AtomicUsize>);

impl QueuePermit {
    fn try_acquire(queued: &Arc<AtomicUsize>) -> Option<Self> {
        let permit = Self(queued.clone());
        (queued.fetch_add(1, Ordering::Relaxed) < MAX_QUEUED_NOTIFICATIONS).then_some(permit)
    }
}

impl Drop for QueuePermit {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Sends messages to one environment.
pub(super) struct Channel {
    function: RwLock<MessageFunction>,
    queued_notifications: Arc<AtomicUsize>,
    responses: PendingResults<JsNetworkResponse>,
    records: PendingResults<Option<String>>,
}

impl Channel {
    fn function_mut(&self) -> RwLockWriteGuard<'_, MessageFunction> {
        self.function.write().unwrap_or_else(PoisonError::into_inner)
    }

    fn send(&self, call: u32, content: Either<AcquisitionOutcome, JsMessage>, permit: Option<QueuePermit>) {
        let function = self.function.read().unwrap_or_else(PoisonError::into_inner);
        let message = Message {
            call,
            content,
            _permit: permit,
        };
        // A call into an environment that has ended does nothing.
        function.call(message, ThreadsafeFunctionCallMode::NonBlocking);
    }
}

/// The handle of a call whose application has callbacks. JavaScript keeps the callbacks and their async context until the
/// last handle is dropped, since the request to the endpoint can outlive the call.
pub(super) struct CallbackHandle {
    channel: Arc<Channel>,
    call: u32,
}

impl CallbackHandle {
    /// Sends a log line or an event, unless too many are queued.
    pub(super) fn notify(&self, message: JsMessage) {
        if let Some(permit) = QueuePermit::try_acquire(&self.channel.queued_notifications) {
            self.channel.send(self.call, Either::B(message), Some(permit));
        }
    }

    /// Sends a request to the network client. Returns `None` if the environment has ended.
    pub(super) async fn request(&self, request: JsNetworkRequest) -> Option<JsNetworkResponse> {
        let send = |id| self.send(JsMessage::Request { id, request });
        self.channel.responses.wait_for(send).await
    }

    /// Sends an access to the cache plug-in. Returns `None` if the environment has ended.
    pub(super) async fn access(&self, access: CacheAccess) -> Option<Option<String>> {
        let send = |id| self.send(JsMessage::Access { id, access });
        self.channel.records.wait_for(send).await
    }

    fn send(&self, message: JsMessage) {
        self.channel.send(self.call, Either::B(message), None);
    }
}

impl Drop for CallbackHandle {
    fn drop(&mut self) {
        self.send(JsMessage::Released);
    }
}

/// The requests that wait for a result from JavaScript, by number.
struct PendingResults<T> {
    last: AtomicU32,
    waiting: Mutex<HashMap<u32, oneshot::Sender<T>>>,
}

impl<T> Default for PendingResults<T> {
    fn default() -> Self {
        Self {
            last: AtomicU32::default(),
            waiting: Mutex::default(),
        }
    }
}

impl<T> PendingResults<T> {
    /// Calls `send` with a new number, and waits for the result with that number.
    async fn wait_for(&self, send: impl FnOnce(u32)) -> Option<T> {
        let id = self.last.fetch_add(1, Ordering::Relaxed);
        let (sender, result) = oneshot::channel();
        lock(&self.waiting).insert(id, sender);
        let _entry = PendingEntry { results: self, id };
        send(id);
        result.await.ok()
    }

    fn settle(&self, id: u32, result: T) {
        if let Some(sender) = lock(&self.waiting).remove(&id) {
            let _ = sender.send(result); // The receiver may have timed out in the meantime.
        }
    }
}

/// The entry of a request, which is removed when the request no longer waits.
struct PendingEntry<'a, T> {
    results: &'a PendingResults<T>,
    id: u32,
}

impl<T> Drop for PendingEntry<'_, T> {
    fn drop(&mut self) {
        lock(&self.results.waiting).remove(&self.id);
    }
}

/// The channel of one environment, and its pending calls.
#[napi]
pub struct CompletionChannel {
    channel: Arc<Channel>,
    /// The function that replaces the channel's once no call is pending.
    renewed: Option<MessageFunction>,
    pending: Arc<Mutex<HashMap<u32, AbortHandle>>>,
    teardown: EnvironmentTeardown,
}

#[napi]
impl CompletionChannel {
    /// Takes the function that receives each message.
    #[napi(constructor, catch_unwind)]
    pub fn new(
        env: &Env,
        #[napi(ts_arg_type = "(call: number, message: AcquisitionOutcome | JsMessage) => void")]
        on_message: Function<'_, MessageArguments, ()>,
    ) -> Result<Self> {
        let channel = Arc::new(Channel {
            function: RwLock::new(message_function(on_message)?),
            queued_notifications: Arc::default(),
            responses: PendingResults::default(),
            records: PendingResults::default(),
        });
        let mut channels = lock(&CHANNELS);
        if channels.len() == channels.capacity() {
            channels.retain(|channel| channel.strong_count() > 0);
        }
        channels.push(Arc::downgrade(&channel));
        Ok(Self {
            channel,
            renewed: None,
            pending: Arc::default(),
            teardown: EnvironmentTeardown::from_env(env)?,
        })
    }

    /// Replaces the channel's event loop resource with a new one, which belongs to the present async context. If calls are
    /// pending, the old one is replaced when they have completed.
    #[napi(catch_unwind)]
    pub fn renew(
        &mut self,
        #[napi(ts_arg_type = "(call: number, message: AcquisitionOutcome | JsMessage) => void")]
        on_message: Function<'_, MessageArguments, ()>,
        has_pending_calls: bool,
    ) -> Result<()> {
        self.renewed = Some(message_function(on_message)?);
        if !has_pending_calls {
            self.replace();
        }
        Ok(())
    }

    /// Keeps the process alive (`true`), as is needed while calls are pending, or lets it exit (`false`).
    #[napi(catch_unwind)]
    #[allow(deprecated, reason = "a clone holds the function, not the process")]
    pub fn set_ref(&mut self, env: &Env, is_ref: bool) -> Result<()> {
        if !is_ref {
            self.replace();
        }
        let mut function = self.channel.function_mut();
        if is_ref {
            function.refer(env)
        } else {
            function.unref(env)
        }
    }

    /// Removes a call without callers: the function does not receive its outcome. A request that has been sent continues.
    #[napi(catch_unwind)]
    pub fn cancel(&self, call: u32) {
        if let Some(task) = lock(&self.pending).remove(&call) {
            task.abort();
        }
    }

    /// Waits until the acquisitions that are under way have ended, and then sends `Flushed` with this number. Returns a
    /// failure if `timeout` is invalid; then it sends nothing.
    #[napi(catch_unwind)]
    pub fn flush(&self, number: u32, timeout: Option<Unknown<'_>>) -> Result<Option<JsFailure>> {
        let ended = match TOKEN_CLIENT.flush(&from_js(&timeout)?) {
            Ok(ended) => ended,
            Err(error) => return Ok(Some(error.into())),
        };
        let flushed = |is_complete| Either::B(JsMessage::Flushed { is_complete });
        let Some(ended) = ended else {
            self.channel.send(number, flushed(true), None);
            return Ok(None);
        };
        let (channel, teardown) = (self.channel.clone(), self.teardown.clone());
        runtime::handle()?.spawn(async move {
            tokio::select! {
                is_complete = ended => channel.send(number, flushed(is_complete), None),
                () = teardown.reached() => {} // The caller no longer exists.
            }
        });
        Ok(None)
    }

    /// Provides the response of a network client.
    #[napi(catch_unwind)]
    pub fn respond(&self, id: u32, response: JsNetworkResponse) {
        self.channel.responses.settle(id, response);
    }

    /// Provides the record of a cache plug-in, if it has one.
    #[napi(catch_unwind)]
    pub fn provide_record(&self, id: u32, record: Option<String>) {
        self.channel.records.settle(id, record);
    }
}

impl CompletionChannel {
    /// Installs the renewed function, if there is one. The old function still delivers its queued messages.
    fn replace(&mut self) {
        if let Some(renewed) = self.renewed.take() {
            *self.channel.function_mut() = renewed;
        }
    }

    /// Adds a call, whose outcome will be sent with this number.
    pub(super) fn register(&self, call: u32, waiter: Waiter, resource: String) -> Result<()> {
        let (channel, pending, teardown) =
            (self.channel.clone(), self.pending.clone(), self.teardown.clone());
        let runtime = runtime::handle()?;
        let mut pending_now = lock(&self.pending); // The task cannot remove the call before it is added.
        let task = runtime.spawn(async move {
            let outcome = tokio::select! {
                biased;
                outcome = waiter.wait() => Some(AcquisitionOutcome::of(outcome, resource)),
                () = teardown.reached() => None, // The caller no longer exists, so its waiter must be dropped.
            };
            lock(&pending).remove(&call);
            if let Some(outcome) = outcome {
                channel.send(call, Either::A(outcome), None);
            }
        });
        pending_now.insert(call, task.abort_handle());
        Ok(())
    }

    /// Creates the handle of a call whose application has callbacks.
    pub(super) fn callback_handle(&self, call: u32) -> Arc<CallbackHandle> {
        Arc::new(CallbackHandle {
            channel: self.channel.clone(),
            call,
        })
    }
}

fn message_function(on_message: Function<'_, MessageArguments, ()>) -> Result<MessageFunction> {
    on_message
        .build_threadsafe_function::<Message>()
        .weak::<true>()
        .build_callback(|context| Ok((context.value.call, context.value.content).into()))
}

/// Notifies every JavaScript thread that the cache was cleared, so that an idle thread drops its memoized tokens, too.
pub(super) fn notify_cleared() {
    let channels = lock(&CHANNELS).clone();
    for channel in channels.iter().filter_map(Weak::upgrade) {
        channel.send(0, Either::B(JsMessage::Cleared), None);
    }
}
