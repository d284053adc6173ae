//! The log lines and events of an acquisition.

use std::time::Duration;

use super::context::AcquisitionContext;
use super::task::AcquisitionTask;
use crate::acquisition::outcome::AcquisitionResult;
use crate::acquisition::trigger::AcquisitionTrigger;
use crate::error::Error;
use crate::events::{Event, EventKind};
use crate::http::retry_loop::{AttemptOutcome, RetryObserver, RetryReport};
use crate::http::{Response, TransportError};
use crate::log::Level;

impl AcquisitionTask {
    /// Logs the outcome. The outcome of a background refresh is also an event.
    pub(super) fn report_outcome(&self, outcome: &AcquisitionResult) {
        if self.context.background_refresh_permit.is_some() {
            self.emit(|| EventKind::Refresh(outcome.clone()));
        }
        match outcome {
            Ok(acquired) => self.log(Level::Info, || {
                let left = acquired
                    .token
                    .expires_on
                    .saturating_duration_since(self.client.platform.clock.now());
                format!("acquired a token that is valid for {} s", left.as_secs())
            }),
            Err(error) if self.in_flight.trigger == AcquisitionTrigger::BackgroundRefresh => {
                self.log(Level::Warning, || format!("a background refresh failed: {error}"));
            }
            Err(error) => self.log(Level::Error, || error.to_string()),
        }
    }

    fn emit(&self, kind: impl FnOnce() -> EventKind) {
        let AcquisitionContext {
            query, application, ..
        } = &self.context;
        application.event_listener.emit(|| Event {
            correlation_id: query.correlation_id.clone(),
            resource: query.resource.as_str().to_owned(),
            source: self.in_flight.error_context.source(),
            endpoint: self.in_flight.error_context.endpoint().to_owned(),
            kind: kind(),
        });
    }

    pub(super) fn log(&self, level: Level, message: impl FnOnce() -> String) {
        let now = self.client.platform.clock.now();
        let message = || self.in_flight.error_context.redact(&message());
        self.context
            .application
            .log
            .write(level, now, &self.context.query.correlation_id, message);
    }
}

impl RetryObserver for AcquisitionTask {
    fn on_request(&self) {
        self.log(Level::Info, || {
            let error_context = &self.in_flight.error_context;
            format!(
                "requesting a token from {} at {}",
                error_context.source().as_str(),
                error_context.endpoint()
            )
        });
    }

    fn on_response(&self, outcome: &Result<Response, TransportError>, took: Duration) {
        if let Ok(response) = outcome {
            self.client.record_response(&*self.context.source, response);
        }
        self.emit(|| EventKind::Request {
            attempt: self.in_flight.stats.attempts(),
            status: outcome.as_ref().ok().map(|response| response.status),
            fault: outcome.as_ref().err().map(TransportError::code),
            took,
        });
    }

    fn can_retry(&self, end: &AttemptOutcome) -> bool {
        self.is_worth_retrying(end)
    }

    fn on_retry(&self, end: AttemptOutcome, wait: Duration) -> RetryReport<'_> {
        Box::pin(self.report_retry(end, wait))
    }
}

impl AcquisitionTask {
    async fn report_retry(&self, end: AttemptOutcome, wait: Duration) -> Error {
        let error = self.error_from_end(end).await;
        self.log(Level::Warning, || {
            format!(
                "{}; the next attempt is in {} ms",
                error.details().message.trim_end_matches('.'),
                wait.as_millis()
            )
        });
        self.emit(|| EventKind::Retry {
            attempt: self.in_flight.stats.attempts(),
            error: error.clone(),
            wait,
        });
        error
    }
}
