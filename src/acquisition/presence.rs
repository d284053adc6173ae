//! What a caller with other credentials is told while it is not known whether IMDS is there: nothing that takes long.

use super::probe::{PROBE_TIMEOUT, Presence};
use super::task::Pilot;
use crate::error::Error;
use crate::http::retry_loop::End;
use crate::http::retry_policy::retry_after;
use crate::http::{FaultKind, Response};
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
    pub(super) fn is_silent(&self, end: &End) -> bool {
        let has_timed_out = matches!(end, End::Fault(fault) if fault.kind == FaultKind::RequestTimeout);
        has_timed_out && self.presence.get() == Some(&Presence::Silent)
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
    pub(super) fn failure(&self, end: &End) -> Error {
        if self.is_silent(end) {
            self.engine.note_silence();
        }
        self.error(end)
    }

    /// The error of a response without a token, from the endpoint or from something else in its place.
    pub(super) fn refusal(&self, response: &Response) -> Error {
        let retryable = self.plan.source.policy().status(response.status).is_some();
        let earlier = self.plan.earlier.as_ref().map(|token| &token.secret);
        let (report, attempts) = (&self.flight.report, self.flight.progress.attempts());
        let error = if self.engine.is_foreign(&*self.plan.source, response) {
            report.foreign(response, earlier, attempts, retryable)
        } else {
            report.refusal(response, earlier, attempts, retryable)
        };
        let now = self.engine.machine.clock.now();
        let asked_for = response.headers.retry_after.as_deref();
        error.with(|facts| facts.retry_after = asked_for.and_then(|value| retry_after(value, now)))
    }
}
