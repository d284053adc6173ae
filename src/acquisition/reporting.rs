//! What a flight reports on its way: log lines, and events for observers.

use std::time::Duration;

use super::Plan;
use super::task::Pilot;
use crate::acquisition::in_flight::{Outcome, Reason};
use crate::error::Error;
use crate::events::{Event, What};
use crate::http::retry_loop::{End, Witness};
use crate::http::{Fault, Response};
use crate::log::Level;

impl Pilot {
    /// Writes the outcome to the log; the outcome of a background refresh is also an event.
    pub(super) fn tell(&self, outcome: &Outcome) {
        if self.plan.place.is_some() {
            self.notice(|| What::Refresh(outcome.clone()));
        }
        match outcome {
            Ok(served) => self.log(Level::Info, || {
                let left = served.token.expires_on.since(self.engine.machine.clock.now());
                format!("got a token for {} s", left.as_secs())
            }),
            Err(error) if self.flight.reason == Reason::Refresh => {
                self.log(Level::Warning, || format!("a refresh failed: {error}"));
            }
            Err(error) => self.log(Level::Error, || error.to_string()),
        }
    }

    fn notice(&self, what: impl FnOnce() -> What) {
        let Plan { ask, settings, .. } = &self.plan;
        settings.observation.notice(|| Event {
            correlation_id: ask.correlation_id.clone(),
            resource: ask.resource.as_str().to_owned(),
            source: self.flight.report.source(),
            endpoint: self.flight.report.endpoint().to_owned(),
            what: what(),
        });
    }

    pub(super) fn log(&self, level: Level, words: impl FnOnce() -> String) {
        let now = self.engine.machine.clock.now();
        let words = || self.flight.report.redact(&words());
        self.plan
            .settings
            .log
            .write(level, now, &self.plan.ask.correlation_id, words);
    }
}

impl Witness for Pilot {
    fn leaving(&self) {
        self.log(Level::Info, || {
            let report = &self.flight.report;
            format!("asking {} at {}", report.source().as_str(), report.endpoint())
        });
    }

    fn returned(&self, answer: &Result<Response, Fault>, took: Duration) {
        if let Ok(response) = answer {
            self.engine.note_response(&*self.plan.source, response);
        }
        self.notice(|| What::Request {
            attempt: self.flight.progress.attempts(),
            status: answer.as_ref().ok().map(|answer| answer.status),
            fault: answer.as_ref().err().map(Fault::name),
            took,
        });
    }

    fn can_retry(&self, end: &End) -> bool {
        self.is_worth_waiting(end)
    }

    fn retrying(&self, end: &End, wait: Duration) -> Error {
        let error = self.error(end);
        self.log(Level::Warning, || {
            format!(
                "{}; trying again in {} ms",
                error.facts().message.trim_end_matches('.'),
                wait.as_millis()
            )
        });
        self.notice(|| What::Retry {
            attempt: self.flight.progress.attempts(),
            error: error.clone(),
            wait,
        });
        error
    }
}
