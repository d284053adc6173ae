//! What a caller with other credentials is told while it is not known whether IMDS is there: nothing that takes long.

use std::sync::Arc;

use super::presence::Presence;
use super::probe::PROBE_TIMEOUT;
use super::task::AcquisitionTask;
use crate::error::Error;
use crate::http::retry_loop::AttemptOutcome;
use crate::http::retry_policy::parse_retry_after;
use crate::http::{Response, TransportError, TransportErrorKind};
use crate::source::is_identity_missing;

const NOT_FOUND: u16 = 404;

impl AcquisitionTask {
    /// Sends the probe, where there has to be one. An error says that there is no IMDS.
    pub(super) async fn probe_if_needed(&self) -> Result<(), Error> {
        if !self.context.key.needs_probe {
            return Ok(());
        }
        let probed = self.client.probe_coalesced(&self.context).await;
        let presence = probed.map_err(|error| self.in_flight.error_context.redact_error(error))?;
        if presence == Presence::Silent {
            // A caller whose time runs out during the token request has learned as much.
            let error = self.in_flight.error_context.probe_timeout(PROBE_TIMEOUT);
            self.in_flight.stats.record_error(error);
        }
        let _ = self.presence.set(presence); // Once for each acquisition.
        Ok(())
    }

    /// Whether the token request, like the probe before it, had no response.
    pub(super) fn had_no_response(&self, fault: &TransportError) -> bool {
        fault.kind == TransportErrorKind::RequestTimeout && self.presence.get() == Some(&Presence::Silent)
    }

    /// Whether a further attempt is worth a caller's time: until IMDS has answered, not after what is probably another
    /// service's response, nor after silence.
    pub(super) fn is_worth_retrying(&self, end: &AttemptOutcome) -> bool {
        match self.presence.get() {
            None | Some(Presence::Responded) => true,
            Some(_) if self.client.imds_has_responded() => true,
            Some(Presence::Silent) => false,
            Some(Presence::Inconclusive) => match end {
                AttemptOutcome::Response(response) => {
                    let is_awaited = self.context.key.identity_not_found_timeout.is_some()
                        && is_identity_missing(response);
                    is_awaited
                        || response.status != NOT_FOUND
                            && !self.client.is_foreign(&*self.context.source, response)
                }
                _ => true,
            },
        }
    }

    /// The error of a token request's end. Remembers a silence, so that the next caller is not kept waiting by it.
    pub(super) async fn handle_failure(&self, end: AttemptOutcome) -> Error {
        if matches!(&end, AttemptOutcome::TransportError(fault) if self.had_no_response(fault)) {
            self.client.record_silence();
        }
        self.error_from_end(end).await
    }

    /// The error of a response without a token, from the endpoint or from something else in its place.
    pub(super) async fn error_from_response(&self, response: Response) -> Error {
        let retryable = self
            .context
            .source
            .policy()
            .status_limit(response.status)
            .is_some();
        let earlier = self
            .context
            .previous_token
            .as_ref()
            .map(|token| token.secret.clone());
        let attempts = self.in_flight.stats.attempts();
        let is_foreign = self.client.is_foreign(&*self.context.source, &response);
        let (response, in_flight) = (Arc::new(response), self.in_flight.clone());
        let place = self.in_flight.error_context.endpoint();
        let limit = self.examination_timeout();
        let work = move |response: &Response| {
            let error_context = &in_flight.error_context;
            if is_foreign {
                error_context.foreign_response(response, earlier.as_ref(), attempts, retryable)
            } else {
                error_context.response_error(response, earlier.as_ref(), attempts, retryable)
            }
        };
        let examined = self.client.examine(place, response.clone(), limit, work).await;
        let error = examined.unwrap_or_else(|| {
            self.in_flight
                .error_context
                .unexamined(&response, attempts, retryable)
        });
        let now = self.client.platform.clock.now();
        let asked_for = response.headers.retry_after.as_deref();
        error.map_details(|details| {
            details.retry_after = asked_for.and_then(|value| parse_retry_after(value, now));
        })
    }
}
