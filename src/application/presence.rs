//! What a caller with other credentials is told while it is not known whether IMDS is there: nothing that takes long.

use std::sync::Arc;

use super::availability::{PROBE_TIMEOUT, Presence};
use super::pilot::Pilot;
use crate::error::Error;
use crate::http::retry::retry_after;
use crate::http::send::End;
use crate::http::{Fault, FaultKind, Response};
use crate::source::is_identity_missing;

const NOT_FOUND: u16 = 404;

impl Pilot {
    /// Sends the probe, where there has to be one. An error says that there is no IMDS.
    pub(super) async fn probe(&self) -> Result<(), Error> {
        if !self.plan.key.probe {
            return Ok(());
        }
        let probed = self.engine.probe_once(&self.plan).await;
        let presence = probed.map_err(|error| self.flight.report.redact_error(error))?;
        if presence == Presence::Silent {
            // A caller whose time runs out during the token request has learned as much.
            let error = self.flight.report.no_answer(PROBE_TIMEOUT);
            self.flight.progress.failed(error);
        }
        let _ = self.presence.set(presence); // Once for each acquisition.
        Ok(())
    }

    /// Whether the token request, like the probe before it, had no response.
    pub(super) fn is_silent(&self, fault: &Fault) -> bool {
        fault.kind == FaultKind::RequestTimeout && self.presence.get() == Some(&Presence::Silent)
    }

    /// Whether a further attempt is worth a caller's time: until IMDS has answered, not after what is probably another
    /// service's response, nor after silence.
    pub(super) fn is_worth_waiting(&self, end: &End) -> bool {
        match self.presence.get() {
            None | Some(Presence::Responded) => true,
            Some(_) if self.engine.imds_has_responded() => true,
            Some(Presence::Silent) => false,
            Some(Presence::Inconclusive) => match end {
                End::Answer(response) => {
                    let is_awaited = self.plan.key.identity_wait.is_some() && is_identity_missing(response);
                    is_awaited
                        || response.status != NOT_FOUND
                            && !self.engine.is_foreign(&*self.plan.source, response)
                }
                _ => true,
            },
        }
    }

    /// The error of a token request's end. Remembers a silence, so that the next caller is not kept waiting by it.
    pub(super) async fn failure(&self, end: End) -> Error {
        if matches!(&end, End::Fault(fault) if self.is_silent(fault)) {
            self.engine.note_silence();
        }
        self.error(end).await
    }

    /// The error of a response without a token, from the endpoint or from something else in its place.
    pub(super) async fn refusal(&self, response: Response) -> Error {
        let retryable = self.plan.source.policy().status(response.status).is_some();
        let earlier = self.plan.earlier.as_ref().map(|token| token.secret.clone());
        let attempts = self.flight.progress.attempts();
        let is_foreign = self.engine.is_foreign(&*self.plan.source, &response);
        let (response, flight) = (Arc::new(response), self.flight.clone());
        let place = self.flight.report.endpoint();
        let limit = self.examination_timeout();
        let work = move |response: &Response| {
            let report = &flight.report;
            if is_foreign {
                report.foreign(response, earlier.as_ref(), attempts, retryable)
            } else {
                report.refusal(response, earlier.as_ref(), attempts, retryable)
            }
        };
        let examined = self.engine.examine(place, response.clone(), limit, work).await;
        let error = examined.unwrap_or_else(|| self.flight.report.unexamined(&response, attempts, retryable));
        let now = self.engine.machine.clock.now();
        let asked_for = response.headers.retry_after.as_deref();
        error.with(|facts| facts.retry_after = asked_for.and_then(|value| retry_after(value, now)))
    }
}
