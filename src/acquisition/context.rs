//! The inputs of an acquisition: the application's context, and the context of one acquisition.

use std::sync::Arc;

use tokio::sync::OwnedSemaphorePermit;

use super::in_flight::CoalescingKey;
use crate::cache::persistent::PersistentCache;
use crate::events::EventListenerSlot;
use crate::http::Transport;
use crate::http::tls::ProcessRoots;
use crate::log::{Log, LogSink};
use crate::options::ApplicationOptions;
use crate::source::{Source, TokenQuery};
use crate::token::{Timestamp, Token, WallClocks};

/// The parsed options of an application, and the objects that the binding creates from its callbacks.
#[derive(Clone)]
pub struct ApplicationContext {
    /// The parsed options.
    pub options: ApplicationOptions,
    /// The custom network client (`system.networkClient`); `None` stands for the native transport.
    pub transport: Option<Arc<dyn Transport>>,
    /// The persistent cache, if the application has one.
    pub persistent_cache: Option<PersistentCache>,
    /// The log, with the application's level and callback.
    pub log: Log,
    /// The listener of the application's events.
    pub event_listener: EventListenerSlot,
}

impl ApplicationContext {
    /// Creates the context of an application without custom network client, persistent cache or callbacks.
    pub fn new(options: ApplicationOptions) -> Self {
        Self {
            transport: None,
            persistent_cache: None,
            log: Log::new(options.log_level, None),
            event_listener: EventListenerSlot::default(),
            options,
        }
    }

    /// Sends requests with a custom network client.
    #[must_use]
    pub fn with_transport(mut self, transport: Arc<dyn Transport>) -> Self {
        self.options.has_custom_transport = true;
        self.transport = Some(transport);
        self
    }

    /// Also reads and writes tokens in a persistent cache.
    #[must_use]
    pub fn with_persistent_cache(mut self, persistent_cache: PersistentCache) -> Self {
        self.persistent_cache = Some(persistent_cache);
        self
    }

    /// Writes log lines to a sink.
    #[must_use]
    pub fn with_log_sink(mut self, sink: Arc<dyn LogSink>) -> Self {
        self.log = Log::new(self.log.level(), Some(sink));
        self
    }
}

/// Everything that the task of one acquisition needs.
pub(super) struct AcquisitionContext {
    pub(super) source: Arc<dyn Source>,
    pub(super) query: TokenQuery,
    pub(super) application: ApplicationContext,
    /// The root certificates that an https endpoint is verified against.
    pub(super) roots: ProcessRoots,
    pub(super) key: CoalescingKey,
    /// The token that was cached when the call was made. It is redacted, since an endpoint may repeat it in an error.
    pub(super) previous_token: Option<Arc<Token>>,
    /// The time of the call by the system's clock.
    pub(super) started_at: Timestamp,
    /// The time of the call by the system's clock and by the caller's.
    pub(super) called_at: WallClocks,
    /// The permit that a background refresh holds until its end; `None` for any other acquisition.
    pub(super) background_refresh_permit: Option<OwnedSemaphorePermit>,
}
