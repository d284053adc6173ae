//! A caller's observer of events.
//!
//! The face gives a function only to applications that somebody observes, and it neither throws nor rejects.
//! Events wait in a bounded queue, as lines of a log do; when it is full they are dropped.

use napi::Status;
use napi::threadsafe_function::{ThreadsafeFunction, ThreadsafeFunctionCallMode};

use super::types::JsEvent;
use crate::events::{Event, EventListener};

/// Events that may wait for the event loop.
const MAX_QUEUED_EVENTS: usize = 1_024;

/// The face's function; held weakly.
pub(super) type EventFunction =
    ThreadsafeFunction<JsEvent, (), JsEvent, Status, false, true, MAX_QUEUED_EVENTS>;

/// A caller's observer.
pub(super) struct JsEventListener(pub(super) EventFunction);

impl EventListener for JsEventListener {
    fn on_event(&self, event: Event) {
        // A full queue drops the event, and so does an environment that has ended.
        self.0.call(event.into(), ThreadsafeFunctionCallMode::NonBlocking);
    }
}
