//! A caller's observer of events.
//!
//! The face gives a function only to applications that somebody observes, and it neither throws nor rejects.
//! Events wait in a bounded queue, as lines of a log do; when it is full they are dropped.

use napi::Status;
use napi::threadsafe_function::{ThreadsafeFunction, ThreadsafeFunctionCallMode};

use super::records::EventRecord;
use crate::events::{Event, Observer};

/// Events that may wait for the event loop.
const QUEUE: usize = 1_024;

/// The face's function; held weakly.
pub(super) type EventFunction = ThreadsafeFunction<EventRecord, (), EventRecord, Status, false, true, QUEUE>;

/// A caller's observer.
pub(super) struct CallersObserver(pub(super) EventFunction);

impl Observer for CallersObserver {
    fn notice(&self, event: Event) {
        // A full queue drops the event, and so does an environment that has ended.
        self.0.call(event.into(), ThreadsafeFunctionCallMode::NonBlocking);
    }
}
