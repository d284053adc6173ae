//! What happens on the way to a token, for whoever observes an application: events hold no secret and, but for
//! the outcome of a refresh, no token.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use crate::acquisition::outcome::AcquisitionResult;
use crate::error::Error;
use crate::source_name::SourceName;

/// One event of one flight.
pub struct Event {
    /// The id of the call that started the flight.
    pub correlation_id: String,
    /// What the token is for.
    pub resource: String,
    /// Which source is asked.
    pub source: SourceName,
    /// Where, without the query.
    pub endpoint: String,
    /// What happened.
    pub kind: EventKind,
}

/// What happened.
pub enum EventKind {
    /// A request ended.
    Request {
        /// Its number, from 1.
        attempt: u32,
        /// The status of the answer, if there was one.
        status: Option<u16>,
        /// What came in place of an answer: a socket's code where there is one, such as `ECONNRESET`.
        fault: Option<&'static str>,
        /// How long it took.
        took: Duration,
    },
    /// A request failed and is tried again.
    Retry {
        /// The number of the request that failed, from 1.
        attempt: u32,
        /// How it failed.
        error: Error,
        /// How long it is waited before the next.
        wait: Duration,
    },
    /// A refresh behind a caller ended.
    Refresh(AcquisitionResult),
}

/// Takes events. It must not block and must not fail.
pub trait EventListener: Send + Sync {
    /// One event.
    fn on_event(&self, event: Event);
}

/// The place for one application's observer, who may come after the application was made.
#[derive(Clone, Default)]
pub struct EventListenerSlot(Arc<OnceLock<Box<dyn EventListener>>>);

impl EventListenerSlot {
    /// From now on this one observes; only the first does.
    pub fn set(&self, observer: Box<dyn EventListener>) {
        let _ = self.0.set(observer);
    }

    /// Tells of an event, which is made only if somebody observes.
    pub fn emit(&self, event: impl FnOnce() -> Event) {
        if let Some(observer) = self.0.get() {
            observer.on_event(event());
        }
    }
}
