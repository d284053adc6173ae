//! Failing fast while it is unknown whether IMDS exists: a probe before the token request, fewer retries, and an error
//! that lets a chain of credentials continue with the next one. The errors of responses are created here, too.

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
    /// Sends a probe, if the acquisition needs one. Returns an error if IMDS does not exist.
    pub(super) async fn probe_if_needed(&self) -> Result<(), Error> {
        if !self.context.key.needs_probe {
            return Ok(());
        }
        let outcome = self.client.probe_coalesced(&self.context).await;
        let presence = outcome.map_err(|error| self.in_flight.error_context.redact_error(error))?;
        if presence == Presence::Silent {
            // The error of a caller whose timeout ends during the token request then mentions the probe.
            let error = self.in_flight.error_context.probe_timeout(PROBE_TIMEOUT);
            self.in_flight.stats.record_error(error);
        }
        let _ = self.presence.set(presence); // An acquisition that is repeated keeps the first result.
        Ok(())
    }

    /// Returns whether the token request had no response, and neither had the probe before it.
    pub(super) fn had_no_response(&self, error: &TransportError) -> bool {
        error.kind == TransportErrorKind::RequestTimeout && self.presence.get() == Some(&Presence::Silent)
    }

    /// Returns whether an attempt may be retried. Until IMDS has responded, an attempt is not retried if it had no
    /// response, or if the response is probably from another server.
    pub(super) fn is_worth_retrying(&self, end: &AttemptOutcome) -> bool {
        match self.presence.get() {
            None | Some(Presence::Responded) => true,
            Some(_) if self.client.imds_has_responded() => true,
            Some(Presence::Silent) => false,
            Some(Presence::Inconclusive) => match end {
                AttemptOutcome::Response(response) => {
                    let may_appear = self.context.key.identity_not_found_timeout.is_some()
                        && is_identity_missing(response);
                    may_appear
                        || response.status != NOT_FOUND
                            && !self.client.is_foreign(&*self.context.source, response)
                }
                _ => true,
            },
        }
    }

    /// Creates the error of a token request. Remembers a missing response, so that later callers fail after the probe.
    pub(super) async fn handle_failure(&self, end: AttemptOutcome) -> Error {
        if matches!(&end, AttemptOutcome::TransportError(error) if self.had_no_response(error)) {
            self.client.record_silence();
        }
        self.error_from_end(end).await
    }

    /// Creates the error for a response without a token, from the endpoint or from another server in its place.
    pub(super) async fn error_from_response(&self, response: Response) -> Error {
        let retryable = self
            .context
            .source
            .policy()
            .status_limit(response.status)
            .is_some();
        let previous_token = self
            .context
            .previous_token
            .as_ref()
            .map(|token| token.secret.clone());
        let attempts = self.in_flight.stats.attempts();
        let is_foreign = self.client.is_foreign(&*self.context.source, &response);
        let (response, in_flight) = (Arc::new(response), self.in_flight.clone());
        let endpoint = self.in_flight.error_context.endpoint();
        let limit = self.examination_timeout();
        let work = move |response: &Response| {
            let error_context = &in_flight.error_context;
            if is_foreign {
                error_context.foreign_response(response, previous_token.as_ref(), attempts, retryable)
            } else {
                error_context.response_error(response, previous_token.as_ref(), attempts, retryable)
            }
        };
        let examined = self.client.examine(endpoint, response.clone(), limit, work).await;
        let error = examined.unwrap_or_else(|| {
            self.in_flight
                .error_context
                .unexamined(&response, attempts, retryable)
        });
        let now = self.client.platform.clock.now();
        let retry_after = response.headers.retry_after.as_deref();
        error.map_details(|details| {
            details.retry_after = retry_after.and_then(|value| parse_retry_after(value, now));
        })
    }
}
