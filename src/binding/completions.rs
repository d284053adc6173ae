//! The channel from native code to JavaScript: the outcomes of calls that had to wait, and everything that their
//! callers want to hear before: log lines, events, the requests of a caller's own HTTP client and the accesses to a cache
//! plug-in.
//!
//! An environment has one function for all of them, so that they arrive in the order in which they were sent: what
//! belongs to a call is delivered before its outcome. Each message carries the number of its call, by which JavaScript
//! finds the callbacks of the call and the async context in which they run.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockWriteGuard, Weak};

use napi::bindgen_prelude::{Either, FnArgs, Function};
use napi::threadsafe_function::{ThreadsafeFunction, ThreadsafeFunctionCallMode};
use napi::{Env, Result, Status};
use napi_derive::napi;
use tokio::sync::oneshot;
use tokio::task::AbortHandle;

use super::callback_records::{CacheAccess, JsNetworkRequest, JsNetworkResponse};
use super::environment_end::EnvironmentTeardown;
use super::records::{AcquisitionOutcome, JsEvent};
use super::runtime;
use crate::acquisition::waiter::Waiter;
use crate::locking::lock;

/// Log lines and events that may wait for the event loop. More are dropped, since neither may delay a token.
const MAX_QUEUED_NOTICES: usize = 1_024;

/// A message for the number of a call; 0 for none.
type MessageArguments = FnArgs<(u32, Either<AcquisitionOutcome, JsMessage>)>;

/// JavaScript's function, which never throws. It keeps the process alive only while calls are pending.
type MessageFunction = ThreadsafeFunction<Message, (), MessageArguments, Status, false, true>;

/// The channels of every environment of this process, as long as they exist.
static CHANNELS: Mutex<Vec<Weak<Channel>>> = Mutex::new(Vec::new());

/// What is sent beside the outcomes of calls.
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
    /// Nothing more will be sent for this call.
    Released,
}

struct Message {
    call: u32,
    content: Either<AcquisitionOutcome, JsMessage>,
    _place: Option<QueuePlace>,
}

/// The place of a notice in the queue.
struct QueuePlace(Arc<AtomicUsize>);

impl QueuePlace {
    fn take(queued: &Arc<AtomicUsize>) -> Option<Self> {
        let place = Self(queued.clone());
        (queued.fetch_add(1, Ordering::Relaxed) < MAX_QUEUED_NOTICES).then_some(place)
    }
}

impl Drop for QueuePlace {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Sends messages to one environment.
pub(super) struct Channel {
    function: RwLock<MessageFunction>,
    queued_notices: Arc<AtomicUsize>,
    responses: Replies<JsNetworkResponse>,
    records: Replies<Option<String>>,
}

impl Channel {
    fn function_mut(&self) -> RwLockWriteGuard<'_, MessageFunction> {
        self.function.write().unwrap_or_else(PoisonError::into_inner)
    }

    fn send(&self, call: u32, content: Either<AcquisitionOutcome, JsMessage>, place: Option<QueuePlace>) {
        let function = self.function.read().unwrap_or_else(PoisonError::into_inner);
        let message = Message {
            call,
            content,
            _place: place,
        };
        // An environment that has ended takes nothing any more.
        function.call(message, ThreadsafeFunctionCallMode::NonBlocking);
    }
}

/// A call of an application that has callbacks. JavaScript keeps these and their async context until the last holder is
/// gone: the call's request to the endpoint can outlive the call.
pub(super) struct CallbackHandle {
    channel: Arc<Channel>,
    call: u32,
}

impl CallbackHandle {
    /// Sends a log line or an event, unless too many are queued.
    pub(super) fn notify(&self, message: JsMessage) {
        if let Some(place) = QueuePlace::take(&self.channel.queued_notices) {
            self.channel.send(self.call, Either::B(message), Some(place));
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

/// What waits for replies of JavaScript, by number.
struct Replies<Reply> {
    last: AtomicU32,
    waiting: Mutex<HashMap<u32, oneshot::Sender<Reply>>>,
}

impl<Reply> Default for Replies<Reply> {
    fn default() -> Self {
        Self {
            last: AtomicU32::default(),
            waiting: Mutex::default(),
        }
    }
}

impl<Reply> Replies<Reply> {
    /// Calls `send` with a number, and waits for the reply to it.
    async fn wait_for(&self, send: impl FnOnce(u32)) -> Option<Reply> {
        let id = self.last.fetch_add(1, Ordering::Relaxed);
        let (sender, reply) = oneshot::channel();
        lock(&self.waiting).insert(id, sender);
        let _entry = ReplyEntry { replies: self, id };
        send(id);
        reply.await.ok()
    }

    fn settle(&self, id: u32, reply: Reply) {
        if let Some(sender) = lock(&self.waiting).remove(&id) {
            let _ = sender.send(reply); // What waited may have timed out meanwhile.
        }
    }
}

/// An entry, which is removed when nothing waits for the reply any more.
struct ReplyEntry<'a, Reply> {
    replies: &'a Replies<Reply>,
    id: u32,
}

impl<Reply> Drop for ReplyEntry<'_, Reply> {
    fn drop(&mut self) {
        lock(&self.replies.waiting).remove(&self.id);
    }
}

/// The channel of one environment, and its calls that wait.
#[napi]
pub struct CompletionChannel {
    channel: Arc<Channel>,
    /// Takes the place of the channel's function once no call is pending.
    renewed: Option<MessageFunction>,
    pending: Arc<Mutex<HashMap<u32, AbortHandle>>>,
    end: EnvironmentTeardown,
}

#[napi]
impl CompletionChannel {
    /// Takes the function that gets each message.
    #[napi(constructor, catch_unwind)]
    pub fn new(
        env: &Env,
        #[napi(ts_arg_type = "(call: number, message: AcquisitionOutcome | JsMessage) => void")]
        on_message: Function<'_, MessageArguments, ()>,
    ) -> Result<Self> {
        let channel = Arc::new(Channel {
            function: RwLock::new(message_function(on_message)?),
            queued_notices: Arc::default(),
            responses: Replies::default(),
            records: Replies::default(),
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
            end: EnvironmentTeardown::from_env(env)?,
        })
    }

    /// Replaces the resource of the event loop behind this channel by a new one, which belongs to the async context of
    /// this call; if calls are pending, once they have completed.
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

    /// Keeps the process alive, or no longer does: for as long as calls are pending.
    #[napi(catch_unwind)]
    #[allow(deprecated, reason = "a clone holds the function, not the process")]
    pub fn set_ref(&mut self, env: &Env, wanted: bool) -> Result<()> {
        if !wanted {
            self.replace();
        }
        let mut function = self.channel.function_mut();
        if wanted {
            function.refer(env)
        } else {
            function.unref(env)
        }
    }

    /// Lets go of a call that nothing waits for any more: no outcome will come in. What it waits for goes on.
    #[napi(catch_unwind)]
    pub fn cancel(&self, call: u32) {
        if let Some(task) = lock(&self.pending).remove(&call) {
            task.abort();
        }
    }

    /// Hands over the response of a network client.
    #[napi(catch_unwind)]
    pub fn respond(&self, id: u32, response: JsNetworkResponse) {
        self.channel.responses.settle(id, response);
    }

    /// Hands over the record of a cache plug-in, if it has one.
    #[napi(catch_unwind)]
    pub fn provide_record(&self, id: u32, record: Option<String>) {
        self.channel.records.settle(id, record);
    }
}

impl CompletionChannel {
    /// Puts the renewed function in place, if there is one. The one before delivers what it has, and ends.
    fn replace(&mut self) {
        if let Some(renewed) = self.renewed.take() {
            *self.channel.function_mut() = renewed;
        }
    }

    /// Registers a call, whose outcome will be sent under this number.
    pub(super) fn register(&self, call: u32, waiter: Waiter, resource: String) -> Result<()> {
        let (channel, pending, end) = (self.channel.clone(), self.pending.clone(), self.end.clone());
        let runtime = runtime::handle()?;
        let mut pending_now = lock(&self.pending); // Until it is listed, it cannot be struck off.
        let task = runtime.spawn(async move {
            let outcome = tokio::select! {
                biased;
                outcome = waiter.wait() => Some(AcquisitionOutcome::of(outcome, resource)),
                () = end.reached() => None, // The caller is gone, and the waiter must not stay without one.
            };
            lock(&pending).remove(&call);
            if let Some(outcome) = outcome {
                channel.send(call, Either::A(outcome), None);
            }
        });
        pending_now.insert(call, task.abort_handle());
        Ok(())
    }

    /// The handle of a call whose application has callbacks.
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

/// Tells every thread of JavaScript that the cache was cleared, so that an idle one lets go of its tokens too.
pub(super) fn notify_cleared() {
    let channels = lock(&CHANNELS).clone();
    for channel in channels.iter().filter_map(Weak::upgrade) {
        channel.send(0, Either::B(JsMessage::Cleared), None);
    }
}
