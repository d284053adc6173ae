//! The event listener of a caller.
//!
//! The JavaScript layer passes a function only if an application is observed. The function neither throws nor rejects.
//! Events wait in a bounded queue, as log lines do; if it is full, they are dropped.

use napi::Status;
use napi::threadsafe_function::{ThreadsafeFunction, ThreadsafeFunctionCallMode};

use super::types::JsEvent;
use crate::events::{Event, EventListener};

/// The most events that wait for the event loop.
const MAX_QUEUED_EVENTS: usize = 1_024;

/// The function of the JavaScript layer; held weakly.
pub(super) type EventFunction =
    ThreadsafeFunction<JsEvent, (), JsEvent, Status, false, true, MAX_QUEUED_EVENTS>;

/// An event listener in JavaScript.
pub(super) struct JsEventListener(pub(super) EventFunction);

impl EventListener for JsEventListener {
    fn on_event(&self, event: Event) {
        // A full queue drops the event, and so does an environment that has ended.
        self.0.call(event.into(), ThreadsafeFunctionCallMode::NonBlocking);
    }
}
