//! Events of an application's acquisitions, for its listener. They contain no secrets and no tokens, except the token of a
//! background refresh.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use crate::acquisition::outcome::AcquisitionResult;
use crate::error::Error;
use crate::source_name::SourceName;

/// An event of one in-flight request.
pub struct Event {
    /// The correlation id of the call that started the request.
    pub correlation_id: String,
    /// The resource of the token.
    pub resource: String,
    /// The source of the token.
    pub source: SourceName,
    /// The endpoint, without its query.
    pub endpoint: String,
    /// The kind of the event, with its data.
    pub kind: EventKind,
}

/// The kind of an event, with its data.
pub enum EventKind {
    /// An HTTP request has ended.
    Request {
        /// The number of the attempt, from 1.
        attempt: u32,
        /// The status of the response, if there was one.
        status: Option<u16>,
        /// The code of the transport error if there was no response, such as `ECONNRESET`.
        fault: Option<&'static str>,
        /// The time from the request to its end.
        took: Duration,
    },
    /// An attempt has failed and is retried.
    Retry {
        /// The number of the failed attempt, from 1.
        attempt: u32,
        /// The error of the failed attempt.
        error: Error,
        /// The delay before the next attempt.
        wait: Duration,
    },
    /// A background refresh has ended.
    Refresh(AcquisitionResult),
}

/// Receives events. Implementations must not block and must not fail.
pub trait EventListener: Send + Sync {
    /// Called for each event.
    fn on_event(&self, event: Event);
}

/// The listener of one application, which can be set after the application was created. Clones share it.
#[derive(Clone, Default)]
pub struct EventListenerSlot(Arc<OnceLock<Box<dyn EventListener>>>);

impl EventListenerSlot {
    /// Sets the listener. Only the first call has an effect.
    pub fn set(&self, listener: Box<dyn EventListener>) {
        let _ = self.0.set(listener);
    }

    /// Passes an event to the listener. `event` is called only if there is one.
    pub fn emit(&self, event: impl FnOnce() -> Event) {
        if let Some(listener) = self.0.get() {
            listener.on_event(event());
        }
    }
}
